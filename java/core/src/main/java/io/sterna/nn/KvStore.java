package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;

/**
 * Keys or values of a layer: rows of head_dim numbers, the tokens of a head one after the other, so that
 * attention streams over them; those of keys lie by column in blocks ({@link Kernels#KEY_BLOCK}), of which a store holds
 * whole ones then. Heads may be used by different threads at a time.
 */
sealed interface KvStore {
    /** Rows of a type, all zero. */
    static KvStore allocate(Workspace.Section section, CacheType type, long rows, long headDim) {
        return switch (type) {
            case F32 -> new Floats(FloatMatrix.allocate(section, FloatType.F32, rows, headDim));
            case BF16 -> new Floats(FloatMatrix.allocate(section, FloatType.BF16, rows, headDim));
            case INT8 -> new Codes(QuantizedMatrix.allocate(section, rows, headDim));
        };
    }

    /** Lays a thread's window over rows row ... row + count - 1. */
    void show(long row, long count, Lane lane);

    /** Copies rows of a store of the same kind, whole blocks where they lie by column. */
    void copy(KvStore from, long row, long count);

    /**
     * A thread's window over keys, or over values.
     *
     * @param floats null over codes
     * @param codes  null over floats
     */
    record Lane(FloatMatrix floats, QuantizedMatrix codes) {
        /** For stores of a type. */
        static Lane of(Workspace.Section section, CacheType type) {
            return type == CacheType.INT8 ? new Lane(null, QuantizedMatrix.window(section)) : new Lane(FloatMatrix.window(section), null);
        }

        /**
         * Puts x (T, heads * head_dim) behind the {@code first} tokens of each head that it lies over (heads * capacity rows).
         *
         * @param byColumn whether they are keys
         */
        void append(Kernels kernels, FloatMatrix x, long first, boolean byColumn) {
            if (codes != null) {
                kernels.append(x, codes, first, byColumn);
            } else {
                kernels.append(x, floats, first, byColumn);
            }
        }
    }

    /** Floats (rows, head_dim). */
    record Floats(FloatMatrix x) implements KvStore {
        @Override
        public void show(long row, long count, Lane lane) {
            lane.floats.overRows(x, row, row + count);
        }

        @Override
        public void copy(KvStore from, long row, long count) {
            long rowBytes = x.cols() * x.type().bytes();
            MemorySegment.copy(((Floats) from).x.data(), row * rowBytes, x.data(), row * rowBytes, count * rowBytes);
        }
    }

    /** 8-bit codes (rows, head_dim), a scale a row. */
    record Codes(QuantizedMatrix x) implements KvStore {
        @Override
        public void show(long row, long count, Lane lane) {
            lane.codes.overRows(x, row, row + count);
        }

        @Override
        public void copy(KvStore from, long row, long count) {
            x.copyRows(((Codes) from).x, row, row + count);
        }
    }
}
