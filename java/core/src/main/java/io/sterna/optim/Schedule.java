package io.sterna.optim;

import java.util.Objects;

/**
 * The learning rate and the weight decay of each step. Steps count from 1 to {@code steps}; the first
 * {@code warmup} of them rise linearly to {@code peak}, the others follow the kind's curve.
 *
 * @param kind   the curve after the warm-up
 * @param peak   the highest learning rate
 * @param warmup steps of warm-up, fewer than {@code steps}
 * @param steps  steps of the whole run
 * @param floor  share of the peak that cosine and linear end at, [0, 1]
 * @param second {@link Kind#TWO_STAGE}: the peak of the second half; otherwise ignored
 */
public record Schedule(Kind kind, double peak, long warmup, long steps, double floor, double second) {
    /** Curves. */
    public enum Kind {
        /** Half a cosine from the peak to the floor. */
        COSINE,
        /** A line from the peak to the floor. */
        LINEAR,
        /** The peak, to the end. */
        CONSTANT,
        /**
         * The BitNet recipe: the first half follows the line from {@code peak} to 0 at the last step, the
         * second half the line from {@code second} to 0; weight decay ends at the middle.
         */
        TWO_STAGE
    }

    /** @throws IllegalArgumentException for a number outside its range; the message names it */
    public Schedule {
        Objects.requireNonNull(kind, "schedule kind");
        require(peak > 0 && peak < 100, "lr " + peak + ": must be above 0 and below 100");
        require(steps >= 1, "steps " + steps + ": must be at least 1");
        require(warmup >= 0 && warmup < steps, "warmup " + warmup + ": must be at least 0 and below steps " + steps);
        require(floor >= 0 && floor <= 1, "lr floor " + floor + ": must lie in [0, 1]");
        require(kind != Kind.TWO_STAGE || second > 0 && second < 100,
                "second lr " + second + ": must be above 0 and below 100");
    }

    /** Cosine to 0. */
    public static Schedule cosine(double peak, long warmup, long steps) {
        return new Schedule(Kind.COSINE, peak, warmup, steps, 0, 0);
    }

    /** A line to 0. */
    public static Schedule linear(double peak, long warmup, long steps) {
        return new Schedule(Kind.LINEAR, peak, warmup, steps, 0, 0);
    }

    /** Always the peak, after the warm-up. */
    public static Schedule constant(double peak, long warmup, long steps) {
        return new Schedule(Kind.CONSTANT, peak, warmup, steps, 0, 0);
    }

    /** The BitNet recipe with the second peak at two thirds of the first. */
    public static Schedule twoStage(double peak, long warmup, long steps) {
        return new Schedule(Kind.TWO_STAGE, peak, warmup, steps, 0, peak * 2 / 3);
    }

    /** The learning rate of a step. */
    public double rate(long step) {
        if (step <= warmup) {
            return peak * step / warmup;
        }
        double done = Math.min(1, (double) (step - warmup) / (steps - warmup));
        return switch (kind) {
            case COSINE -> peak * (floor + (1 - floor) * 0.5 * (1 + StrictMath.cos(Math.PI * done)));
            case LINEAR -> peak * (floor + (1 - floor) * (1 - done));
            case CONSTANT -> peak;
            case TWO_STAGE -> (firstHalf(step) ? peak : second) * (1 - done);
        };
    }

    /** The weight decay of a step, given the configured one. */
    public double weightDecay(long step, double configured) {
        return kind == Kind.TWO_STAGE && !firstHalf(step) ? 0 : configured;
    }

    private boolean firstHalf(long step) {
        return 2 * step <= steps;
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new IllegalArgumentException(message);
        }
    }
}
