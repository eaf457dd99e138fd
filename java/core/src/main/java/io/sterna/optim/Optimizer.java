package io.sterna.optim;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;

/**
 * Turns gradients into deltas: a weight becomes {@code weight * keep - delta}. In a step, {@link #begin}
 * comes first; then for each tensor {@link #prepare}, and {@link #delta} for its tiles, from any thread. Tensors
 * may be under way side by side, unless the optimizer {@link #needsWholeGradient}.
 */
public abstract sealed class Optimizer permits AdamW, Adafactor, Sgd {
    final Kernels kernels;
    final OptimizerConfig config;

    Optimizer(Kernels kernels, OptimizerConfig config) {
        this.kernels = kernels;
        this.config = config;
    }

    /**
     * The optimizer of a configuration.
     *
     * @param tensors that it is to {@link #allocate} state for
     */
    public static Optimizer of(OptimizerConfig config, Kernels kernels, Workspace workspace, List<TiledGradient.Size> tensors) {
        return switch (config.kind()) {
            case ADAMW -> new AdamW(kernels, config, workspace);
            case ADAFACTOR -> new Adafactor(kernels, config, workspace, tensors);
            case SGD -> new Sgd(kernels, config, workspace);
        };
    }

    /** State of one tensor: its moments by name, in the order of a checkpoint. */
    public record State(Map<String, Moment> moments) {
    }

    /**
     * What a tensor's step is computed with.
     *
     * @param rate   learning rate
     * @param factor what the gradient is multiplied by: clipping
     * @param key    of the random bits that write the state back
     */
    public record TensorStep(float rate, float factor, long key) {
    }

    /** State for a tensor (rows, cols), zero at first. */
    public abstract State allocate(Workspace.Section section, long rows, long cols);

    /** Begins step number {@code step}, counted from 1. */
    public abstract void begin(long step);

    /** Whether {@link #prepare} needs the whole gradient of a tensor before its first delta. */
    public boolean needsWholeGradient() {
        return false;
    }

    /**
     * Begins a tensor.
     *
     * @param gradient what {@link #needsWholeGradient} is about; ignored otherwise
     * @return false when the gradient is known not to be finite: nothing changed then, and no delta follows
     */
    public abstract boolean prepare(State state, TensorStep step, TiledGradient gradient);

    /**
     * A gradient tile becomes a delta tile in place.
     *
     * @param tile    F32 (row1 - row0, cols): rows row0 ... row1 - 1 of the gradient
     * @param squares double (row1 - row0): may receive the sum of the squared gradient of each row
     * @return false when the tile is not finite: state and tile are unchanged then
     */
    public abstract boolean delta(State state, FloatMatrix tile, MemorySegment squares, long row0, long row1);

    /**
     * A gradient tile changes rows row0 ... row1 - 1 of packed weights: its delta, rounded into the codes.
     *
     * @param tile  as for {@link #delta}; used up
     * @param keep  what a weight is multiplied by before its delta is taken off
     * @param key   the key given to {@link #prepare}
     * @param flips one long, to which the codes that changed are added
     * @return false when the tile or a delta is not finite: the weights are unchanged then
     */
    public boolean update(State state, FloatMatrix tile, MemorySegment squares, PackedMatrix weight, float keep,
                          long key, Rounding rounding, MemorySegment flips, long row0, long row1) {
        return delta(state, tile, squares, row0, row1)
                && kernels.updatePacked(weight, tile, keep, key, rounding, flips, row0, row1);
    }
}
