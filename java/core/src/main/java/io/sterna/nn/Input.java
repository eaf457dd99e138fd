package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Workspace;

/** What a linear layer multiplies, (T, K): int8 in the quantized methods, floats in the others. */
public sealed interface Input {
    /** Tokens quantized to int8, kept for the weight gradient too. */
    record Int8(QuantizedMatrix matrix) implements Input {
    }

    /** Floats. */
    record Floats(FloatMatrix matrix) implements Input {
    }

    /** A window that never moves over rows row0 ... row1 - 1. */
    default Input rows(Workspace.Section section, long row0, long row1) {
        return switch (this) {
            case Int8(var q) -> new Int8(q.window(section, row0, row1));
            case Floats(var x) -> new Floats(FloatMatrix.window(section).overRows(x, row0, row1));
        };
    }

    /** Makes room for another number of tokens, at most those it was allocated for. */
    default void resize(long tokens) {
        switch (this) {
            case Int8(var q) -> q.resize(tokens);
            case Floats(var x) -> x.reshape(tokens, x.cols());
        }
    }

    /** The int8 matrix; a programming error for floats. */
    default QuantizedMatrix int8() {
        return ((Int8) this).matrix();
    }

    /** The float matrix; a programming error for int8. */
    default FloatMatrix floats() {
        return ((Floats) this).matrix();
    }
}
