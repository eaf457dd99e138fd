package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Workspace;

/**
 * What the linear layers of a block multiply. T tokens, H hidden, A attention's width, I intermediate.
 *
 * @param attention    of q, k and v (T, H)
 * @param attentionRms inverse roots of the norm that gives {@code attention} (1, T)
 * @param output       of the attention's output projection (T, A)
 * @param mlp          of gate and up (T, H)
 * @param down         of the down projection (T, I)
 */
record BlockInputs(Input attention, FloatMatrix attentionRms, Input output, Input mlp, Input down) {
    static BlockInputs allocate(LlamaConfig config, Method method, long tokens, Workspace.Section section) {
        return new BlockInputs(input(section, method, tokens, config.hidden()),
                FloatMatrix.allocate(section, FloatType.F32, 1, tokens), input(section, method, tokens, config.attentionWidth()),
                input(section, method, tokens, config.hidden()), input(section, method, tokens, config.intermediate()));
    }

    private static Input input(Workspace.Section section, Method method, long tokens, long width) {
        return method.quantized() ? new Input.Int8(QuantizedMatrix.allocate(section, tokens, width))
                : new Input.Floats(FloatMatrix.allocate(section, FloatType.F32, tokens, width));
    }

    /** Windows over rows row0 ... row1 - 1. */
    BlockInputs rows(Workspace.Section section, long row0, long row1) {
        return new BlockInputs(attention.rows(section, row0, row1),
                FloatMatrix.window(section).over(attentionRms, 0, 1, row0, row1), output.rows(section, row0, row1),
                mlp.rows(section, row0, row1), down.rows(section, row0, row1));
    }

    /** Makes room for another number of tokens, at most those it was allocated for. */
    void resize(long tokens) {
        attention.resize(tokens);
        output.resize(tokens);
        mlp.resize(tokens);
        down.resize(tokens);
        attentionRms.reshape(1, tokens);
    }
}
