package io.sterna.optim;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.SgdStep;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.IdentityHashMap;
import java.util.Map;

/** Stochastic gradient descent with heavy-ball momentum (Polyak 1964): m = momentum * m + g, delta = rate * m; without it rate * g. */
final class Sgd extends Optimizer {
    /** The numbers of each tensor's step, since several tensors are updated at a time. */
    private final Map<State, SgdStep> steps = new IdentityHashMap<>();
    private final Workspace.Section scratch;

    Sgd(Kernels kernels, OptimizerConfig config, Workspace workspace) {
        super(kernels, config);
        this.scratch = workspace.section(MemoryKind.SCRATCH);
    }

    @Override
    public State allocate(Workspace.Section section, long rows, long cols) {
        State state = new State(config.momentum() == 0 ? Map.of()
                : Map.of("m", Moment.allocate(section, config.state(), rows, cols)));
        steps.put(state, new SgdStep(scratch));
        return state;
    }

    @Override
    public void begin(long step) {
        // Nothing depends on the step.
    }

    @Override
    public boolean prepare(State state, TensorStep step, TiledGradient gradient) {
        steps.get(state).set(step.rate(), (float) config.momentum(), step.factor(), step.key());
        return true;
    }

    @Override
    public boolean delta(State state, FloatMatrix tile, MemorySegment squares, long row0, long row1) {
        return kernels.sgd(steps.get(state), tile, state.moments().get("m"), squares, row0, row1);
    }
}
