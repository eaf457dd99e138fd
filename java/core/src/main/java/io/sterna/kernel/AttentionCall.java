package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_attention;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The operands of causal attention, in native memory: made once, used every step. Tensors are of the
 * workspace that holds the call. Heads are counted by {@link Shape}; T = sequences * length.
 */
public final class AttentionCall {
    static {
        LibraryCache.requireAccess();
    }

    /**
     * Sizes.
     *
     * @param sequences independent sequences
     * @param length    queries of each
     * @param past      keys of each that lie before the first query
     * @param heads     query heads, a multiple of kvHeads
     * @param kvHeads   key and value heads
     * @param headDim   width of a head, even, at most 256
     * @param capacity  0 where a token's keys lie side by side in a row; else the keys of a head lie together, with room
     *                  for so many, a multiple of {@link Kernels#KEY_BLOCK}, a block of them by column, as
     *                  {@link Kernels#append(FloatMatrix, FloatMatrix, long, boolean)} writes them; values likewise, but by
     *                  row. Not in the backward pass
     */
    public record Shape(long sequences, long length, long past, long heads, long kvHeads, long headDim, long capacity) {
        /** Keys of all heads in a row. */
        public Shape(long sequences, long length, long heads, long kvHeads, long headDim) {
            this(sequences, length, 0, heads, kvHeads, headDim, 0);
        }

        long queries() {
            return sequences * length;
        }

        long keyRows() {
            return sequences * (capacity > 0 ? kvHeads * capacity : past + length);
        }

        long keyCols() {
            return capacity > 0 ? headDim : kvHeads * headDim;
        }
    }

    /** A matrix, shaped as the queries or as the keys. */
    private record Operand(String name, FloatMatrix x, boolean keys) { }

    private final MemorySegment struct;
    private final List<Operand> operands = new ArrayList<>();
    private final List<QuantizedMatrix> quantized = new ArrayList<>();
    private final FloatMatrix lse;
    private final boolean backward;
    private Shape shape;

    /**
     * Operands of the forward pass.
     *
     * @param q   queries (T, heads * headDim)
     * @param k   keys (sequences * (past + length), kvHeads * headDim), or by head (sequences * kvHeads * capacity, headDim)
     * @param v   values, as keys
     * @param out result, as queries
     * @param lse F32 (heads, T): log of the softmax's denominator
     */
    public AttentionCall(Workspace.Section section, Shape shape, FloatMatrix q, FloatMatrix k, FloatMatrix v,
                         FloatMatrix out, FloatMatrix lse) {
        this(section, q, out, lse, false);
        keysAndValues(k, v);
        resize(shape);
    }

    /** The same with quantized keys and values. */
    public AttentionCall(Workspace.Section section, Shape shape, FloatMatrix q, QuantizedMatrix k, QuantizedMatrix v,
                         FloatMatrix out, FloatMatrix lse) {
        this(section, q, out, lse, false);
        quantized.addAll(List.of(k, v));
        sterna_attention.quantized_k(struct, k.descriptor());
        sterna_attention.quantized_v(struct, v.descriptor());
        resize(shape);
    }

    /** Operands of the backward pass: those of the forward pass, and the gradients in their shapes; past is 0. */
    public AttentionCall(Workspace.Section section, Shape shape, FloatMatrix q, FloatMatrix k, FloatMatrix v,
                         FloatMatrix out, FloatMatrix lse, FloatMatrix dout, FloatMatrix dq, FloatMatrix dk,
                         FloatMatrix dv) {
        this(section, q, out, lse, true);
        keysAndValues(k, v);
        sterna_attention.dout(struct, add("dout", dout, false));
        sterna_attention.dq(struct, add("dq", dq, false));
        sterna_attention.dk(struct, add("dk", dk, true));
        sterna_attention.dv(struct, add("dv", dv, true));
        resize(shape);
    }

    private AttentionCall(Workspace.Section section, FloatMatrix q, FloatMatrix out, FloatMatrix lse, boolean backward) {
        this.struct = section.descriptor(sterna_attention.layout());
        this.lse = lse;
        this.backward = backward;
        sterna_attention.q(struct, add("q", q, false));
        sterna_attention.out(struct, add("out", out, false));
    }

    private void keysAndValues(FloatMatrix k, FloatMatrix v) {
        sterna_attention.k(struct, add("k", k, true));
        sterna_attention.v(struct, add("v", v, true));
    }

    private MemorySegment add(String name, FloatMatrix x, boolean keys) {
        operands.add(new Operand(name, x, keys));
        return x.descriptor();
    }

    /**
     * Makes it a call of another shape, that which its tensors have by now. Not while it is under way.
     *
     * @return this
     * @throws IllegalArgumentException when a tensor has another shape; the call stays what it was
     */
    public AttentionCall resize(Shape newShape) {
        for (Operand operand : operands) {
            Checks.sameWorkspace(operand.name, struct, operand.x.descriptor());
            Checks.matrix(operand.name, operand.x, operand.keys ? newShape.keyRows() : newShape.queries(),
                    operand.keys ? newShape.keyCols() : newShape.heads * newShape.headDim);
        }
        for (QuantizedMatrix x : quantized) {
            Checks.sameWorkspace("k or v", struct, x.descriptor());
            Checks.quantized("k or v", x, newShape.keyRows(), newShape.keyCols());
        }
        Checks.sameWorkspace("lse", struct, lse.descriptor());
        Checks.vector("lse", lse, newShape.heads, newShape.queries());
        shape = newShape;
        sterna_attention.lse(struct, lse.data());
        sterna_attention.sequences(struct, shape.sequences);
        sterna_attention.length(struct, shape.length);
        sterna_attention.past(struct, shape.past);
        sterna_attention.heads(struct, shape.heads);
        sterna_attention.kv_heads(struct, shape.kvHeads);
        sterna_attention.head_dim(struct, shape.headDim);
        sterna_attention.capacity(struct, shape.capacity);
        return this;
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
