package io.sterna.optim;

import io.sterna.kernel.AdafactorStep;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.StateType;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Adafactor (Shazeer and Stern 2018) with a given learning rate: the second moment v is kept as the means
 * of its rows r (N) and of its columns c (K), v = r c / mean(r), decayed by 1 - t^-0.8; the update
 * u = g / sqrt(v) is scaled down when its root mean square exceeds the clip; the first moment is optional.
 */
final class Adafactor extends Optimizer {
    private static final double DECAY = -0.8;

    private final AdafactorStep struct;
    private final FloatMatrix rowFactor;
    private final FloatMatrix colFactor;
    private final MemorySegment rowSums;
    private final MemorySegment colSums;
    private final FloatMatrix[] windows;
    private double beta2;

    Adafactor(Kernels kernels, OptimizerConfig config, Workspace workspace, int workers, long maxRows, long maxCols) {
        super(kernels, config);
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        this.struct = new AdafactorStep(section);
        this.rowFactor = FloatMatrix.allocate(section, FloatType.F32, 1, maxRows);
        this.colFactor = FloatMatrix.allocate(section, FloatType.F32, 1, maxCols);
        this.rowSums = section.allocate(maxRows * Double.BYTES);
        this.colSums = section.allocate(maxCols * Double.BYTES);
        this.windows = new FloatMatrix[workers];
        Arrays.setAll(windows, i -> FloatMatrix.window(section));
    }

    @Override
    public State allocate(Workspace.Section section, long rows, long cols) {
        Map<String, Moment> moments = new LinkedHashMap<>();
        moments.put("r", Moment.allocate(section, StateType.F32, 1, rows));
        moments.put("c", Moment.allocate(section, StateType.F32, 1, cols));
        if (config.beta1() > 0) {
            moments.put("m", Moment.allocate(section, config.state(), rows, cols));
        }
        return new State(moments);
    }

    @Override
    public void begin(long step) {
        beta2 = 1 - StrictMath.pow(step, DECAY);
    }

    @Override
    public boolean needsWholeGradient() {
        return true;
    }

    @Override
    public boolean prepare(State state, TensorStep step, FloatMatrix gradient, Slices slices) {
        slices.rows(gradient.rows(), 16, (r0, r1, worker) -> kernels.rowSquares(gradient, rowSums(r0), r0, r1));
        double squared = (double) step.factor() * step.factor();
        if (!Float.isFinite((float) (squared * sum(rowSums, gradient.rows())))) {
            return false;
        }
        slices.rows(gradient.cols(), 64, (c0, c1, worker) -> kernels.columnSquares(gradient, colSums, c0, c1));
        Moment rows = state.moments().get("r");
        Moment cols = state.moments().get("c");
        decay(rows, rowSums, squared / gradient.cols());
        decay(cols, colSums, squared / gradient.rows());
        factors(rows, rowFactor, mean(rows));
        factors(cols, colFactor, 1);
        struct.set(step.rate(), (float) config.beta1(), step.factor() / clip(step, gradient, slices), step.key());
        return true;
    }

    /** max(1, root mean square of the update / clip). */
    private float clip(TensorStep step, FloatMatrix gradient, Slices slices) {
        struct.set(step.rate(), (float) config.beta1(), step.factor(), step.key());
        slices.rows(gradient.rows(), 16, (r0, r1, worker) -> kernels.adafactorSquares(struct,
                windows[worker.index()].overRows(gradient, r0, r1), rowFactor, colFactor, rowSums(r0), r0, r1));
        double rms = Math.sqrt(sum(rowSums, gradient.rows()) / (gradient.rows() * gradient.cols()));
        return (float) Math.max(1, rms / config.clip());
    }

    private MemorySegment rowSums(long row0) {
        return rowSums.asSlice(row0 * Double.BYTES);
    }

    /** A moment becomes beta2 * moment + (1 - beta2) * (mean of squares + epsilon). */
    private void decay(Moment moment, MemorySegment sums, double scale) {
        for (long i = 0; i < moment.cols(); i++) {
            double fresh = sums.getAtIndex(ValueLayout.JAVA_DOUBLE, i) * scale + config.epsilon();
            double old = moment.data().getAtIndex(ValueLayout.JAVA_FLOAT, i);
            moment.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (beta2 * old + (1 - beta2) * fresh));
        }
    }

    /** factor = 1 / sqrt(moment / unit). */
    private static void factors(Moment moment, FloatMatrix factor, double unit) {
        for (long i = 0; i < moment.cols(); i++) {
            factor.set(0, i, (float) (1 / Math.sqrt(moment.data().getAtIndex(ValueLayout.JAVA_FLOAT, i) / unit)));
        }
    }

    private static double mean(Moment moment) {
        double sum = 0;
        for (long i = 0; i < moment.cols(); i++) {
            sum += moment.data().getAtIndex(ValueLayout.JAVA_FLOAT, i);
        }
        return sum / moment.cols();
    }

    private static double sum(MemorySegment values, long count) {
        double sum = 0;
        for (long i = 0; i < count; i++) {
            sum += values.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
        }
        return sum;
    }

    @Override
    public boolean delta(State state, FloatMatrix tile, MemorySegment squares, long row0, long row1) {
        return kernels.adafactor(struct, tile, rowFactor, colFactor, state.moments().get("m"), row0, row1);
    }
}
