package io.sterna.oracle;

import io.sterna.rng.Philox;
import io.sterna.tensor.Grid;

/**
 * AdamW and stochastic rounding of one step, in float64. The constants of AdamW are those of the step's
 * definition, where they are floats.
 */
final class UpdateOracle {
    static final double BETA1 = 0.9f;
    private static final double BETA2 = 0.999f;
    private static final double EPSILON = 1e-6f;
    private static final int STREAM_WEIGHT = 0;

    private final double rate;
    private final double bias1;
    private final double bias2;

    /** A step, counted from 1, with its learning rate. */
    UpdateOracle(int step, double rate) {
        this.rate = rate;
        this.bias1 = 1 / (1 - Math.pow(0.9, step));
        this.bias2 = 1 / (1 - Math.pow(0.999, step));
    }

    /** The first moment after the step. */
    double m(double gradient, double m) {
        return BETA1 * m + (1 - BETA1) * gradient;
    }

    /** The second moment after the step. */
    double v(double gradient, double v) {
        return BETA2 * v + (1 - BETA2) * gradient * gradient;
    }

    /** What the weight loses to the gradient, given the moments before the step. */
    double delta(double gradient, double m, double v) {
        return rate * m(gradient, m) * bias1 / (Math.sqrt(v(gradient, v) * bias2) + EPSILON);
    }

    /** The code that z, in grid steps, is rounded to by a number u of [0, 1). */
    static int round(Grid grid, double z, double u) {
        double inside = Math.clamp(z, grid.qn(), grid.qp());
        double place = (inside - grid.qn()) / grid.step();
        double low = Math.floor(place);
        return grid.qn() + grid.step() * (int) (u < place - low ? low + 1 : low);
    }

    /** The number u of element (row, col) of a tensor with that key. */
    static double uniform(long key, int row, int col, int cols) {
        long block = row * Math.ceilDiv((long) cols, 64L) + col / 64;
        int place = col % 64;
        long counter = block * 16 + place % 16;
        int[] words = new int[4];
        Philox.block((int) counter, (int) (counter >>> 32), STREAM_WEIGHT, 0, (int) key, (int) (key >>> 32), words);
        return (words[place / 16] >>> 8) * 0x1p-24;
    }
}
