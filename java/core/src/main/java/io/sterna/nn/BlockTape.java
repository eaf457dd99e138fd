package io.sterna.nn;

import io.sterna.kernel.AttentionCall;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * What the forward pass of a block keeps for its backward pass. T tokens, H hidden, I intermediate,
 * V key-value width.
 */
final class BlockTape {
    /** The residual stream between attention and feed-forward (T, H). */
    final FloatMatrix middle;
    /** Queries (T, H), keys (T, V), values (T, V) and the attention's result (T, H). */
    final FloatMatrix q;
    final FloatMatrix k;
    final FloatMatrix v;
    final FloatMatrix out;
    /** Gate and up (T, I). */
    final FloatMatrix gate;
    final FloatMatrix up;
    /** Inputs of the linear layers: q, k, v share one (T, H), gate and up share one (T, H). */
    final Input attentionInput;
    final Input outputInput;
    final Input mlpInput;
    final Input downInput;
    /** Inverse roots of the norms (1, T). */
    final FloatMatrix attentionRms;
    final FloatMatrix outputRms;
    final FloatMatrix mlpRms;
    final FloatMatrix downRms;
    /** Null where no backward pass follows: queries then meet the keys of a cache. */
    final AttentionCall attention;

    BlockTape(LlamaConfig config, Method method, Batch batch, Workspace workspace, BlockScratch scratch) {
        Workspace.Section section = workspace.section(MemoryKind.ACTIVATIONS);
        FloatType type = batch.activations();
        long tokens = batch.tokens();
        middle = FloatMatrix.allocate(section, FloatType.F32, tokens, config.hidden());
        q = FloatMatrix.allocate(section, type, tokens, config.hidden());
        k = FloatMatrix.allocate(section, type, tokens, config.kvWidth());
        v = FloatMatrix.allocate(section, type, tokens, config.kvWidth());
        out = FloatMatrix.allocate(section, type, tokens, config.hidden());
        gate = FloatMatrix.allocate(section, type, tokens, config.intermediate());
        up = FloatMatrix.allocate(section, type, tokens, config.intermediate());
        boolean copies = method.quantized() || config.subLn();
        attentionInput = input(section, method, tokens, config.hidden());
        outputInput = copies ? input(section, method, tokens, config.hidden()) : new Input.Floats(out);
        mlpInput = input(section, method, tokens, config.hidden());
        downInput = copies ? input(section, method, tokens, config.intermediate()) : new Input.Floats(scratch.product);
        attentionRms = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
        outputRms = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
        mlpRms = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
        downRms = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
        attention = scratch.narrow == null ? null : attention(section, config, batch, scratch);
    }

    private AttentionCall attention(Workspace.Section section, LlamaConfig config, Batch batch, BlockScratch scratch) {
        FloatMatrix lse = FloatMatrix.allocate(section, FloatType.F32, config.heads(), batch.tokens());
        var shape = new AttentionCall.Shape(batch.sequences(), batch.length(), 0, config.heads(), config.kvHeads(), config.headDim());
        return new AttentionCall(section, shape, q, k, v, out, lse, scratch.narrow, scratch.dq, scratch.dk, scratch.dv);
    }

    /** Makes room for another number of tokens, at most the batch's; of a forward pass alone. */
    void resize(long tokens) {
        for (FloatMatrix x : List.of(middle, q, k, v, out, gate, up)) {
            x.reshape(tokens, x.cols());
        }
        for (FloatMatrix rms : List.of(attentionRms, outputRms, mlpRms, downRms)) {
            rms.reshape(1, tokens);
        }
        for (Input input : List.of(attentionInput, outputInput, mlpInput, downInput)) {
            input.resize(tokens);
        }
    }

    private static Input input(Workspace.Section section, Method method, long tokens, long width) {
        return method.quantized() ? new Input.Int8(QuantizedMatrix.allocate(section, tokens, width))
                : new Input.Floats(FloatMatrix.allocate(section, FloatType.F32, tokens, width));
    }
}
