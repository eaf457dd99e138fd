package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;

/** Buffers within a block's passes that all blocks share. T tokens, H hidden, I intermediate, V key-value width. */
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

    BlockScratch(LlamaConfig config, Batch batch, Workspace workspace) {
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        long tokens = batch.tokens();
        product = FloatMatrix.allocate(section, batch.activations(), tokens, config.intermediate());
        wide = FloatMatrix.allocate(section, FloatType.F32, tokens, config.intermediate());
        narrow = FloatMatrix.allocate(section, FloatType.F32, tokens, config.hidden());
        dq = FloatMatrix.allocate(section, FloatType.F32, tokens, config.hidden());
        dk = FloatMatrix.allocate(section, FloatType.F32, tokens, config.kvWidth());
        dv = FloatMatrix.allocate(section, FloatType.F32, tokens, config.kvWidth());
    }
}
