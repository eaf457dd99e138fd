package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_sgd_step;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;

/** The numbers of an SGD step over one tensor, in native memory; set before slices run, then only read. */
public final class SgdStep {
    static {
        LibraryCache.requireAccess();
    }

    private final MemorySegment struct;

    /** All zero at first. */
    public SgdStep(Workspace.Section section) {
        this.struct = section.descriptor(sterna_sgd_step.layout());
    }

    /** Sets learning rate, momentum, the factor of the gradient, and the key of the random bits of the state. */
    public void set(float rate, float momentum, float factor, long key) {
        sterna_sgd_step.rate(struct, rate);
        sterna_sgd_step.momentum(struct, momentum);
        sterna_sgd_step.factor(struct, factor);
        sterna_sgd_step.key(struct, key);
    }

    MemorySegment struct() {
        return struct;
    }

    /** The numbers, as a refusal names them. */
    @Override
    public String toString() {
        return "rate " + sterna_sgd_step.rate(struct) + ", momentum " + sterna_sgd_step.momentum(struct)
                + ", factor " + sterna_sgd_step.factor(struct);
    }
}
