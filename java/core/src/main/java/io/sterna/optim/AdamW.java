package io.sterna.optim;

import io.sterna.kernel.AdamWStep;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Slices;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;

/** AdamW (Loshchilov and Hutter 2019): moments m and v, bias-corrected, with decoupled weight decay. */
final class AdamW extends Optimizer {
    private final AdamWStep struct;

    AdamW(Kernels kernels, OptimizerConfig config, Workspace workspace) {
        super(kernels, config);
        this.struct = new AdamWStep(workspace.section(MemoryKind.SCRATCH));
    }

    @Override
    public State allocate(Workspace.Section section, long rows, long cols) {
        Map<String, Moment> moments = new LinkedHashMap<>();
        moments.put("m", Moment.allocate(section, config.state(), rows, cols));
        moments.put("v", Moment.allocate(section, config.state(), rows, cols));
        return new State(moments);
    }

    @Override
    public void begin(long step) {
        struct.constants((float) config.beta1(), (float) config.beta2(), (float) config.epsilon(),
                correction(config.beta1(), step), correction(config.beta2(), step));
    }

    private static float correction(double beta, long step) {
        return (float) (1 / (1 - StrictMath.pow(beta, step)));
    }

    @Override
    public boolean prepare(State state, TensorStep step, FloatMatrix gradient, Slices slices) {
        struct.tensor(step.rate(), step.factor(), step.key());
        return true;
    }

    @Override
    public boolean delta(State state, FloatMatrix tile, MemorySegment squares, long row0, long row1) {
        return kernels.adamw(struct, tile, state.moments().get("m"), state.moments().get("v"), squares, row0, row1);
    }

    /** The step's struct holds the key already. */
    @Override
    public boolean update(State state, FloatMatrix tile, MemorySegment squares, PackedMatrix weight, float keep,
                          long key, Rounding rounding, MemorySegment flips, long row0, long row1) {
        return kernels.adamwPacked(struct, tile, state.moments().get("m"), state.moments().get("v"), squares, weight,
                keep, rounding, flips, row0, row1);
    }
}
