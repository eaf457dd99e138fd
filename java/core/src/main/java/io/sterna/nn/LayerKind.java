package io.sterna.nn;

import java.util.Locale;

/** What a parameter is for; reports are broken down by it. */
public enum LayerKind {
    /** The vector of each token (vocab, hidden); also the head, where that is tied. */
    EMBEDDING,
    /** Attention: queries from the residual stream (heads * headDim, hidden). */
    Q,
    /** Attention: keys (kvHeads * headDim, hidden). */
    K,
    /** Attention: values (kvHeads * headDim, hidden). */
    V,
    /** Attention: from the heads back to the residual stream (hidden, heads * headDim). */
    O,
    /** Feed-forward: what SiLU is taken of (intermediate, hidden). */
    GATE,
    /** Feed-forward: what the gate multiplies (intermediate, hidden). */
    UP,
    /** Feed-forward: back to the residual stream (hidden, intermediate). */
    DOWN,
    /** The gain of an RMSNorm (1, width). */
    NORM,
    /** The logits of each token (vocab, hidden); no parameter of its own where it is tied to the embedding. */
    HEAD;

    /** Whether the parameter is a linear layer of a block, quantized in the quantized methods. */
    public boolean linear() {
        return switch (this) {
            case EMBEDDING, NORM, HEAD -> false;
            default -> true;
        };
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
