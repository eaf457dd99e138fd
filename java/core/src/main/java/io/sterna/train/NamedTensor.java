package io.sterna.train;

import io.sterna.nn.Parameter;
import io.sterna.optim.Optimizer;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.StateType;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A tensor that outlives a step: what a checkpoint stores. Writing into {@code data} restores it.
 *
 * @param name  unique: a weight's Hugging Face name; its scales and moments add {@code .scale}, {@code .m} ...
 * @param role  what it is
 * @param dtype element type: {@code U8} (packed codes), {@code F32}, {@code BF16}, {@code I8}
 * @param shape sizes, outermost first; packed codes are (rows, bytes of a row)
 * @param data  the memory itself, contiguous; alive as long as the trainer
 */
public record NamedTensor(String name, Role role, String dtype, List<Long> shape, MemorySegment data) {
    /** What a tensor is. */
    public enum Role {
        /** The codes of a packed weight. */
        PACKED_WEIGHT,
        /** The scales of a packed weight. */
        SCALE,
        /** Embedding, norm, head, master weight, or weight of a float method. */
        FLOAT_WEIGHT,
        /** A moment of the optimizer, or the scales of an int8 one. */
        OPTIMIZER_STATE
    }

    /** Adds a parameter's codes and scales, or its floats. */
    static void ofWeight(Parameter parameter, List<NamedTensor> to) {
        String name = parameter.name();
        long rows = parameter.rows();
        switch (parameter) {
            case Parameter.Packed(_, _, _, PackedMatrix w) -> {
                to.add(new NamedTensor(name, Role.PACKED_WEIGHT, "U8", List.of(rows, w.grid().rowBytes(w.cols())), w.codes()));
                to.add(new NamedTensor(name + ".scale", Role.SCALE, "F32", scaleShape(w), w.scales()));
            }
            case Parameter.Plain(_, _, _, FloatMatrix w) -> to.add(new NamedTensor(name, Role.FLOAT_WEIGHT,
                    w.type() == FloatType.F32 ? "F32" : "BF16", List.of(rows, w.cols()), w.data()));
        }
    }

    static List<Long> scaleShape(PackedMatrix w) {
        return w.scaling().kind() == Scaling.Kind.GROUP ? List.of(w.rows(), w.scaling().groups(w.cols()))
                : List.of(w.scaling().count(w.rows(), w.cols()));
    }

    /** Adds a parameter's moments, and their scales when they are int8. */
    static void ofState(Parameter parameter, Optimizer.State state, List<NamedTensor> to) {
        state.moments().forEach((part, moment) -> {
            String name = parameter.name() + "." + part;
            to.add(new NamedTensor(name, Role.OPTIMIZER_STATE, dtype(moment.type()), List.of(moment.rows(), moment.cols()), moment.data()));
            if (moment.type() == StateType.INT8) {
                List<Long> shape = List.of(moment.rows(), Math.ceilDiv(moment.cols(), (long) Grid.BLOCK));
                to.add(new NamedTensor(name + ".scale", Role.OPTIMIZER_STATE, "F32", shape, moment.scales()));
            }
        });
    }

    private static String dtype(StateType type) {
        return switch (type) {
            case F32 -> "F32";
            case BF16 -> "BF16";
            case INT8 -> "I8";
        };
    }
}
