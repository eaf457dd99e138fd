package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How the scale (the grid step) of packed weights follows from the initial weights that share it; the
 * scale stays fixed during training.
 *
 * @param kind  the rule
 * @param sigma standard deviations that the grid spans, for {@link Kind#SIGMA}; otherwise 0
 */
public record ScaleRule(Kind kind, double sigma) {
    /** The rules. */
    public enum Kind {
        /** scale = mean|w| / Qp: the paper's. */
        ABSMEAN,
        /** scale = max|w| / Qp. */
        ABSMAX,
        /** scale = sigma * standard deviation / Qp. */
        SIGMA
    }

    /** The paper's rule. */
    public static final ScaleRule ABSMEAN = new ScaleRule(Kind.ABSMEAN, 0);
    /** The grid spans the largest weight. */
    public static final ScaleRule ABSMAX = new ScaleRule(Kind.ABSMAX, 0);

    /** The smallest span, as in the paper, so that a row of zeros has a scale too. */
    private static final double SMALLEST = 1e-5;

    /** @throws IllegalArgumentException for a sigma that is not positive and finite */
    public ScaleRule {
        if (kind == Kind.SIGMA ? !(sigma > 0 && sigma <= 100) : sigma != 0) {
            throw new IllegalArgumentException("scale rule sigma " + sigma + ": must be above 0 and at most 100");
        }
    }

    /** The grid spans {@code sigma} standard deviations. */
    public static ScaleRule sigma(double sigma) {
        return new ScaleRule(Kind.SIGMA, sigma);
    }

    /** The rule where none is asked for: a grid of up to 2 bits that spans all weights would make most of them 0. */
    public static ScaleRule usual(Grid grid) {
        return grid.qp() > 1 ? ABSMAX : ABSMEAN;
    }

    /** The rule written {@code absmean}, {@code absmax} or {@code sigma:K}. */
    public static ScaleRule parse(String text) {
        if (text.equals("absmean")) {
            return ABSMEAN;
        }
        if (text.equals("absmax")) {
            return ABSMAX;
        }
        if (text.matches("sigma:\\d{1,3}(\\.\\d{1,9})?")) {
            return sigma(Double.parseDouble(text.substring("sigma:".length())));
        }
        throw new IllegalArgumentException("scale rule \"" + text + "\": expected absmean, absmax or sigma:K");
    }

    /**
     * Sets the scales of packed weights.
     *
     * @param statistics of the weights to be packed, as {@link Kernels#statistics} gives them: a set for each run of
     *     columns of a row that shares a scale, all rows in order
     */
    void setScales(PackedMatrix w, MemorySegment statistics) {
        long sets = w.scaling().count(w.rows(), w.cols());
        long runs = w.rows() * w.scaling().groups(w.cols()) / sets;
        for (long i = 0; i < sets; i++) {
            float scale = scale(statistics, i * runs, runs, weights(w, i), w.grid().qp());
            w.scales().setAtIndex(ValueLayout.JAVA_FLOAT, i, scale);
        }
    }

    /** Weights that share scale number i. */
    private static long weights(PackedMatrix w, long i) {
        return switch (w.scaling().kind()) {
            case TENSOR -> w.rows() * w.cols();
            case ROW -> w.cols();
            case GROUP -> {
                long group = w.scaling().group();
                yield Math.min(group, w.cols() - i % w.scaling().groups(w.cols()) * group);
            }
        };
    }

    /** The scale of {@code runs} sets of statistics from number {@code first} on, summed in order. */
    private float scale(MemorySegment statistics, long first, long runs, long weights, int qp) {
        double sumAbs = 0;
        double maxAbs = 0;
        double sum = 0;
        double squares = 0;
        for (long i = first * Kernels.STATISTICS; i < (first + runs) * Kernels.STATISTICS; i += Kernels.STATISTICS) {
            sumAbs += statistics.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
            maxAbs = Math.max(maxAbs, statistics.getAtIndex(ValueLayout.JAVA_DOUBLE, i + 1));
            sum += statistics.getAtIndex(ValueLayout.JAVA_DOUBLE, i + 2);
            squares += statistics.getAtIndex(ValueLayout.JAVA_DOUBLE, i + 3);
        }
        return scale(sumAbs, maxAbs, sum, squares, weights, qp);
    }

    /**
     * The scale of {@code count} weights.
     *
     * @param sumAbs  sum of |w|
     * @param maxAbs  max of |w|
     * @param sum     sum of w
     * @param squares sum of w squared
     * @param qp      the highest code of the grid
     */
    float scale(double sumAbs, double maxAbs, double sum, double squares, long count, int qp) {
        double span = switch (kind) {
            case ABSMEAN -> sumAbs / count;
            case ABSMAX -> maxAbs;
            case SIGMA -> sigma * Math.sqrt(Math.max(0, squares / count - (sum / count) * (sum / count)));
        };
        return (float) (Math.max(span, SMALLEST) / qp);
    }

    @Override
    public String toString() {
        return switch (kind) {
            case ABSMEAN -> "absmean";
            case ABSMAX -> "absmax";
            case SIGMA -> "sigma:" + (sigma == Math.rint(sigma) ? Long.toString((long) sigma) : Double.toString(sigma));
        };
    }
}
