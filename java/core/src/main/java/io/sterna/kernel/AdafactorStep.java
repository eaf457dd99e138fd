package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_adafactor_step;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;

/** The numbers of an Adafactor step over one tensor, in native memory; set before slices run, then only read. */
public final class AdafactorStep {
    static {
        LibraryCache.requireAccess();
    }

    private final MemorySegment struct;

    /** All zero at first. */
    public AdafactorStep(Workspace.Section section) {
        this.struct = section.descriptor(sterna_adafactor_step.layout());
    }

    /** Sets learning rate, decay of the first moment, the factor of the gradient, and the key of the random bits of the state. */
    public void set(float rate, float beta1, float factor, long key) {
        sterna_adafactor_step.rate(struct, rate);
        sterna_adafactor_step.beta1(struct, beta1);
        sterna_adafactor_step.factor(struct, factor);
        sterna_adafactor_step.key(struct, key);
    }

    MemorySegment struct() {
        return struct;
    }

    /** The numbers, as a refusal names them. */
    @Override
    public String toString() {
        return "rate " + sterna_adafactor_step.rate(struct) + ", beta1 " + sterna_adafactor_step.beta1(struct)
                + ", factor " + sterna_adafactor_step.factor(struct);
    }
}
