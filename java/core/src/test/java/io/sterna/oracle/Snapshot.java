package io.sterna.oracle;

import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.train.NamedTensor;
import io.sterna.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A parameter with its moments at one moment of a training, copied out of memory by the written layout.
 *
 * @param codes  of a packed parameter, otherwise null
 * @param scales of the rows of a packed parameter
 * @param weight code * scale, or the floats
 * @param m      the first moment, where the optimizer keeps one
 * @param v      AdamW's second moment
 */
record Snapshot(Parameter parameter, Matrix codes, double[] scales, Matrix weight, Matrix m, Matrix v) {
    /** All parameters of a training by name; state in F32, scales by tensor or by row. */
    static Map<String, Snapshot> of(Trainer trainer) {
        Map<String, NamedTensor> tensors = trainer.tensors().stream().collect(Collectors.toMap(NamedTensor::name, Function.identity()));
        Map<String, Snapshot> result = new LinkedHashMap<>();
        for (Parameter p : trainer.model().parameters()) {
            Matrix m = moment(p, tensors.get(p.name() + ".m"));
            Matrix v = moment(p, tensors.get(p.name() + ".v"));
            result.put(p.name(), switch (p) {
                case Parameter.Plain(_, _, _, FloatMatrix w) -> new Snapshot(p, null, null, floats(p, w.data()), m, v);
                case Parameter.Packed(_, _, _, PackedMatrix w) -> packed(p, w, m, v);
            });
        }
        return result;
    }

    /** The weights alone. */
    static Map<String, Matrix> weights(Map<String, Snapshot> snapshots) {
        return snapshots.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().weight));
    }

    private static Matrix moment(Parameter p, NamedTensor moment) {
        return moment == null ? null : floats(p, moment.data());
    }

    private static Matrix floats(Parameter p, MemorySegment data) {
        Matrix result = new Matrix((int) p.rows(), (int) p.cols());
        for (int i = 0; i < result.data().length; i++) {
            result.data()[i] = data.getAtIndex(ValueLayout.JAVA_FLOAT, i);
        }
        return result;
    }

    private static Snapshot packed(Parameter p, PackedMatrix w, Matrix m, Matrix v) {
        Matrix codes = codes(w);
        Matrix weight = new Matrix(codes.rows(), codes.cols());
        double[] scales = new double[codes.rows()];
        for (int r = 0; r < codes.rows(); r++) {
            scales[r] = w.scales().getAtIndex(ValueLayout.JAVA_FLOAT, w.scaling().kind() == Scaling.Kind.ROW ? r : 0);
            for (int c = 0; c < codes.cols(); c++) {
                weight.set(r, c, codes.get(r, c) * scales[r]);
            }
        }
        return new Snapshot(p, codes, scales, weight, m, v);
    }

    /** The codes of a packed matrix. */
    static Matrix codes(PackedMatrix w) {
        Matrix codes = new Matrix((int) w.rows(), (int) w.cols());
        byte[] bytes = w.codes().toArray(ValueLayout.JAVA_BYTE);
        for (int r = 0; r < codes.rows(); r++) {
            for (int c = 0; c < codes.cols(); c++) {
                codes.set(r, c, code(w.grid(), bytes, r, c, codes.cols()));
            }
        }
        return codes;
    }

    /** A code by its planes, the highest bits first; see the specification of packed weights. */
    private static int code(Grid grid, byte[] bytes, int row, int col, int cols) {
        int bits = grid.bits();
        int place = col % 64;
        int plane = (row * Math.ceilDiv(cols, 64) + col / 64) * 8 * bits;
        int code = 0;
        for (int width = 8; width >= 1; width /= 2) {
            if ((bits & width) != 0) {
                int field = (bytes[plane + place % (8 * width)] & 0xff) >> place / (8 * width) * width & (1 << width) - 1;
                code = code << width | field;
                plane += 8 * width;
            }
        }
        if (grid == Grid.BINARY) {
            return 2 * code - 1;
        }
        return code << 32 - bits >> 32 - bits;
    }
}
