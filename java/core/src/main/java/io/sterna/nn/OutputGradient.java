package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;

/** The gradient dy (T, N) of a linear layer's result, as it is kept for the gradient of the weight. */
sealed interface OutputGradient {
    /**
     * Floats.
     *
     * @param matrix of all tokens or of a chunk
     * @param int16  whether products may round them to 16-bit fixed point
     */
    record Floats(FloatMatrix matrix, boolean int16) implements OutputGradient {
        /** Of the products that take them. */
        int flags(boolean accumulate) {
            return (accumulate ? Kernels.ACCUMULATE : 0) | (int16 ? Kernels.ALLOW_INT16 : 0);
        }
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
