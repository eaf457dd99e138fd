package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_attention;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The operands of causal attention, in native memory: made once, used every step. Tensors are of the
 * workspace that holds the call. Heads are counted by {@link Shape}; T = sequences * length.
 */
public final class AttentionCall {
    /**
     * Sizes.
     *
     * @param sequences independent sequences
     * @param length    queries of each
     * @param past      keys of each that lie before the first query
     * @param heads     query heads, a multiple of kvHeads
     * @param kvHeads   key and value heads
     * @param headDim   width of a head, even, at most 256
     */
    public record Shape(long sequences, long length, long past, long heads, long kvHeads, long headDim) {
        long queries() {
            return sequences * length;
        }

        long keys() {
            return sequences * (past + length);
        }
    }

    private final MemorySegment struct;
    private final boolean backward;
    private final List<FloatMatrix> tensors;
    private final FloatMatrix lse;
    private Shape shape;

    /**
     * Operands of the forward pass.
     *
     * @param q   queries (T, heads * headDim)
     * @param k   keys (sequences * (past + length), kvHeads * headDim)
     * @param v   values, as keys
     * @param out result, as queries
     * @param lse F32 (heads, T): log of the softmax's denominator
     */
    public AttentionCall(Workspace.Section section, Shape shape, FloatMatrix q, FloatMatrix k, FloatMatrix v,
                         FloatMatrix out, FloatMatrix lse) {
        this(section, shape, false, List.of(q, k, v, out), lse);
    }

    /** Operands of the backward pass: those of the forward pass, and the gradients in their shapes; past is 0. */
    public AttentionCall(Workspace.Section section, Shape shape, FloatMatrix q, FloatMatrix k, FloatMatrix v,
                         FloatMatrix out, FloatMatrix lse, FloatMatrix dout, FloatMatrix dq, FloatMatrix dk,
                         FloatMatrix dv) {
        this(section, shape, true, List.of(q, k, v, out, dout, dq, dk, dv), lse);
        sterna_attention.dout(struct, dout.descriptor());
        sterna_attention.dq(struct, dq.descriptor());
        sterna_attention.dk(struct, dk.descriptor());
        sterna_attention.dv(struct, dv.descriptor());
    }

    private AttentionCall(Workspace.Section section, Shape shape, boolean backward, List<FloatMatrix> x, FloatMatrix lse) {
        this.backward = backward;
        this.tensors = x;
        this.lse = lse;
        this.struct = section.descriptor(sterna_attention.layout());
        sterna_attention.q(struct, x.get(0).descriptor());
        sterna_attention.k(struct, x.get(1).descriptor());
        sterna_attention.v(struct, x.get(2).descriptor());
        sterna_attention.out(struct, x.get(3).descriptor());
        resize(shape);
    }

    /**
     * Makes it a call of another shape, that which its tensors have by now. Not while it is under way.
     *
     * @return this
     */
    public AttentionCall resize(Shape newShape) {
        shape = newShape;
        for (int i = 0; i < tensors.size(); i++) {
            check(i, tensors.get(i));
        }
        Checks.sameWorkspace("lse", struct, lse.descriptor());
        Checks.vector("lse", lse, shape.heads, shape.queries());
        sterna_attention.lse(struct, lse.data());
        sterna_attention.sequences(struct, shape.sequences);
        sterna_attention.length(struct, shape.length);
        sterna_attention.past(struct, shape.past);
        sterna_attention.heads(struct, shape.heads);
        sterna_attention.kv_heads(struct, shape.kvHeads);
        sterna_attention.head_dim(struct, shape.headDim);
        return this;
    }

    /** In both passes k and v, and dk and dv, are shaped as keys; the others as queries. */
    private void check(int index, FloatMatrix x) {
        String name = List.of("q", "k", "v", "out", "dout", "dq", "dk", "dv").get(index);
        boolean keys = index == 1 || index == 2 || index >= 6;
        Checks.sameWorkspace(name, struct, x.descriptor());
        Checks.matrix(name, x, keys ? shape.keys() : shape.queries(), (keys ? shape.kvHeads : shape.heads) * shape.headDim);
    }

    /** Independent pieces of work: a sequence and a key-value head each. */
    public long units() {
        return shape.sequences * shape.kvHeads;
    }

    boolean backward() {
        return backward;
    }

    MemorySegment struct() {
        return struct;
    }

    @Override
    public String toString() {
        return "attention " + shape;
    }
}
