package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * Gradients of all tokens within a block's backward pass: those of the linear layers' results, which the
 * gradients of weights are made of, and that of the attention's result. T tokens, H hidden, I intermediate,
 * V key-value width.
 *
 * @param q      (T, H)
 * @param k      (T, V)
 * @param v      (T, V)
 * @param out    of the attention's result (T, H)
 * @param output of the output projection's result (T, H)
 * @param gate   (T, I)
 * @param up     (T, I)
 * @param down   (T, H)
 * @param gains  of the norms
 */
record BlockGradients(FloatMatrix q, FloatMatrix k, FloatMatrix v, FloatMatrix out, FloatMatrix output,
                      FloatMatrix gate, FloatMatrix up, FloatMatrix down, Gains gains) {
    /**
     * Gradients of the norms' gains, a row for each chunk of tokens.
     *
     * @param attention (chunks, H)
     * @param output    (chunks, H)
     * @param mlp       (chunks, H)
     * @param down      (chunks, I)
     */
    record Gains(FloatMatrix attention, FloatMatrix output, FloatMatrix mlp, FloatMatrix down) {
    }

    static BlockGradients allocate(LlamaConfig config, FloatType type, long tokens, long chunks, Workspace.Section section) {
        int hidden = config.hidden();
        int wide = config.intermediate();
        int kv = config.kvWidth();
        Gains gains = new Gains(gain(section, chunks, hidden), gain(section, chunks, hidden),
                gain(section, chunks, hidden), gain(section, chunks, wide));
        return new BlockGradients(
                FloatMatrix.allocate(section, type, tokens, hidden), FloatMatrix.allocate(section, type, tokens, kv),
                FloatMatrix.allocate(section, type, tokens, kv), FloatMatrix.allocate(section, type, tokens, hidden),
                FloatMatrix.allocate(section, type, tokens, hidden), FloatMatrix.allocate(section, type, tokens, wide),
                FloatMatrix.allocate(section, type, tokens, wide), FloatMatrix.allocate(section, type, tokens, hidden), gains);
    }

    static FloatMatrix gain(Workspace.Section section, long chunks, long width) {
        return FloatMatrix.allocate(section, FloatType.F32, chunks, width);
    }

    /** Windows over a chunk: its rows, and of the gains its own row. */
    BlockGradients chunk(Workspace.Section section, Ranges.Chunk c) {
        List<FloatMatrix> x = List.of(q, k, v, out, output, gate, up, down).stream()
                .map(m -> BlockTape.window(section, m, c.row0(), c.row1())).toList();
        List<FloatMatrix> row = List.of(gains.attention, gains.output, gains.mlp, gains.down).stream()
                .map(m -> BlockTape.window(section, m, c.index(), c.index() + 1L)).toList();
        return new BlockGradients(x.get(0), x.get(1), x.get(2), x.get(3), x.get(4), x.get(5), x.get(6), x.get(7),
                new Gains(row.get(0), row.get(1), row.get(2), row.get(3)));
    }
}
