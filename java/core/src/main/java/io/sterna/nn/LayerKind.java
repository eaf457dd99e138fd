package io.sterna.nn;

import java.util.Locale;

/** What a parameter is for; reports are broken down by it. */
public enum LayerKind {
    EMBEDDING, Q, K, V, O, GATE, UP, DOWN, NORM, HEAD;

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
