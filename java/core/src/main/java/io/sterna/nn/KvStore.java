package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Keys or values of a layer: rows of head_dim numbers, the tokens of a head one after the other, so that
 * attention streams over them. Heads may be used by different threads at a time.
 */
sealed interface KvStore {
    /** The smallest absmax, as of activations, so that zeros have a scale. */
    float SMALLEST = 1e-5f;

    /** Rows of a type, all zero. */
    static KvStore allocate(Workspace.Section section, CacheType type, long rows, long headDim) {
        return switch (type) {
            case F32 -> new Floats(FloatMatrix.allocate(section, FloatType.F32, rows, headDim));
            case BF16 -> new Floats(FloatMatrix.allocate(section, FloatType.BF16, rows, headDim));
            case INT8 -> new Codes(PackedMatrix.allocate(section, Grid.INT8, Scaling.ROW, rows, headDim));
        };
    }

    /** Writes x (T, head_dim) to rows {@code row} ... row + T - 1. */
    void write(Kernels kernels, FloatMatrix x, long row, Lane lane);

    /** Rows row ... row + count - 1 as floats, until the lane's next call of this. */
    FloatMatrix read(Kernels kernels, long row, long count, Lane lane);

    /** Copies rows of a store of the same kind. */
    void copy(KvStore from, long row, long count);

    /** What a thread needs for keys, or for values: a window, and for codes memory to make floats of them. */
    final class Lane {
        private final FloatMatrix window;
        private final FloatMatrix tile;
        private final MemorySegment statistics;

        /**
         * For stores of a type.
         *
         * @param capacity rows read at once, at most
         * @param tokens   rows written at once, at most
         */
        Lane(Workspace.Section section, CacheType type, long capacity, long tokens, long headDim) {
            window = FloatMatrix.window(section);
            tile = type == CacheType.INT8 ? FloatMatrix.allocate(section, FloatType.F32, capacity, headDim) : null;
            statistics = type == CacheType.INT8 ? section.allocate(tokens * Kernels.STATISTICS * Double.BYTES) : null;
        }
    }

    /** Floats (rows, head_dim). */
    record Floats(FloatMatrix x) implements KvStore {
        @Override
        public void write(Kernels kernels, FloatMatrix from, long row, Lane lane) {
            kernels.copy(from, lane.window.overRows(x, row, row + from.rows()), 0, from.rows());
        }

        @Override
        public FloatMatrix read(Kernels kernels, long row, long count, Lane lane) {
            return lane.window.overRows(x, row, row + count);
        }

        @Override
        public void copy(KvStore from, long row, long count) {
            long rowBytes = x.cols() * x.type().bytes();
            MemorySegment.copy(((Floats) from).x.data(), row * rowBytes, x.data(), row * rowBytes, count * rowBytes);
        }
    }

    /** 8-bit codes (rows, head_dim), a scale a row. */
    record Codes(PackedMatrix w) implements KvStore {
        @Override
        public void write(Kernels kernels, FloatMatrix from, long row, Lane lane) {
            kernels.statistics(from, 0, lane.statistics, 0, from.rows());
            MemorySegment scales = w.scales();
            for (long r = 0; r < from.rows(); r++) {
                float largest = (float) lane.statistics.getAtIndex(ValueLayout.JAVA_DOUBLE, r * Kernels.STATISTICS + 1);
                scales.setAtIndex(ValueLayout.JAVA_FLOAT, row + r, Math.max(largest, SMALLEST) / w.grid().qp());
            }
            kernels.encode(from, w, row, row + from.rows());
        }

        @Override
        public FloatMatrix read(Kernels kernels, long row, long count, Lane lane) {
            kernels.decode(w, lane.window.overRows(lane.tile, 0, count), row, row + count);
            return lane.window;
        }

        @Override
        public void copy(KvStore from, long row, long count) {
            Codes other = (Codes) from;
            long rowBytes = w.grid().rowBytes(w.cols());
            MemorySegment.copy(other.w.codes(), row * rowBytes, w.codes(), row * rowBytes, count * rowBytes);
            MemorySegment.copy(other.w.scales(), row * Float.BYTES, w.scales(), row * Float.BYTES, count * Float.BYTES);
        }
    }
}
