package io.sterna.optim;

import java.util.Objects;

import io.sterna.tensor.StateType;

/**
 * The optimizer and its constants.
 *
 * @param kind        the algorithm
 * @param beta1       decay of the first moment, [0, 1): AdamW always; Adafactor keeps a first moment when
 *                    it is above 0
 * @param beta2       decay of the second moment, [0, 1): AdamW only
 * @param epsilon     AdamW: added to the root of the second moment; Adafactor: added to squared gradients
 * @param weightDecay decoupled: a step multiplies weights by 1 - lr * weightDecay; norms are exempt
 * @param momentum    SGD's momentum, [0, 1); 0 keeps no state
 * @param clip        Adafactor's limit for the root mean square of its update
 * @param state       type of the moments; BF16 and INT8 are written by stochastic rounding
 */
public record OptimizerConfig(Kind kind, double beta1, double beta2, double epsilon, double weightDecay,
                              double momentum, double clip, StateType state) {
    /** Algorithms. */
    public enum Kind {
        /** AdamW (Loshchilov and Hutter 2019): two moments of the tensor's size. */
        ADAMW,
        /**
         * Adafactor (Shazeer and Stern 2018) with a given learning rate: a number for each row and each column of a
         * tensor; with {@code beta1} above 0 a first moment of its size too.
         */
        ADAFACTOR,
        /** Stochastic gradient descent: one moment of the tensor's size, none without momentum. */
        SGD
    }

    /** @throws IllegalArgumentException for a constant outside its range; the message names it */
    public OptimizerConfig {
        Objects.requireNonNull(kind, "optimizer kind");
        Objects.requireNonNull(state, "optimizer state type");
        require(beta1 >= 0 && beta1 < 1, "beta1", beta1, "must lie in [0, 1)");
        require(beta2 >= 0 && beta2 < 1, "beta2", beta2, "must lie in [0, 1)");
        require(epsilon >= Float.MIN_NORMAL && epsilon < 1, "epsilon", epsilon, "must lie between " + Float.MIN_NORMAL + " and 1");
        require(weightDecay >= 0 && weightDecay < 100, "weight-decay", weightDecay, "must lie in [0, 100)");
        require(momentum >= 0 && momentum < 1, "momentum", momentum, "must lie in [0, 1)");
        require(clip > 0 && Double.isFinite(clip), "update clip", clip, "must be above 0");
    }

    /** AdamW with the constants of the paper's code. */
    public static OptimizerConfig adamw() {
        return new OptimizerConfig(Kind.ADAMW, 0.9, 0.999, 1e-6, 0.01, 0, 1, StateType.F32);
    }

    /** Adafactor without first moment. */
    public static OptimizerConfig adafactor() {
        return new OptimizerConfig(Kind.ADAFACTOR, 0, 0, 1e-30, 0.01, 0, 1, StateType.F32);
    }

    /** SGD with momentum 0.9. */
    public static OptimizerConfig sgd() {
        return new OptimizerConfig(Kind.SGD, 0, 0, 1e-6, 0, 0.9, 1, StateType.F32);
    }

    /** The same with moments of another type. */
    public OptimizerConfig withState(StateType type) {
        return new OptimizerConfig(kind, beta1, beta2, epsilon, weightDecay, momentum, clip, type);
    }

    /** The same with another weight decay. */
    public OptimizerConfig withWeightDecay(double decay) {
        return new OptimizerConfig(kind, beta1, beta2, epsilon, decay, momentum, clip, state);
    }

    private static void require(boolean condition, String name, double value, String rule) {
        if (!condition) {
            throw new IllegalArgumentException(name + " " + value + ": " + rule);
        }
    }
}
