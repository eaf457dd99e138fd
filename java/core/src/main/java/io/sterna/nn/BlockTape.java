package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * The operands of a block's attention and its result. Between the passes a block keeps its input and the result
 * alone; all the rest follows from them by cheap products. T tokens, A attention's width, V key-value
 * width.
 *
 * @param q   queries (T, A), turned to their positions
 * @param k   keys (T, V), turned to their positions
 * @param v   values (T, V)
 * @param out the attention's result (T, A)
 */
record BlockTape(FloatMatrix q, FloatMatrix k, FloatMatrix v, FloatMatrix out) {
    static BlockTape allocate(LlamaConfig config, FloatType type, long tokens, Workspace.Section section) {
        return new BlockTape(
                FloatMatrix.allocate(section, type, tokens, config.attentionWidth()),
                FloatMatrix.allocate(section, type, tokens, config.kvWidth()),
                FloatMatrix.allocate(section, type, tokens, config.kvWidth()),
                FloatMatrix.allocate(section, type, tokens, config.attentionWidth()));
    }

    /** The same operands, with a result of its own. */
    BlockTape withResult(Workspace.Section section) {
        return new BlockTape(q, k, v, FloatMatrix.allocate(section, out.type(), out.rows(), out.cols()));
    }

    /** Windows over rows row0 ... row1 - 1. */
    BlockTape rows(Workspace.Section section, long row0, long row1) {
        return new BlockTape(window(section, q, row0, row1), window(section, k, row0, row1),
                window(section, v, row0, row1), window(section, out, row0, row1));
    }

    static FloatMatrix window(Workspace.Section section, FloatMatrix x, long row0, long row1) {
        return FloatMatrix.window(section).overRows(x, row0, row1);
    }

    /** Makes room for another number of tokens, at most those it was allocated for. */
    void resize(long tokens) {
        for (FloatMatrix x : List.of(q, k, v, out)) {
            x.reshape(tokens, x.cols());
        }
    }
}
