package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;

/**
 * Buffers within a block's passes that all blocks share. T tokens, H hidden, I intermediate, V key-value
 * width. There are no gradients where there is no backward pass.
 */
final class BlockScratch {
    /** swiglu(gate, up) (T, I); recomputed in the backward pass. */
    final FloatMatrix product;
    /** The gradient of the product (T, I). */
    final FloatMatrix wide;
    /** The gradient of a normed (T, H) tensor, or of the attention's result. */
    final FloatMatrix narrow;
    /** The gradients of queries (T, H), keys (T, V) and values (T, V). */
    final FloatMatrix dq;
    final FloatMatrix dk;
    final FloatMatrix dv;

    /** @param backward whether a backward pass follows; without one the gradients are null */
    BlockScratch(LlamaConfig config, Batch batch, boolean backward, Workspace workspace) {
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        product = FloatMatrix.allocate(section, batch.activations(), batch.tokens(), config.intermediate());
        wide = backward ? gradient(section, batch, config.intermediate()) : null;
        narrow = backward ? gradient(section, batch, config.hidden()) : null;
        dq = backward ? gradient(section, batch, config.hidden()) : null;
        dk = backward ? gradient(section, batch, config.kvWidth()) : null;
        dv = backward ? gradient(section, batch, config.kvWidth()) : null;
    }

    private static FloatMatrix gradient(Workspace.Section section, Batch batch, long width) {
        return FloatMatrix.allocate(section, FloatType.F32, batch.tokens(), width);
    }

    /** Makes room for another number of tokens, at most the batch's; of a forward pass alone. */
    void resize(long tokens) {
        product.reshape(tokens, product.cols());
    }
}
