package io.sterna.nn;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Shape of a LLaMA-structured model.
 *
 * @param hidden       width of the residual stream
 * @param intermediate width of the feed-forward block
 * @param layers       blocks
 * @param heads        query heads
 * @param kvHeads      key and value heads; divides heads
 * @param headDim      width of a head, {@link #usualHeadDim} in most models
 * @param vocab        tokens in the vocabulary
 * @param seqLen       tokens of a training sequence
 * @param ropeTheta    base of the rotary positions
 * @param ropeScaling  how they are stretched for longer texts
 * @param rmsEpsilon   epsilon of the norms
 * @param subLn        whether a norm stands before the attention output and the down projection
 * @param tied         whether embeddings and head share their weights
 */
public record LlamaConfig(int hidden, int intermediate, int layers, int heads, int kvHeads, int headDim, int vocab, int seqLen,
                          double ropeTheta, RopeScaling ropeScaling, double rmsEpsilon, boolean subLn, boolean tied) {
    /** Widest input of a linear layer: int8 sums stay exact up to it. */
    public static final int MAX_WIDTH = 65536;

    private static final int MAX_HEAD_DIM = 256; // as the attention kernels have it

    private static final Map<String, LlamaConfig> PRESETS = presetTable();

    /** @throws IllegalArgumentException for a shape that cannot be built; the message names field and value */
    public LlamaConfig {
        between("hidden", hidden, 2, MAX_WIDTH);
        between("intermediate", intermediate, 1, MAX_WIDTH);
        between("layers", layers, 1, 1000);
        between("heads", heads, 1, hidden);
        between("kv-heads", kvHeads, 1, heads);
        between("vocab", vocab, 2, 1 << 24);
        between("seq-len", seqLen, 1, 1 << 20);
        require(heads % kvHeads == 0, "heads " + heads + ": must be a multiple of kv-heads " + kvHeads);
        boolean usual = (long) heads * headDim == hidden;
        require(headDim % 2 == 0 && headDim >= 2 && headDim <= MAX_HEAD_DIM, (usual ? "hidden " + hidden + " / heads " + heads + " = " : "head-dim ")
                + headDim + ": a head must be even and 2 to " + MAX_HEAD_DIM + " wide");
        require(heads * headDim <= MAX_WIDTH, "heads " + heads + " * head-dim " + headDim + " = " + heads * headDim + ": must be at most " + MAX_WIDTH);
        require(ropeTheta > 1 && Double.isFinite(ropeTheta), "rope-theta " + ropeTheta + ": must be above 1");
        require(rmsEpsilon >= Float.MIN_NORMAL && rmsEpsilon < 1,
                "rms-epsilon " + rmsEpsilon + ": must lie between " + Float.MIN_NORMAL + " and 1");
    }

    /** A shape whose heads are as wide as is usual, and whose rotary positions are not stretched. */
    public LlamaConfig(int hidden, int intermediate, int layers, int heads, int kvHeads, int vocab, int seqLen,
                       double ropeTheta, double rmsEpsilon, boolean subLn, boolean tied) {
        this(hidden, intermediate, layers, heads, kvHeads, usualHeadDim(hidden, heads), vocab, seqLen, ropeTheta, RopeScaling.NONE,
                rmsEpsilon, subLn, tied);
    }

    /** A shape with the defaults of the paper: heads of their own for keys and values, SubLN, untied. */
    public static LlamaConfig of(int hidden, int intermediate, int layers, int heads, int vocab, int seqLen) {
        return new LlamaConfig(hidden, intermediate, layers, heads, heads, vocab, seqLen, 1e4, 1e-5, true, false);
    }

    /** The presets by name: nano, 8m, 30m, 130m, 320m, 1b. */
    public static Map<String, LlamaConfig> presets() {
        return PRESETS;
    }

    /** The preset of that name, or an {@link IllegalArgumentException} that lists them. */
    public static LlamaConfig preset(String name) {
        LlamaConfig preset = PRESETS.get(name);
        require(preset != null, "preset \"" + name + "\": expected one of " + String.join(", ", PRESETS.keySet()));
        return preset;
    }

    private static Map<String, LlamaConfig> presetTable() {
        Map<String, LlamaConfig> table = new LinkedHashMap<>();
        table.put("nano", of(192, 512, 4, 6, 2048, 128));
        table.put("8m", of(288, 768, 6, 6, 4096, 256));
        table.put("30m", of(512, 1376, 8, 8, 8192, 512));
        table.put("130m", of(768, 2048, 12, 12, 32000, 512));
        table.put("320m", of(1024, 2048, 24, 16, 32000, 512));
        table.put("1b", of(2048, 3072, 24, 32, 32000, 512));
        return Collections.unmodifiableMap(table);
    }

    /**
     * Width of a head where nothing else is said: hidden / heads.
     *
     * @throws IllegalArgumentException where that is no whole number
     */
    public static int usualHeadDim(int hidden, int heads) {
        between("hidden", hidden, 2, MAX_WIDTH);
        between("heads", heads, 1, hidden);
        require(hidden % heads == 0, "hidden " + hidden + ": must be a multiple of heads " + heads + " unless head-dim is said");
        return hidden / heads;
    }

    /** What the pair {@code i} = 0 ... headDim / 2 - 1 of a head turns by, in radians a token. */
    public double ropeFrequency(int i) {
        return ropeScaling.frequency(ropeFrequency(ropeTheta, i, headDim / 2));
    }

    /** The same without scaling, of {@code pairs} pairs. */
    public static double ropeFrequency(double theta, int i, int pairs) {
        return StrictMath.pow(theta, -(double) i / pairs);
    }

    /** Whether heads are as wide as is usual, so that a reader need not be told. */
    public boolean hasUsualHeads() {
        return attentionWidth() == hidden;
    }

    /** Width of queries and of the attention's result: heads * headDim. */
    public int attentionWidth() {
        return heads * headDim;
    }

    /** Width of keys and of values: kvHeads * headDim. */
    public int kvWidth() {
        return kvHeads * headDim;
    }

    /** Most columns that a weight has, and most rows that a linear layer has. */
    public int widest() {
        return Math.max(Math.max(hidden, attentionWidth()), intermediate);
    }

    /** The same model with heads of another width. */
    public LlamaConfig withHeadDim(int width) {
        return new LlamaConfig(hidden, intermediate, layers, heads, kvHeads, width, vocab, seqLen, ropeTheta, ropeScaling, rmsEpsilon, subLn, tied);
    }

    /** The same model with or without SubLN. */
    public LlamaConfig withSubLn(boolean on) {
        return new LlamaConfig(hidden, intermediate, layers, heads, kvHeads, headDim, vocab, seqLen, ropeTheta, ropeScaling, rmsEpsilon, on, tied);
    }

    /** The same model with the embeddings as head, or with a head of its own. */
    public LlamaConfig withTied(boolean on) {
        return new LlamaConfig(hidden, intermediate, layers, heads, kvHeads, headDim, vocab, seqLen, ropeTheta, ropeScaling, rmsEpsilon, subLn, on);
    }

    private static void between(String name, int value, int low, int high) {
        require(value >= low && value <= high, name + " " + value + ": must lie between " + low + " and " + high);
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new IllegalArgumentException(message);
        }
    }
}
