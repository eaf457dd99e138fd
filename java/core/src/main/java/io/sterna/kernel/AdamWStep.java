package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_adamw_step;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;

/** The numbers of an AdamW step over one tensor, in native memory; set before slices run, then only read. */
public final class AdamWStep {
    static {
        LibraryCache.requireAccess();
    }

    private final MemorySegment struct;

    /** All zero at first. */
    public AdamWStep(Workspace.Section section) {
        this.struct = section.descriptor(sterna_adamw_step.layout());
    }

    /** Sets the decays, the term under the fraction, and the corrections 1 / (1 - beta^t). */
    public void constants(float beta1, float beta2, float epsilon, float bias1, float bias2) {
        sterna_adamw_step.beta1(struct, beta1);
        sterna_adamw_step.beta2(struct, beta2);
        sterna_adamw_step.epsilon(struct, epsilon);
        sterna_adamw_step.bias1(struct, bias1);
        sterna_adamw_step.bias2(struct, bias2);
    }

    /** Sets the learning rate, the factor of the gradient, and the key of the random bits of the state. */
    public void tensor(float rate, float factor, long key) {
        sterna_adamw_step.rate(struct, rate);
        sterna_adamw_step.factor(struct, factor);
        sterna_adamw_step.key(struct, key);
    }

    MemorySegment struct() {
        return struct;
    }

    /** The numbers, as a refusal names them. */
    @Override
    public String toString() {
        return "rate " + sterna_adamw_step.rate(struct) + ", beta1 " + sterna_adamw_step.beta1(struct)
                + ", beta2 " + sterna_adamw_step.beta2(struct) + ", epsilon " + sterna_adamw_step.epsilon(struct)
                + ", bias1 " + sterna_adamw_step.bias1(struct) + ", bias2 " + sterna_adamw_step.bias2(struct)
                + ", factor " + sterna_adamw_step.factor(struct);
    }
}
