package io.sterna.nn;

import io.sterna.kernel.Kernels;
import java.util.Locale;

/**
 * What the gradients of the quantized linear layers are computed from; with all but {@link #FLOAT} the products of the
 * head, and gradients of linear layers of bf16, are rounded to 16 bits, where the tier multiplies these faster than floats.
 */
public enum GradientType {
    /** The gradients of their results as floats. */
    FLOAT,
    /**
     * The same, rounded to 16-bit fixed point where the tier multiplies that faster: to the nearest of 32,767 steps up
     * to the largest of the numbers that a sum begins with.
     */
    INT16,
    /** The gradients of their results in int8, rounded stochastically: without bias, with some more noise. */
    INT8;

    /** The flags of a product of floats in training: what may be rounded to bf16 may be to 16-bit fixed point. */
    int flags(int product) {
        return this != FLOAT && (product & Kernels.ALLOW_BF16) != 0 ? product | Kernels.ALLOW_INT16 : product;
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
