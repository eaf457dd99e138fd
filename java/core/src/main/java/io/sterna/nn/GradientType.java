package io.sterna.nn;

import java.util.Locale;

/** What the gradients of the quantized linear layers are computed from. */
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

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
