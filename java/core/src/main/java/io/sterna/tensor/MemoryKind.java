package io.sterna.tensor;

import java.util.Locale;

/** What memory is for; plans and reports are broken down by it. */
public enum MemoryKind {
    /** Codes and scales of packed weights. */
    PACKED_WEIGHTS,
    /** Embeddings, norms, head; master weights; the weights of the float methods. */
    FLOAT_WEIGHTS,
    /** Moments of the optimizer. */
    OPTIMIZER_STATE,
    /** What the forward pass keeps for the backward pass. */
    ACTIVATIONS,
    /** Gradients that outlive their computation: for accumulation, a global clip or a layer-sized tile. */
    GRADIENT_BUFFERS,
    /** Gradients between layers, tiles, chunks of logits, scratch of the kernels. */
    SCRATCH;

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
