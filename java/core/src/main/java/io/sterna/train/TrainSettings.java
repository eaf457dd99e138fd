package io.sterna.train;

import java.util.Objects;

import io.sterna.kernel.Rounding;
import io.sterna.nn.GradientType;
import io.sterna.tensor.FloatType;

/**
 * How a step is run.
 *
 * @param batch        sequences of a micro-batch
 * @param accumulation micro-batches of a step; above 1 every parameter gets a gradient buffer
 * @param clip         gradient clipping
 * @param rounding     how packed (and bf16) weights are written back
 * @param recompute    whether a block keeps nothing but its input for the backward pass, and computes the rest again
 * @param activations  type of what a block keeps of its activations and of their gradients
 * @param gradients    what the gradients of the quantized linear layers are computed from
 * @param seed         seed of initialization and of stochastic rounding
 */
public record TrainSettings(int batch, int accumulation, Clip clip, Rounding rounding, boolean recompute,
                            FloatType activations, GradientType gradients, long seed) {
    /** @throws IllegalArgumentException for a number outside its range; the message names it */
    public TrainSettings {
        Objects.requireNonNull(clip, "clip");
        Objects.requireNonNull(rounding, "rounding");
        Objects.requireNonNull(activations, "activations");
        Objects.requireNonNull(gradients, "gradients");
        if (batch < 1 || batch > 1 << 16) {
            throw new IllegalArgumentException("batch " + batch + ": must lie between 1 and " + (1 << 16));
        }
        if (accumulation < 1 || accumulation > 1 << 16) {
            throw new IllegalArgumentException("accumulation " + accumulation + ": must lie between 1 and " + (1 << 16));
        }
        if ((long) batch * accumulation > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("batch " + batch + " times accumulation " + accumulation
                    + ": a step must have fewer than 2^31 sequences");
        }
    }

    /** One micro-batch a step, no clipping, stochastic rounding, activations kept in F32, gradients from floats. */
    public static TrainSettings of(int batch, long seed) {
        return new TrainSettings(batch, 1, Clip.NONE, Rounding.STOCHASTIC, false, FloatType.F32, GradientType.FLOAT, seed);
    }

    /** The same with another clipping. */
    public TrainSettings withClip(Clip other) {
        return new TrainSettings(batch, accumulation, other, rounding, recompute, activations, gradients, seed);
    }

    /** The same with recomputation or without. */
    public TrainSettings withRecompute(boolean on) {
        return new TrainSettings(batch, accumulation, clip, rounding, on, activations, gradients, seed);
    }

    /** The same with activations of another type. */
    public TrainSettings withActivations(FloatType type) {
        return new TrainSettings(batch, accumulation, clip, rounding, recompute, type, gradients, seed);
    }

    /** The same with gradients computed from another type. */
    public TrainSettings withGradients(GradientType type) {
        return new TrainSettings(batch, accumulation, clip, rounding, recompute, activations, type, seed);
    }
}
