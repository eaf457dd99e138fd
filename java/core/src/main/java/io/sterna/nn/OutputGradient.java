package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;

/** The gradient dy (T, N) of a linear layer's result, as it is kept for the gradient of the weight. */
sealed interface OutputGradient {
    /** Floats, of all tokens or of a chunk. */
    record Floats(FloatMatrix matrix) implements OutputGradient {
    }

    /**
     * In int8, by stochastic rounding.
     *
     * @param matrix of all tokens, by feature
     * @param input  what the layer multiplied, of all tokens: its scales are folded into dy
     * @param first  the first token of the chunk
     */
    record Int8(QuantizedGradient matrix, QuantizedMatrix input, long first) implements OutputGradient {
    }
}
