package io.sterna.nn;

import io.sterna.tensor.FloatType;

/**
 * The size of what a pass computes at once.
 *
 * @param sequences   sequences
 * @param length      tokens of each
 * @param activations type of what a block keeps of its activations, the residual stream before it among them, and of
 *                    their gradients
 * @param gradients   what the gradients of the quantized linear layers are computed from
 */
public record Batch(int sequences, int length, FloatType activations, GradientType gradients) {
    /** Activations in F32, gradients from floats. */
    public Batch(int sequences, int length) {
        this(sequences, length, FloatType.F32, GradientType.FLOAT);
    }

    /** T, the tokens of all sequences. */
    public long tokens() {
        return (long) sequences * length;
    }
}
