package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Forward and backward passes of a model over batches of one size, and the memory that they need: the
 * residual stream before each block, what each block keeps, and shared scratch. With recomputation blocks
 * keep nothing but the residual stream, and one block's tape serves all.
 */
public final class LlamaPass {
    private final Engine engine;
    private final Llama model;
    private final Batch batch;
    private final boolean recompute;
    private final List<FloatMatrix> residual = new ArrayList<>();
    private final List<BlockTape> tapes = new ArrayList<>();
    private final BlockScratch scratch;
    private final Input.Floats headInput;
    private final FloatMatrix finalRms;
    private final FloatMatrix dx;
    private final Head.Tape headTape;
    private final FloatMatrix lastToken;
    private final MemorySegment inputs;
    private final MemorySegment targets;

    /** Buffers for passes over batches of that size. */
    public LlamaPass(Llama model, Engine engine, Batch batch, boolean recompute, Workspace workspace) {
        LlamaConfig config = model.config();
        Workspace.Section kept = workspace.section(MemoryKind.ACTIVATIONS);
        long tokens = batch.tokens();
        this.engine = engine;
        this.model = model;
        this.batch = batch;
        this.recompute = recompute;
        this.scratch = new BlockScratch(config, batch, true, workspace);
        for (int i = 0; i <= config.layers(); i++) {
            residual.add(FloatMatrix.allocate(kept, FloatType.F32, tokens, config.hidden()));
        }
        for (int i = 0; i < (recompute ? 1 : config.layers()); i++) {
            tapes.add(new BlockTape(config, model.method(), batch, workspace, scratch));
        }
        this.headInput = new Input.Floats(FloatMatrix.allocate(kept, FloatType.F32, tokens, config.hidden()));
        this.finalRms = FloatMatrix.allocate(kept, FloatType.F32, 1, tokens);
        this.dx = FloatMatrix.allocate(workspace.section(MemoryKind.SCRATCH), FloatType.F32, tokens, config.hidden());
        this.headTape = Head.Tape.large(model.head, tokens, workspace);
        this.lastToken = FloatMatrix.window(kept);
        this.inputs = kept.allocate(tokens * Integer.BYTES);
        this.targets = kept.allocate(tokens * Integer.BYTES);
    }

    /**
     * The sum of the cross-entropies in nats of all tokens whose target is not -1.
     *
     * @param newInputs  int32 (sequences, length): tokens
     * @param newTargets int32 (sequences, length): the token after each, or -1
     */
    public double forward(MemorySegment newInputs, MemorySegment newTargets) {
        // Workers read them, and the backward pass does, whatever arena the caller's are of.
        targets.copyFrom(newTargets);
        hidden(newInputs);
        return model.head.loss(headInput.matrix(), targets, headTape);
    }

    /**
     * Logits out (1, vocab) for the token after token {@code row} of {@code newInputs}, which are as those of
     * {@link #forward}; no backward pass may follow.
     */
    public void logits(MemorySegment newInputs, long row, FloatMatrix out) {
        hidden(newInputs);
        model.head.logits(lastToken.overRows(headInput.matrix(), row, row + 1), out);
    }

    /** Fills the head's input. */
    private void hidden(MemorySegment newInputs) {
        inputs.copyFrom(newInputs);
        FloatMatrix first = residual.getFirst();
        engine.tokens(batch.tokens(), (r0, r1, worker) ->
                engine.kernels().gather(model.embedding.weight(), inputs, first, r0, r1));
        for (int i = 0; i < model.blocks().size(); i++) {
            forward(i);
        }
        model.finalNorm.forward(residual.getLast(), headInput, finalRms);
    }

    /** Hands the gradients of factor * loss over to the sink, once after each {@link #forward}. */
    public void backward(float factor, GradientSink sink) {
        model.head.backward(headInput.matrix(), targets, factor, dx, headTape, sink);
        if (model.head.parameter() != model.embedding) {
            sink.complete(model.head.parameter());
        }
        model.finalNorm.backward(residual.getLast(), finalRms, dx, dx, false, sink);
        for (int i = model.blocks().size() - 1; i >= 0; i--) {
            if (recompute) {
                forward(i);
            }
            model.blocks().get(i).backward(residual.get(i), dx, tape(i), scratch, batch.length(), sink);
        }
        sink.acceptAll(model.embedding, (dw, accumulate, r0, r1, worker) -> {
            if (!accumulate) {
                dw.data().fill((byte) 0);
            }
            engine.kernels().scatterAdd(dx, inputs, r0, dw);
        });
    }

    private void forward(int i) {
        model.blocks().get(i).forward(residual.get(i), residual.get(i + 1), tape(i), scratch, batch.length());
    }

    private BlockTape tape(int i) {
        return tapes.get(recompute ? 0 : i);
    }
}
