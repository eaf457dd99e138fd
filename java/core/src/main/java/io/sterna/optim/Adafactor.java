package io.sterna.optim;

import io.sterna.kernel.AdafactorStep;
import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.StateType;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;

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
    /** The sums of columns by tile. */
    private final MemorySegment tileSums;
    private double beta2;

    Adafactor(Kernels kernels, OptimizerConfig config, Workspace workspace, List<TiledGradient.Size> tensors) {
        super(kernels, config);
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        this.struct = new AdafactorStep(section);
        long maxRows = largest(tensors, TiledGradient.Size::rows);
        long maxCols = largest(tensors, TiledGradient.Size::cols);
        this.rowFactor = FloatMatrix.allocate(section, FloatType.F32, 1, maxRows);
        this.colFactor = FloatMatrix.allocate(section, FloatType.F32, 1, maxCols);
        this.rowSums = section.allocate(maxRows * Double.BYTES);
        this.colSums = section.allocate(maxCols * Double.BYTES);
        this.tileSums = section.allocate(largest(tensors, size -> size.tiles() * size.cols()) * Double.BYTES);
    }

    private static long largest(List<TiledGradient.Size> tensors, ToLongFunction<TiledGradient.Size> number) {
        return tensors.stream().mapToLong(number).max().orElseThrow();
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
    public boolean prepare(State state, TensorStep step, TiledGradient gradient) {
        TiledGradient.Size size = gradient.size();
        gradient.forEach((tile, r0, r1) -> {
            kernels.rowSquares(tile, doubles(rowSums, r0), 0, r1 - r0);
            kernels.columnSquares(tile, doubles(tileSums, r0 / size.tileRows() * size.cols()), 0, size.cols());
        });
        double squared = (double) step.factor() * step.factor();
        if (!Float.isFinite((float) (squared * sum(rowSums, size.rows())))) {
            return false;
        }
        addTileSums(size);
        Moment rows = state.moments().get("r");
        Moment cols = state.moments().get("c");
        decay(rows, rowSums, squared / size.cols());
        decay(cols, colSums, squared / size.rows());
        factors(rows, rowFactor, mean(rows));
        factors(cols, colFactor, 1);
        struct.set(step.rate(), (float) config.beta1(), step.factor() / clip(step, gradient), step.key());
        return true;
    }

    /** In the order of the tiles, so that they do not depend on threads. */
    private void addTileSums(TiledGradient.Size size) {
        for (long c = 0; c < size.cols(); c++) {
            double sum = 0;
            for (long tile = 0; tile < size.tiles(); tile++) {
                sum += tileSums.getAtIndex(ValueLayout.JAVA_DOUBLE, tile * size.cols() + c);
            }
            colSums.setAtIndex(ValueLayout.JAVA_DOUBLE, c, sum);
        }
    }

    /** max(1, root mean square of the update / clip). */
    private float clip(TensorStep step, TiledGradient gradient) {
        struct.set(step.rate(), (float) config.beta1(), step.factor(), step.key());
        gradient.forEach((tile, r0, r1) ->
                kernels.adafactorSquares(struct, tile, rowFactor, colFactor, doubles(rowSums, r0), r0, r1));
        TiledGradient.Size size = gradient.size();
        double rms = Math.sqrt(sum(rowSums, size.rows()) / (size.rows() * size.cols()));
        return (float) Math.max(1, rms / config.clip());
    }

    private static MemorySegment doubles(MemorySegment values, long from) {
        return values.asSlice(from * Double.BYTES);
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
