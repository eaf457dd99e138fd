package io.sterna.kernel;

import static io.sterna.kernel.ffm.sterna_h.*;

import io.sterna.kernel.KernelException.Reason;
import io.sterna.rng.SrKey;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Scaling;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Every downcall: check, invoke, status. A method is one kernel of {@code sterna.h} on one tier, over the
 * slice row0 ... row1 - 1; shapes, units and methods are stated there. T counts tokens, K input features,
 * N output features.
 *
 * <p>Methods throw {@link IllegalArgumentException} when a shape does not fit or memory has been closed,
 * and {@link KernelException} when the kernel refuses. Nothing is written then, unless a method says otherwise. None
 * allocates native memory. Thread-safe: slices that write different rows may run at the same time.
 */
public final class Kernels {
    static {
        LibraryCache.requireAccess();
    }

    /** {@link #gemm}, {@link #inputGradient}, {@link #weightGradient}: add to the result. */
    public static final int ACCUMULATE = STERNA_ACCUMULATE();
    /** {@link #gemm}: a is stored (K, M). */
    public static final int TRANSPOSE_A = STERNA_TRANSPOSE_A();
    /** {@link #gemm}: b is stored (N, K). */
    public static final int TRANSPOSE_B = STERNA_TRANSPOSE_B();
    /** {@link #gemm}: operands may be rounded to bf16 where the tier has a bf16 matrix unit. */
    public static final int ALLOW_BF16 = STERNA_ALLOW_BF16();
    /** Flag: a gradient, or both operands of {@link #gemm}, may be rounded to 16-bit fixed point where the tier multiplies that faster than floats. */
    public static final int ALLOW_INT16 = STERNA_ALLOW_INT16();
    /** Keys of a cache that lie by column together. */
    public static final int KEY_BLOCK = STERNA_KEY_BLOCK();
    /** Doubles that {@link #statistics} gives a group: sum |x|, max |x|, sum x, sum x squared. */
    public static final int STATISTICS = 4;

    private static final int OK = STERNA_OK();

    private final Tier of;
    private final int tier;

    private Kernels(Tier tier) {
        this.of = tier;
        this.tier = tier.code();
    }

    /**
     * The kernels of a tier.
     *
     * @throws IllegalArgumentException when this machine does not grant it
     */
    public static Kernels of(Tier tier) {
        Tier granted = Tier.granted();
        if (tier.compareTo(granted) > 0) {
            throw new IllegalArgumentException("tier " + tier + ": this machine grants at most " + granted);
        }
        return new Kernels(tier);
    }

    /** The kernels of {@link Tier#best}. */
    public static Kernels best() {
        return of(Tier.best());
    }

    /** The same, or those of the highest tier below whose products of floats are all in f32. */
    public Kernels inF32() {
        return multiplyBf16() ? new Kernels(Tier.AVX512VNNI) : this;
    }

    /** Whether products of floats that may be rounded to bf16 are. */
    public boolean multiplyBf16() {
        return of == Tier.AMX;
    }

    /** The tier. */
    public Tier tier() {
        return of;
    }

    /** The key of a tensor's random bits in a step. */
    public static long key(long seed, int tensor, long step) {
        return SrKey.of(seed, tensor, step);
    }

    // ------------------------------------------------------------ packed weights

    /** Normal numbers for rows row0 ... row1 - 1 of a tensor; x's first row is row0. */
    public void normal(long key, float deviation, FloatMatrix x, long row0, long row1) {
        Checks.slice(row0, row1, Long.MAX_VALUE);
        Checks.tile("x", x, row1 - row0, x.cols());
        int status = sterna_normal(tier, key, deviation, x.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("normal", status, "key deviation x row0 row1", key, deviation, x, row0, row1);
        }
    }

    /**
     * {@value #STATISTICS} doubles for each row and each run of {@code group} columns of it.
     *
     * @param group 0 for the whole row, or a multiple of 64
     * @param stats double (rows of x, groups, 4)
     */
    public void statistics(FloatMatrix x, long group, MemorySegment stats, long row0, long row1) {
        Checks.alive("x", x);
        Checks.slice(row0, row1, x.rows());
        Checks.output("stats", stats, row1 * (group == 0 ? 1 : Math.ceilDiv(x.cols(), group)) * STATISTICS * Double.BYTES);
        int status = sterna_statistics(tier, x.descriptor(), group, stats, row0, row1);
        if (status != OK) {
            throw new KernelException("statistics", status, "x group stats row0 row1", x, group, stats, row0, row1);
        }
    }

    /** Rows row0 ... row1 - 1 of w become the codes nearest to x / scale; x's first row is row0. */
    public void encode(FloatMatrix x, PackedMatrix w, long row0, long row1) {
        Checks.packed("w", w, w.rows(), w.cols());
        Checks.slice(row0, row1, w.rows());
        Checks.tile("x", x, row1 - row0, w.cols());
        int status = sterna_encode(tier, x.descriptor(), w.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("encode", status, "x w row0 row1", x, w, row0, row1);
        }
    }

    /** x = code * scale for rows row0 ... row1 - 1 of w; x's first row is row0. */
    public void decode(PackedMatrix w, FloatMatrix x, long row0, long row1) {
        Checks.packed("w", w, w.rows(), w.cols());
        Checks.slice(row0, row1, w.rows());
        Checks.tile("x", x, row1 - row0, w.cols());
        int status = sterna_decode(tier, w.descriptor(), x.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("decode", status, "w x row0 row1", w, x, row0, row1);
        }
    }

    /** Adds to counts[code - Qn] for every weight of the rows; {@code counts} is 256 longs. */
    public void histogram(PackedMatrix w, MemorySegment counts, long row0, long row1) {
        Checks.packed("w", w, w.rows(), w.cols());
        Checks.slice(row0, row1, w.rows());
        Checks.output("counts", counts, 256 * Long.BYTES);
        int status = sterna_histogram(tier, w.descriptor(), counts, row0, row1);
        if (status != OK) {
            throw new KernelException("histogram", status, "w counts row0 row1", w, counts, row0, row1);
        }
    }

    /** Ternary codes of the rows at rest: {@code trits} holds ceil(cols / 5) bytes for each row of w. */
    public static void packTrits(PackedMatrix w, MemorySegment trits, long row0, long row1) {
        checkTrits(w, trits, row0, row1);
        Checks.output("trits", trits, 0);
        int status = sterna_trits_pack(w.descriptor(), trits, row0, row1);
        if (status != OK) {
            // These two take no tier, so their first argument has position 1.
            throw new KernelException("trits_pack", status - 16, "w trits row0 row1", w, trits, row0, row1);
        }
    }

    /** The reverse of {@link #packTrits}; refuses a byte that is no 5 trits. */
    public static void unpackTrits(MemorySegment trits, PackedMatrix w, long row0, long row1) {
        checkTrits(w, trits, row0, row1);
        int status = sterna_trits_unpack(trits, w.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("trits_unpack", status - 16, "trits w row0 row1", trits, w, row0, row1);
        }
    }

    private static void checkTrits(PackedMatrix w, MemorySegment trits, long row0, long row1) {
        NativeLibrary.load();
        Checks.packed("w", w, w.rows(), w.cols());
        if (w.grid() != Grid.TERNARY) {
            throw new IllegalArgumentException("w = " + w + ": must be ternary");
        }
        Checks.slice(row0, row1, w.rows());
        Checks.bytes("trits", trits, w.rows() * Math.ceilDiv(w.cols(), 5));
    }

    // ------------------------------------------------------------ activations

    /** Per-token absmax int8; {@link Reason#NONFINITE} for a NaN or an infinity, when rows of the slice may have been written. */
    public void quantize(FloatMatrix x, QuantizedMatrix q, long row0, long row1) {
        Checks.alive("x", x);
        Checks.quantized("q", q, x.rows(), x.cols());
        Checks.slice(row0, row1, x.rows());
        int status = sterna_quantize(tier, x.descriptor(), q.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("quantize", status, "x q row0 row1", x, q, row0, row1);
        }
    }

    /** y = x / rms * gain (1, K); inverse roots to invRms (1, T). */
    public void rmsnorm(FloatMatrix x, FloatMatrix gain, float epsilon, FloatMatrix y, FloatMatrix invRms, long row0, long row1) {
        checkNorm(x, gain, invRms, row0, row1);
        Checks.matrix("y", y, x.rows(), x.cols());
        int status = sterna_rmsnorm(tier, x.descriptor(), gain.descriptor(), epsilon, y.descriptor(), invRms.data(), row0, row1);
        if (status != OK) {
            throw new KernelException("rmsnorm", status, "x gain epsilon y inv_rms row0 row1", x, gain, epsilon, y, invRms, row0, row1);
        }
    }

    /** The result of {@link #rmsnorm} in int8; refuses what {@link #quantize} does, and a gain beyond 1e18, or not finite, before it writes. */
    public void rmsnormQuantize(FloatMatrix x, FloatMatrix gain, float epsilon, QuantizedMatrix q, FloatMatrix invRms, long row0, long row1) {
        checkNorm(x, gain, invRms, row0, row1);
        Checks.quantized("q", q, x.rows(), x.cols());
        int status = sterna_rmsnorm_quantize(tier, x.descriptor(), gain.descriptor(), epsilon, q.descriptor(), invRms.data(), row0, row1);
        if (status != OK) {
            throw new KernelException("rmsnorm_quantize", status, "x gain epsilon q inv_rms row0 row1", x, gain, epsilon, q, invRms, row0, row1);
        }
    }

    /**
     * dx from dy (T, K), and the gradient of the gain; dx may be dy when it is not added to.
     *
     * @param dgain (1, K) F32, receives the sum over the rows of the slice
     */
    public void rmsnormBackward(FloatMatrix x, FloatMatrix gain, FloatMatrix invRms, FloatMatrix dy, FloatMatrix dx,
            boolean accumulate, FloatMatrix dgain, long row0, long row1) {
        checkNorm(x, gain, invRms, row0, row1);
        Checks.matrix("dy", dy, x.rows(), x.cols());
        Checks.matrix("dx", dx, x.rows(), x.cols());
        Checks.vector("dgain", dgain, 1, x.cols());
        int status = sterna_rmsnorm_backward(tier, x.descriptor(), gain.descriptor(), invRms.data(), dy.descriptor(),
                dx.descriptor(), flag(accumulate), dgain.data(), row0, row1);
        if (status != OK) {
            throw new KernelException("rmsnorm_backward", status, "x gain inv_rms dy dx accumulate dgain row0 row1", x, gain, invRms, dy,
                    dx, accumulate, dgain, row0, row1);
        }
    }

    private static void checkNorm(FloatMatrix x, FloatMatrix gain, FloatMatrix invRms, long row0, long row1) {
        Checks.alive("x", x);
        Checks.matrix("gain", gain, 1, x.cols());
        Checks.vector("inv_rms", invRms, 1, x.rows());
        Checks.slice(row0, row1, x.rows());
    }

    /**
     * Rotary positions in place; the position of row r is first + r % length.
     *
     * @param table   (positions, headDim): cosines, then sines
     * @param forward whether to turn forward; back is the gradient
     */
    public void rope(FloatMatrix x, long headDim, FloatMatrix table, long length, long first, boolean forward, long row0, long row1) {
        Checks.alive("x", x);
        Checks.tile("table", table, 1, headDim);
        Checks.slice(row0, row1, x.rows());
        int status = sterna_rope(tier, x.descriptor(), headDim, table.descriptor(), length, first, forward ? 1 : -1, row0, row1);
        if (status != OK) {
            throw new KernelException("rope", status, "x head_dim table length first direction row0 row1", x, headDim, table,
                    length, first, forward, row0, row1);
        }
    }

    /** y = silu(gate) * up. */
    public void swiglu(FloatMatrix gate, FloatMatrix up, FloatMatrix y, long row0, long row1) {
        Checks.alive("gate", gate);
        Checks.matrix("up", up, gate.rows(), gate.cols());
        Checks.matrix("y", y, gate.rows(), gate.cols());
        Checks.slice(row0, row1, gate.rows());
        int status = sterna_swiglu(tier, gate.descriptor(), up.descriptor(), y.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("swiglu", status, "gate up y row0 row1", gate, up, y, row0, row1);
        }
    }

    /** dgate and dup from dy; they may be gate and up. */
    public void swigluBackward(FloatMatrix gate, FloatMatrix up, FloatMatrix dy, FloatMatrix dgate, FloatMatrix dup, long row0, long row1) {
        Checks.alive("gate", gate);
        Checks.matrix("up", up, gate.rows(), gate.cols());
        Checks.matrix("dy", dy, gate.rows(), gate.cols());
        Checks.matrix("dgate", dgate, gate.rows(), gate.cols());
        Checks.matrix("dup", dup, gate.rows(), gate.cols());
        Checks.slice(row0, row1, gate.rows());
        int status = sterna_swiglu_backward(tier, gate.descriptor(), up.descriptor(), dy.descriptor(), dgate.descriptor(),
                dup.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("swiglu_backward", status, "gate up dy dgate dup row0 row1", gate, up, dy, dgate, dup, row0, row1);
        }
    }

    /** y += x. */
    public void add(FloatMatrix x, FloatMatrix y, long row0, long row1) {
        Checks.alive("x", x);
        Checks.matrix("y", y, x.rows(), x.cols());
        Checks.slice(row0, row1, x.rows());
        int status = sterna_add(tier, x.descriptor(), y.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("add", status, "x y row0 row1", x, y, row0, row1);
        }
    }

    /** y = x, with conversion of the type. */
    public void copy(FloatMatrix x, FloatMatrix y, long row0, long row1) {
        Checks.alive("x", x);
        Checks.matrix("y", y, x.rows(), x.cols());
        Checks.slice(row0, row1, x.rows());
        int status = sterna_copy(tier, x.descriptor(), y.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("copy", status, "x y row0 row1", x, y, row0, row1);
        }
    }

    /**
     * Puts keys or values x (T, heads * headDim) behind the {@code first} tokens that y (heads * capacity, headDim) holds
     * of every head, with conversion of the type.
     *
     * @param byColumn whether every {@link #KEY_BLOCK} rows of y lie by column, as attention wants the keys of a cache; the
     *                 capacity is a multiple of it then
     */
    public void append(FloatMatrix x, FloatMatrix y, long first, boolean byColumn) {
        Checks.alive("x", x);
        Checks.alive("y", y);
        int status = sterna_append(tier, x.descriptor(), y.descriptor(), first, byColumn ? 1 : 0);
        if (status != OK) {
            throw new KernelException("append", status, "x y first byColumn", x, y, first, byColumn);
        }
    }

    /**
     * The same as {@link #quantize} makes them, a scale for each head of a token; {@link Reason#NONFINITE} for a NaN or an
     * infinity, which leaves what was appended undefined.
     */
    public void append(FloatMatrix x, QuantizedMatrix q, long first, boolean byColumn) {
        Checks.alive("x", x);
        Checks.alive("q", q, q.descriptor());
        int status = sterna_append_quantized(tier, x.descriptor(), q.descriptor(), first, byColumn ? 1 : 0);
        if (status != OK) {
            throw new KernelException("append_quantized", status, "x q first byColumn", x, q, first, byColumn);
        }
    }

    /** y(r) = table(ids[r]); {@code ids} is int32 (T). */
    public void gather(FloatMatrix table, MemorySegment ids, FloatMatrix y, long row0, long row1) {
        Checks.alive("table", table);
        Checks.tile("y", y, 1, table.cols());
        Checks.bytes("ids", ids, y.rows() * Integer.BYTES);
        Checks.slice(row0, row1, y.rows());
        int status = sterna_gather(tier, table.descriptor(), ids, y.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("gather", status, "table ids y row0 row1", table, outside(ids, 0, table.rows(), row0, row1), y, row0, row1);
        }
    }

    /** dtable(ids[r] - id0) += dy(r) for all r whose id lies in id0 ... id0 + rows of dtable - 1. */
    public void scatterAdd(FloatMatrix dy, MemorySegment ids, long id0, FloatMatrix dtable) {
        Checks.alive("dy", dy);
        Checks.bytes("ids", ids, dy.rows() * Integer.BYTES);
        Checks.tile("dtable", dtable, 1, dy.cols());
        int status = sterna_scatter_add(tier, dy.descriptor(), ids, id0, dtable.descriptor());
        if (status != OK) {
            throw new KernelException("scatter_add", status, "dy ids id0 dtable", dy, ids, id0, dtable);
        }
    }

    /**
     * Folds logits (T, chunk) of tokens vocab0 ... into max, sum and target, each (1, T).
     *
     * @param targets int32 (T); -1 is ignored
     */
    public void crossEntropy(FloatMatrix logits, long vocab0, MemorySegment targets, FloatMatrix max, FloatMatrix sum,
            FloatMatrix target, long row0, long row1) {
        checkTargets(logits, targets, max, sum, row0, row1);
        Checks.vector("target", target, 1, logits.rows());
        int status = sterna_cross_entropy(tier, logits.descriptor(), vocab0, targets, max.data(), sum.data(), target.data(), row0, row1);
        if (status != OK) {
            throw new KernelException("cross_entropy", status, "logits vocab0 targets max sum target row0 row1", logits, vocab0,
                    outside(targets, -1, Long.MAX_VALUE, row0, row1), max, sum, target, row0, row1);
        }
    }

    /**
     * gradient (T, chunk) = (softmax - onehot) * factor, 0 where the target is -1; maybe the logits themselves, or
     * {@linkplain FloatMatrix#asBf16 their rows as bf16}.
     */
    public void crossEntropyGradient(FloatMatrix logits, long vocab0, MemorySegment targets, FloatMatrix max, FloatMatrix sum,
            float factor, FloatMatrix gradient, long row0, long row1) {
        checkTargets(logits, targets, max, sum, row0, row1);
        Checks.matrix("gradient", gradient, logits.rows(), logits.cols());
        int status = sterna_cross_entropy_gradient(tier, logits.descriptor(), vocab0, targets, max.data(), sum.data(), factor,
                gradient.descriptor(), row0, row1);
        if (status != OK) {
            throw new KernelException("cross_entropy_gradient", status, "logits vocab0 targets max sum factor gradient row0 row1", logits,
                    vocab0, outside(targets, -1, Long.MAX_VALUE, row0, row1), max, sum, factor, gradient, row0, row1);
        }
    }

    /** The first of the rows' tokens that is not in low ... high - 1, as a refusal names it. */
    private static Object outside(MemorySegment tokens, long low, long high, long row0, long row1) {
        for (long r = row0; r < row1; r++) {
            int token = tokens.get(ValueLayout.JAVA_INT_UNALIGNED, r * Integer.BYTES);
            if (token < low || token >= high) {
                return token + " in row " + r;
            }
        }
        return tokens;
    }

    private static void checkTargets(FloatMatrix logits, MemorySegment targets, FloatMatrix max, FloatMatrix sum, long row0, long row1) {
        Checks.alive("logits", logits);
        Checks.bytes("targets", targets, logits.rows() * Integer.BYTES);
        Checks.vector("max", max, 1, logits.rows());
        Checks.vector("sum", sum, 1, logits.rows());
        Checks.slice(row0, row1, logits.rows());
    }

    // ------------------------------------------------------------ products

    /**
     * y (T, N) = q (T, K) times w (N, K) transposed, for output features row0 ... row1 - 1.
     *
     * @param residual (T, N), what the product is added to, maybe y; or null
     */
    public void linear(QuantizedMatrix q, PackedMatrix w, FloatMatrix y, FloatMatrix residual, long row0, long row1, MemorySegment scratch) {
        Checks.quantized("q", q, q.rows(), w.cols());
        Checks.packed("w", w, w.rows(), w.cols());
        Checks.matrix("y", y, q.rows(), w.rows());
        if (residual != null) {
            Checks.matrix("residual", residual, q.rows(), w.rows());
        }
        Checks.slice(row0, row1, w.rows());
        Checks.scratch(scratch);
        MemorySegment added = residual == null ? MemorySegment.NULL : residual.descriptor();
        int status = sterna_linear(tier, q.descriptor(), w.descriptor(), y.descriptor(), added, row0, row1, scratch);
        if (status != OK) {
            throw new KernelException("linear", status, "q w y residual row0 row1 scratch", q, w, y, residual, row0, row1, scratch);
        }
    }

    /**
     * dx (T, K) = dy (T, N) times w (N, K), for tokens row0 ... row1 - 1.
     *
     * @param flags sum of {@link #ACCUMULATE}, {@link #ALLOW_INT16}
     */
    public void inputGradient(FloatMatrix dy, PackedMatrix w, FloatMatrix dx, int flags, long row0, long row1, MemorySegment scratch) {
        Checks.matrix("dy", dy, dy.rows(), w.rows());
        Checks.packed("w", w, w.rows(), w.cols());
        Checks.matrix("dx", dx, dy.rows(), w.cols());
        Checks.slice(row0, row1, dy.rows());
        Checks.scratch(scratch);
        int status = sterna_input_gradient(tier, dy.descriptor(), w.descriptor(), dx.descriptor(), flags, row0, row1, scratch);
        if (status != OK) {
            throw new KernelException("input_gradient", status, "dy w dx flags row0 row1 scratch", dy, w, dx, flags, row0, row1, scratch);
        }
    }

    /**
     * dw = dy (T, N) transposed times q (T, K), for output features row0 ... row1 - 1; dw's first row is row0.
     *
     * @param flags sum of {@link #ACCUMULATE}, {@link #ALLOW_INT16}
     */
    public void weightGradient(FloatMatrix dy, QuantizedMatrix q, FloatMatrix dw, int flags, long row0, long row1, MemorySegment scratch) {
        Checks.alive("dy", dy);
        Checks.quantized("q", q, dy.rows(), q.cols());
        Checks.slice(row0, row1, dy.cols());
        Checks.tile("dw", dw, row1 - row0, q.cols());
        Checks.scratch(scratch);
        int status = sterna_weight_gradient(tier, dy.descriptor(), q.descriptor(), dw.descriptor(), flags, row0, row1, scratch);
        if (status != OK) {
            throw new KernelException("weight_gradient", status, "dy q dw flags row0 row1 scratch", dy, q, dw, flags, row0, row1, scratch);
        }
    }

    /**
     * The gradient dy of a layer's output in int8, by stochastic rounding: by token, scaled by w's row scales, and
     * by feature, scaled by the token scales of x, the layer's input. Row r of dy and byToken is token first + r
     * of x and byFeature. A slice is whole groups of {@value QuantizedGradient#GROUP} tokens;
     * {@link Reason#NONFINITE} for a NaN or an infinity.
     *
     * @param dy        (tokens, N), a range of x's tokens
     * @param w         (N, K), scaled per tensor or per row; not read when byToken is null
     * @param x         (T, K); not read when byFeature is null
     * @param byToken   (tokens, N), or null
     * @param byFeature (N, T), or null
     * @param first     a multiple of {@value QuantizedGradient#GROUP}
     */
    public void quantizeGradient(FloatMatrix dy, PackedMatrix w, QuantizedMatrix x, QuantizedMatrix byToken,
                                 QuantizedGradient byFeature, long first, long key, long row0, long row1) {
        Checks.alive("dy", dy);
        Checks.slice(row0, row1, dy.rows());
        MemorySegment rowScales = MemorySegment.NULL;
        MemorySegment tokenScales = MemorySegment.NULL;
        if (byToken != null) {
            Checks.quantized("byToken", byToken, dy.rows(), dy.cols());
            checkScaledByRow(w);
            Checks.packed("w", w, dy.cols(), w.cols());
            rowScales = w.scaling().equals(Scaling.ROW) ? w.scales() : rowScales;
        }
        if (byFeature != null) {
            Checks.slice(first, first + dy.rows(), x.rows());
            Checks.quantized("x", x, x.rows(), x.cols());
            Checks.gradient("byFeature", byFeature, dy.cols(), x.rows());
            tokenScales = x.scales();
        }
        int status = sterna_quantize_gradient(tier, dy.descriptor(), rowScales, tokenScales,
                byToken == null ? MemorySegment.NULL : byToken.descriptor(),
                byFeature == null ? MemorySegment.NULL : byFeature.descriptor(), first, key, row0, row1);
        if (status != OK) {
            throw new KernelException("quantize_gradient", status, "dy row_scales x_scales by_token by_feature first key row0 row1",
                    dy, w, x, byToken, byFeature, first, key, row0, row1);
        }
    }

    private static void checkScaledByRow(PackedMatrix w) {
        if (!w.scaling().equals(Scaling.ROW) && !w.scaling().equals(Scaling.TENSOR)) {
            throw new IllegalArgumentException("w = " + w + ": int8 gradients take one scale a tensor or one a row");
        }
    }

    /** dx (T, K) = dy in int8 (T, N), by token, times w (N, K), for tokens row0 ... row1 - 1. */
    public void inputGradient(QuantizedMatrix dy, PackedMatrix w, FloatMatrix dx, boolean accumulate, long row0, long row1, MemorySegment scratch) {
        Checks.quantized("dy", dy, dy.rows(), w.rows());
        Checks.packed("w", w, w.rows(), w.cols());
        checkScaledByRow(w);
        Checks.matrix("dx", dx, dy.rows(), w.cols());
        Checks.slice(row0, row1, dy.rows());
        Checks.scratch(scratch);
        int status = sterna_input_gradient_int8(tier, dy.descriptor(), w.descriptor(), dx.descriptor(), flag(accumulate), row0, row1, scratch);
        if (status != OK) {
            throw new KernelException("input_gradient_int8", status, "dy w dx accumulate row0 row1 scratch", dy, w, dx, accumulate,
                    row0, row1, scratch);
        }
    }

    /** dw = dy in int8 (N, T), by feature, times q (T, K), for output features row0 ... row1 - 1; dw's first row is row0. */
    public void weightGradient(QuantizedGradient dy, QuantizedMatrix q, FloatMatrix dw, boolean accumulate, long row0, long row1,
            MemorySegment scratch) {
        Checks.gradient("dy", dy, dy.rows(), q.rows());
        Checks.quantized("q", q, q.rows(), q.cols());
        Checks.slice(row0, row1, dy.rows());
        Checks.tile("dw", dw, row1 - row0, q.cols());
        Checks.scratch(scratch);
        int status = sterna_weight_gradient_int8(tier, dy.descriptor(), q.descriptor(), dw.descriptor(), flag(accumulate), row0, row1, scratch);
        if (status != OK) {
            throw new KernelException("weight_gradient_int8", status, "dy q dw accumulate row0 row1 scratch", dy, q, dw,
                    accumulate, row0, row1, scratch);
        }
    }

    /**
     * c (M, N) = op(a) op(b) for rows row0 ... row1 - 1 of c.
     *
     * @param flags sum of {@link #ACCUMULATE}, {@link #TRANSPOSE_A}, {@link #TRANSPOSE_B}, {@link #ALLOW_BF16}, {@link #ALLOW_INT16}
     */
    public void gemm(FloatMatrix a, FloatMatrix b, FloatMatrix c, int flags, long row0, long row1, MemorySegment scratch) {
        Checks.alive("a", a);
        Checks.alive("b", b);
        Checks.alive("c", c);
        Checks.slice(row0, row1, c.rows());
        Checks.scratch(scratch);
        int status = sterna_gemm(tier, a.descriptor(), b.descriptor(), c.descriptor(), flags, row0, row1, scratch);
        if (status != OK) {
            throw new KernelException("gemm", status, "a b c flags row0 row1 scratch", a, b, c, flags, row0, row1, scratch);
        }
    }

    // ------------------------------------------------------------ attention

    /** Units unit0 ... unit1 - 1 of out and lse. */
    public void attentionForward(AttentionCall call, long unit0, long unit1, MemorySegment scratch) {
        checkAttention(call, unit0, unit1, scratch);
        int status = sterna_attention_forward(tier, call.struct(), unit0, unit1, scratch);
        if (status != OK) {
            throw new KernelException("attention_forward", status, "call unit0 unit1 scratch", call, unit0, unit1, scratch);
        }
    }

    /** Units unit0 ... unit1 - 1 of dq, dk and dv. */
    public void attentionBackward(AttentionCall call, long unit0, long unit1, MemorySegment scratch) {
        checkAttention(call, unit0, unit1, scratch);
        if (!call.backward()) {
            throw new IllegalArgumentException("call = " + call + ": has no gradients");
        }
        int status = sterna_attention_backward(tier, call.struct(), unit0, unit1, scratch);
        if (status != OK) {
            throw new KernelException("attention_backward", status, "call unit0 unit1 scratch", call, unit0, unit1, scratch);
        }
    }

    private static void checkAttention(AttentionCall call, long unit0, long unit1, MemorySegment scratch) {
        Checks.alive("call", call, call.struct());
        Checks.slice(unit0, unit1, call.units());
        Checks.scratch(scratch);
    }

    // ------------------------------------------------------------ updates

    /**
     * Rounds w * keep - delta back to the grid and adds the codes that changed to {@code flips}.
     *
     * @param delta its first row is row0
     * @param flips one long, which no slice that runs at the same time adds to
     * @return false when delta is not finite; nothing changed then
     */
    public boolean updatePacked(PackedMatrix w, FloatMatrix delta, float keep, long key, Rounding rounding, MemorySegment flips,
            long row0, long row1) {
        Checks.packed("w", w, w.rows(), w.cols());
        Checks.slice(row0, row1, w.rows());
        Checks.tile("delta", delta, row1 - row0, w.cols());
        Checks.output("flips", flips, Long.BYTES);
        int status = sterna_update_packed(tier, w.descriptor(), delta.descriptor(), keep, key, rounding.code(), flips, row0, row1);
        return status == OK || nonFinite(new KernelException("update_packed", status, "w delta keep key rounding flips row0 row1",
                w, delta, keep, key, rounding, flips, row0, row1));
    }

    /**
     * w = w * keep - delta for rows row0 ... row1 - 1; BF16 is rounded back as stated.
     *
     * @param delta its first row is row0
     * @return false when delta is not finite; nothing changed then
     */
    public boolean updateFloat(FloatMatrix w, FloatMatrix delta, float keep, long key, Rounding rounding, long row0, long row1) {
        Checks.alive("w", w);
        Checks.slice(row0, row1, w.rows());
        Checks.tile("delta", delta, row1 - row0, w.cols());
        int status = sterna_update_float(tier, w.descriptor(), delta.descriptor(), keep, key, rounding.code(), row0, row1);
        return status == OK || nonFinite(new KernelException("update_float", status, "w delta keep key rounding row0 row1", w,
                delta, keep, key, rounding, row0, row1));
    }

    /**
     * The gradient g becomes AdamW's delta in place; its first row is row0 of the moments.
     *
     * @param squares double (row1 - row0): receives the sum of g squared of each row
     * @return false when g is not finite; only squares were written then
     */
    public boolean adamw(AdamWStep step, FloatMatrix g, Moment m, Moment v, MemorySegment squares, long row0, long row1) {
        Checks.step(step, step.struct());
        checkTile(g, squares, row0, row1);
        Checks.moment("m", m, row1, g.cols());
        Checks.moment("v", v, row1, g.cols());
        int status = sterna_adamw(tier, step.struct(), g.descriptor(), m.descriptor(), v.descriptor(), squares, row0, row1);
        return status == OK || nonFinite(new KernelException("adamw", status, "step g m v squares row0 row1", step, g, m, v, squares, row0, row1));
    }

    /**
     * {@link #adamw}, then {@link #updatePacked} with its delta and the step's key, in one pass: the same bytes.
     * The gradient g is used up; its first row is row0 of the weights and the moments.
     *
     * @param squares double (row1 - row0): receives the sum of g squared of each row
     * @return false when g, or a delta, is not finite; codes and flips are unchanged then
     */
    public boolean adamwPacked(AdamWStep step, FloatMatrix g, Moment m, Moment v, MemorySegment squares, PackedMatrix w,
            float keep, Rounding rounding, MemorySegment flips, long row0, long row1) {
        Checks.step(step, step.struct());
        checkTile(g, squares, row0, row1);
        Checks.moment("m", m, row1, g.cols());
        Checks.moment("v", v, row1, g.cols());
        Checks.packed("w", w, w.rows(), g.cols());
        Checks.slice(row0, row1, w.rows());
        Checks.output("flips", flips, Long.BYTES);
        int status = sterna_adamw_packed(tier, step.struct(), g.descriptor(), m.descriptor(), v.descriptor(), squares,
                w.descriptor(), keep, rounding.code(), flips, row0, row1);
        return status == OK || nonFinite(new KernelException("adamw_packed", status,
                "step g m v squares w keep rounding flips row0 row1", step, g, m, v, squares, w, keep, rounding, flips, row0,
                row1));
    }

    /** As {@link #adamw}, for SGD with momentum; {@code m} is null without. */
    public boolean sgd(SgdStep step, FloatMatrix g, Moment m, MemorySegment squares, long row0, long row1) {
        Checks.step(step, step.struct());
        checkTile(g, squares, row0, row1);
        if (m != null) {
            Checks.moment("m", m, row1, g.cols());
        }
        int status = sterna_sgd(tier, step.struct(), g.descriptor(), pointer(m), squares, row0, row1);
        return status == OK || nonFinite(new KernelException("sgd", status, "step g m squares row0 row1", step, g, m, squares, row0, row1));
    }

    private static void checkTile(FloatMatrix g, MemorySegment squares, long row0, long row1) {
        Checks.slice(row0, row1, Long.MAX_VALUE);
        Checks.tile("g", g, row1 - row0, g.cols());
        Checks.output("squares", squares, (row1 - row0) * Double.BYTES);
    }

    /** squares[r - row0] = sum of g(r) squared, for rows row0 ... row1 - 1 of g; not finite where g is not. */
    public void rowSquares(FloatMatrix g, MemorySegment squares, long row0, long row1) {
        Checks.alive("g", g);
        Checks.slice(row0, row1, g.rows());
        Checks.output("squares", squares, (row1 - row0) * Double.BYTES);
        int status = sterna_row_squares(tier, g.descriptor(), squares, row0, row1);
        if (status != OK) {
            throw new KernelException("row_squares", status, "g squares row0 row1", g, squares, row0, row1);
        }
    }

    /** sums[c] = sum of g squared over the rows of g, in order, for columns col0 ... col1 - 1. */
    public void columnSquares(FloatMatrix g, MemorySegment sums, long col0, long col1) {
        Checks.alive("g", g);
        Checks.slice(col0, col1, g.cols());
        Checks.output("sums", sums, g.cols() * Double.BYTES);
        int status = sterna_column_squares(tier, g.descriptor(), sums, col0, col1);
        if (status != OK) {
            throw new KernelException("column_squares", status, "g sums col0 col1", g, sums, col0, col1);
        }
    }

    /** squares[r - row0] = sum of u(r) squared, u = g * factor * rowFactor (1, N) * colFactor (1, K); g's first row is row0. */
    public void adafactorSquares(AdafactorStep step, FloatMatrix g, FloatMatrix rowFactor, FloatMatrix colFactor,
            MemorySegment squares, long row0, long row1) {
        Checks.step(step, step.struct());
        checkFactors(g, rowFactor, colFactor, row0, row1);
        Checks.output("squares", squares, (row1 - row0) * Double.BYTES);
        int status = sterna_adafactor_squares(tier, step.struct(), g.descriptor(), rowFactor.data(), colFactor.data(), squares, row0, row1);
        if (status != OK) {
            throw new KernelException("adafactor_squares", status, "step g row_factor col_factor squares row0 row1", step, g,
                    rowFactor, colFactor, squares, row0, row1);
        }
    }

    /**
     * The gradient g becomes Adafactor's delta in place; its first row is row0.
     *
     * @param m null without a first moment
     * @return false when g is not finite; nothing was written then
     */
    public boolean adafactor(AdafactorStep step, FloatMatrix g, FloatMatrix rowFactor, FloatMatrix colFactor, Moment m, long row0, long row1) {
        Checks.step(step, step.struct());
        checkFactors(g, rowFactor, colFactor, row0, row1);
        if (m != null) {
            Checks.moment("m", m, row1, g.cols());
        }
        int status = sterna_adafactor(tier, step.struct(), g.descriptor(), rowFactor.data(), colFactor.data(), pointer(m), row0, row1);
        return status == OK || nonFinite(new KernelException("adafactor", status, "step g row_factor col_factor m row0 row1", step,
                g, rowFactor, colFactor, m, row0, row1));
    }

    private static void checkFactors(FloatMatrix g, FloatMatrix rowFactor, FloatMatrix colFactor, long row0, long row1) {
        Checks.slice(row0, row1, Long.MAX_VALUE);
        Checks.tile("g", g, row1 - row0, g.cols());
        Checks.vector("row_factor", rowFactor, 1, Math.max(row1, rowFactor.cols()));
        Checks.vector("col_factor", colFactor, 1, Math.max(g.cols(), colFactor.cols()));
    }

    // ------------------------------------------------------------

    private static MemorySegment pointer(Moment m) {
        return m == null ? MemorySegment.NULL : m.descriptor();
    }

    private static int flag(boolean value) {
        return value ? 1 : 0;
    }

    /** False for numbers that are not finite, a defined result; any other refusal is thrown. */
    private static boolean nonFinite(KernelException refusal) {
        if (refusal.reason() != Reason.NONFINITE) {
            throw refusal;
        }
        return false;
    }
}
