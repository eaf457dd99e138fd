package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.Workspace;

/**
 * Gradients of all tokens within a block's backward pass: those of attention's operands, and those of the linear
 * layers' results as the gradients of the weights want them. T tokens, H hidden, A attention's width, V key-value
 * width, I intermediate.
 *
 * @param dq      of queries (T, A)
 * @param dk      of keys (T, V)
 * @param dv      of values (T, V)
 * @param results of the linear layers' results
 * @param gains   of the norms
 */
record BlockGradients(FloatMatrix dq, FloatMatrix dk, FloatMatrix dv, Results results, Gains gains) {
    /** q (T, A), k (T, V), v (T, V), output (T, H), gate (T, I), up (T, I), down (T, H). */
    record Results(OutputGradient q, OutputGradient k, OutputGradient v, OutputGradient output, OutputGradient gate,
                   OutputGradient up, OutputGradient down) {
    }

    /**
     * Gradients of the norms' gains, a row for each chunk of tokens.
     *
     * @param attention (chunks, H)
     * @param output    (chunks, A)
     * @param mlp       (chunks, H)
     * @param down      (chunks, I)
     */
    record Gains(FloatMatrix attention, FloatMatrix output, FloatMatrix mlp, FloatMatrix down) {
    }

    /** @param inputs of all tokens */
    static BlockGradients allocate(LlamaConfig config, Batch batch, long chunks, BlockInputs inputs, Workspace.Section section) {
        int hidden = config.hidden();
        int attended = config.attentionWidth();
        int wide = config.intermediate();
        FloatMatrix dq = floats(section, batch, attended);
        FloatMatrix dk = floats(section, batch, config.kvWidth());
        FloatMatrix dv = floats(section, batch, config.kvWidth());
        boolean int8 = batch.gradients() == GradientType.INT8;
        Results results = new Results(
                int8 ? codes(section, batch, attended, inputs.attention()) : floats(batch, dq),
                int8 ? codes(section, batch, config.kvWidth(), inputs.attention()) : floats(batch, dk),
                int8 ? codes(section, batch, config.kvWidth(), inputs.attention()) : floats(batch, dv),
                result(section, batch, hidden, inputs.output()), result(section, batch, wide, inputs.mlp()),
                result(section, batch, wide, inputs.mlp()), result(section, batch, hidden, inputs.down()));
        Gains gains = new Gains(gain(section, chunks, hidden), gain(section, chunks, attended),
                gain(section, chunks, hidden), gain(section, chunks, wide));
        return new BlockGradients(dq, dk, dv, results, gains);
    }

    private static OutputGradient result(Workspace.Section section, Batch batch, long width, Input input) {
        return batch.gradients() == GradientType.INT8 ? codes(section, batch, width, input)
                : floats(batch, floats(section, batch, width));
    }

    private static OutputGradient floats(Batch batch, FloatMatrix dy) {
        return new OutputGradient.Floats(dy, batch.gradients() == GradientType.INT16);
    }

    private static OutputGradient codes(Workspace.Section section, Batch batch, long width, Input input) {
        return new OutputGradient.Int8(QuantizedGradient.allocate(section, width, batch.tokens()), input.int8(), 0);
    }

    private static FloatMatrix floats(Workspace.Section section, Batch batch, long width) {
        return FloatMatrix.allocate(section, batch.activations(), batch.tokens(), width);
    }

    private static FloatMatrix gain(Workspace.Section section, long chunks, long width) {
        return FloatMatrix.allocate(section, FloatType.F32, chunks, width);
    }

    /** What belongs to a chunk: its rows, and of the gains its own row. */
    BlockGradients chunk(Workspace.Section section, Ranges.Chunk c) {
        return new BlockGradients(rows(section, dq, c), rows(section, dk, c), rows(section, dv, c),
                new Results(rows(section, results.q, c), rows(section, results.k, c), rows(section, results.v, c),
                        rows(section, results.output, c), rows(section, results.gate, c), rows(section, results.up, c),
                        rows(section, results.down, c)),
                new Gains(row(section, gains.attention, c), row(section, gains.output, c), row(section, gains.mlp, c),
                        row(section, gains.down, c)));
    }

    private static OutputGradient rows(Workspace.Section section, OutputGradient x, Ranges.Chunk c) {
        return switch (x) {
            case OutputGradient.Floats(var m, var int16) -> new OutputGradient.Floats(rows(section, m, c), int16);
            case OutputGradient.Int8(var m, var input, var first) -> new OutputGradient.Int8(m, input, c.row0());
        };
    }

    private static FloatMatrix rows(Workspace.Section section, FloatMatrix x, Ranges.Chunk c) {
        return FloatMatrix.window(section).overRows(x, c.row0(), c.row1());
    }

    private static FloatMatrix row(Workspace.Section section, FloatMatrix x, Ranges.Chunk c) {
        return FloatMatrix.window(section).overRows(x, c.index(), c.index() + 1L);
    }
}
