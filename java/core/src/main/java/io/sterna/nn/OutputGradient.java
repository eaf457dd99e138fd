package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;

/** The gradient dy (T, N) of a linear layer's result, as it is kept for the gradient of the weight. */
sealed interface OutputGradient {
    /** Where dy is best computed: where it is kept, if it is kept as floats, else {@code other}. */
    FloatMatrix floatsOr(FloatMatrix other);

    /**
     * Floats.
     *
     * @param matrix of all tokens or of a chunk
     * @param int16  whether products may round them to 16-bit fixed point
     */
    record Floats(FloatMatrix matrix, boolean int16) implements OutputGradient {
        @Override
        public FloatMatrix floatsOr(FloatMatrix other) {
            return matrix;
        }

        /** Of the products of floats that take them, whose flags are otherwise these. */
        int productFlags(int product) {
            return (int16 ? GradientType.INT16 : GradientType.FLOAT).flags(product);
        }

        /** Of the products by quantized operands that take them. */
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
        @Override
        public FloatMatrix floatsOr(FloatMatrix other) {
            return other;
        }
    }
}
