package io.sterna.optim;

import io.sterna.kernel.AdamWStep;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** AdamW (Loshchilov and Hutter 2019): moments m and v, bias-corrected, with decoupled weight decay. */
final class AdamW extends Optimizer {
    /** The numbers of each tensor's step, since several tensors are updated at a time. */
    private final Map<State, AdamWStep> steps = new IdentityHashMap<>();
    private final Workspace.Section scratch;

    AdamW(Kernels kernels, OptimizerConfig config, Workspace workspace) {
        super(kernels, config);
        this.scratch = workspace.section(MemoryKind.SCRATCH);
    }

    @Override
    public State allocate(Workspace.Section section, long rows, long cols) {
        Map<String, Moment> moments = new LinkedHashMap<>();
        moments.put("m", Moment.allocate(section, config.state(), rows, cols));
        moments.put("v", Moment.allocate(section, config.state(), rows, cols));
        State state = new State(moments);
        steps.put(state, new AdamWStep(scratch));
        return state;
    }

    @Override
    public void begin(long step) {
        float bias1 = correction(config.beta1(), step);
        float bias2 = correction(config.beta2(), step);
        for (AdamWStep struct : steps.values()) {
            struct.constants((float) config.beta1(), (float) config.beta2(), (float) config.epsilon(), bias1, bias2);
        }
    }

    private static float correction(double beta, long step) {
        return (float) (1 / (1 - StrictMath.pow(beta, step)));
    }

    @Override
    public boolean prepare(State state, TensorStep step, TiledGradient gradient) {
        steps.get(state).tensor(step.rate(), step.factor(), step.key());
        return true;
    }

    @Override
    public boolean delta(State state, FloatMatrix tile, MemorySegment squares, long row0, long row1) {
        return kernels.adamw(steps.get(state), tile, state.moments().get("m"), state.moments().get("v"), squares, row0, row1);
    }

    /** The step's struct holds the key already. */
    @Override
    public boolean update(State state, FloatMatrix tile, MemorySegment squares, PackedMatrix weight, float keep,
                          long key, Rounding rounding, MemorySegment flips, long row0, long row1) {
        return kernels.adamwPacked(steps.get(state), tile, state.moments().get("m"), state.moments().get("v"), squares, weight,
                keep, rounding, flips, row0, row1);
    }
}
