package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Workspace;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A worker's buffers for a few tokens within a block, F32, overwritten by the next ones. n tokens, H hidden,
 * A attention's width, I intermediate.
 */
final class BlockScratch {
    /** The residual stream between attention and feed-forward (n, H). */
    final FloatMatrix middle;
    /** Gate and up (n, I). */
    final FloatMatrix gate;
    final FloatMatrix up;
    /** swiglu(gate, up) (n, I). */
    final FloatMatrix product;
    /** Inverse roots of the norms after attention (1, n). */
    final FloatMatrix outputRms;
    final FloatMatrix mlpRms;
    final FloatMatrix downRms;
    /** Gradient of the product (n, I); null without a backward pass. */
    final FloatMatrix wide;
    private final FloatMatrix narrow;
    /** Gradients of linear layers' results by token, in int8, by their width; none unless gradients are int8. */
    private final Map<Long, QuantizedMatrix> codes = new HashMap<>();

    /** For a forward pass alone. */
    BlockScratch(LlamaConfig config, long tokens, Workspace.Section section) {
        this(config, tokens, false, section);
    }

    /** For both passes. */
    BlockScratch(LlamaConfig config, long tokens, GradientType gradients, Workspace.Section section) {
        this(config, tokens, true, section);
        if (gradients == GradientType.INT8) {
            for (long width : new long[] {config.hidden(), config.attentionWidth(), config.kvWidth(), config.intermediate()}) {
                codes.computeIfAbsent(width, w -> QuantizedMatrix.allocate(section, tokens, w));
            }
        }
    }

    private BlockScratch(LlamaConfig config, long tokens, boolean backward, Workspace.Section section) {
        middle = matrix(section, tokens, config.hidden());
        gate = matrix(section, tokens, config.intermediate());
        up = matrix(section, tokens, config.intermediate());
        product = matrix(section, tokens, config.intermediate());
        outputRms = matrix(section, 1, tokens);
        mlpRms = matrix(section, 1, tokens);
        downRms = matrix(section, 1, tokens);
        wide = backward ? matrix(section, tokens, config.intermediate()) : null;
        narrow = backward ? matrix(section, tokens, Math.max(config.hidden(), config.attentionWidth())) : null;
    }

    /** Gradient of a normed tensor or of what the output projection takes (n, width), width H or A; the next call overwrites it. */
    FloatMatrix narrow(long width) {
        return narrow.reshape(middle.rows(), width);
    }

    /** Codes (n, width). */
    QuantizedMatrix codes(long width) {
        return codes.get(width);
    }

    private static FloatMatrix matrix(Workspace.Section section, long rows, long cols) {
        return FloatMatrix.allocate(section, FloatType.F32, rows, cols);
    }

    /** Makes room for another number of tokens, at most those it was allocated for. */
    void resize(long tokens) {
        if (tokens == middle.rows()) {
            return;
        }
        for (FloatMatrix x : List.of(middle, gate, up, product)) {
            x.reshape(tokens, x.cols());
        }
        for (FloatMatrix rms : List.of(outputRms, mlpRms, downRms)) {
            rms.reshape(1, tokens);
        }
        if (wide != null) {
            wide.reshape(tokens, wide.cols());
        }
        codes.values().forEach(x -> x.resize(tokens));
    }
}
