package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * The operands of a block's attention and its result, of n tokens. All but the result follows from a block's input by
 * cheap products, so that blocks take turns with the same memory. A attention's width, V key-value width.
 *
 * @param q    queries (n, A), turned to their positions
 * @param k    keys (n, V), turned to their positions
 * @param v    values (n, V)
 * @param out  the attention's result (n, A)
 * @param dout its gradient (n, A); null without a backward pass
 */
record BlockTape(FloatMatrix q, FloatMatrix k, FloatMatrix v, FloatMatrix out, FloatMatrix dout) {
    /** For a forward pass alone. */
    static BlockTape allocate(LlamaConfig config, FloatType type, long tokens, Workspace.Section section) {
        return allocate(config, type, tokens, FloatMatrix.allocate(section, type, tokens, config.attentionWidth()), null, section);
    }

    /** For both passes, where the result is {@code out}: memory of as many tokens, or a window. */
    static BlockTape allocate(LlamaConfig config, FloatType type, long tokens, FloatMatrix out, Workspace.Section section) {
        return allocate(config, type, tokens, out, FloatMatrix.allocate(section, type, tokens, config.attentionWidth()), section);
    }

    private static BlockTape allocate(LlamaConfig config, FloatType type, long tokens, FloatMatrix out, FloatMatrix dout,
                                      Workspace.Section section) {
        return new BlockTape(
                FloatMatrix.allocate(section, type, tokens, config.attentionWidth()),
                FloatMatrix.allocate(section, type, tokens, config.kvWidth()),
                FloatMatrix.allocate(section, type, tokens, config.kvWidth()), out, dout);
    }

    /** Windows, to be laid over a tape for both passes. */
    static BlockTape window(Workspace.Section section) {
        return new BlockTape(FloatMatrix.window(section), FloatMatrix.window(section), FloatMatrix.window(section),
                FloatMatrix.window(section), FloatMatrix.window(section));
    }

    /** Lays these windows over rows row0 ... row1 - 1. */
    BlockTape overRows(BlockTape whole, long row0, long row1) {
        q.overRows(whole.q, row0, row1);
        k.overRows(whole.k, row0, row1);
        v.overRows(whole.v, row0, row1);
        out.overRows(whole.out, row0, row1);
        dout.overRows(whole.dout, row0, row1);
        return this;
    }

    /** Makes room for another number of tokens, at most those it was allocated for; without a backward pass. */
    void resize(long tokens) {
        for (FloatMatrix x : List.of(q, k, v, out)) {
            x.reshape(tokens, x.cols());
        }
    }
}
