package io.sterna.nn;

import io.sterna.kernel.AttentionCall;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Worker;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Forward and backward passes of a model over batches of one size, and the memory that they need. Between the
 * passes remain the residual stream before each block and the result of its attention; with recomputation the
 * residual stream alone. Whatever else the backward pass needs it makes again, chunk by chunk of tokens, where
 * the chunk is in a worker's cache anyway.
 */
public final class LlamaPass {
    private final Engine engine;
    private final Llama model;
    private final Batch batch;
    private final boolean recompute;
    private final Ranges ranges;
    private final List<Chunked<FloatMatrix>> residual = new ArrayList<>();
    private final List<Layer> layers = new ArrayList<>();
    private final Local[] locals;
    private final Chunked<BlockInputs> inputs;
    private final Chunked<BlockGradients> gradients;
    private final Chunked<FloatMatrix> dx;
    private final List<Group> groups;
    private final Input.Floats headInput;
    private final FloatMatrix finalRms;
    private final FloatMatrix finalGains;
    private final Head.Tape headTape;
    private final FloatMatrix lastToken;
    private final MemorySegment ids;
    private final MemorySegment targets;

    /** The operands of a block's attention, which all blocks share, its result, and the attention over them. */
    private record Layer(Chunked<BlockTape> tape, AttentionCall attention) {
    }

    /** What a worker needs for a chunk of tokens; the inputs in the forward pass only. */
    private record Local(BlockScratch scratch, BlockInputs inputs) {
        Local resize(long tokens) {
            scratch.resize(tokens);
            inputs.resize(tokens);
            return this;
        }
    }

    /** Tokens that the head takes at once: its input, before the final norm, and the gradient of it. */
    private record Group(FloatMatrix x, FloatMatrix dx, MemorySegment targets, FloatMatrix gain) {
    }

    /** Buffers for passes over batches of that size. */
    public LlamaPass(Llama model, Engine engine, Batch batch, boolean recompute, Workspace workspace) {
        this(model, engine, batch, recompute, Head.LOGITS, workspace);
    }

    /** @param logits floats of logits that are held at once */
    LlamaPass(Llama model, Engine engine, Batch batch, boolean recompute, long logits, Workspace workspace) {
        LlamaConfig config = model.config();
        if (batch.gradients() == GradientType.INT8 && !model.method().int8Gradients()) {
            throw new IllegalArgumentException("gradients int8: need method dqt or bitnet, and one scale a tensor or a row");
        }
        Workspace.Section kept = workspace.section(MemoryKind.ACTIVATIONS);
        Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
        long tokens = batch.tokens();
        this.engine = engine;
        this.model = model;
        this.batch = batch;
        this.recompute = recompute;
        this.ranges = new Ranges(engine.slices(), engine.workers(), batch, config.kvHeads(), config.intermediate(),
                model.method().quantized());
        for (int i = 0; i <= config.layers(); i++) {
            residual.add(chunked(kept, batch.activations(), config.hidden()));
        }
        this.dx = chunked(scratch, FloatType.F32, config.hidden());
        this.inputs = chunked(BlockInputs.allocate(config, model.method(), tokens, scratch), scratch);
        // The head never computes while a block's backward pass is under way, so that both use the same memory.
        long chunks = ranges.count();
        long blockBytes = Workspace.measure(s -> BlockGradients.allocate(config, batch, chunks, inputs.whole(), s));
        Workspace.Region shared = scratch.region(blockBytes);
        this.gradients = chunked(BlockGradients.allocate(config, batch, chunks, inputs.whole(), shared.section()), scratch);
        BlockTape first = BlockTape.allocate(config, batch.activations(), tokens, scratch);
        layers.add(layer(config, first, scratch));
        for (int i = 1; i < (recompute ? 1 : config.layers()); i++) {
            layers.add(layer(config, first.withResult(kept), kept));
        }
        this.locals = new Local[engine.workers()];
        for (int i = 0; i < locals.length; i++) {
            locals[i] = new Local(new BlockScratch(config, ranges.chunk(), batch.gradients(), scratch),
                    BlockInputs.allocate(config, model.method(), ranges.chunk(), scratch));
        }
        this.ids = kept.allocate(tokens * Integer.BYTES);
        this.targets = kept.allocate(tokens * Integer.BYTES);
        long fitting = 3 * logits * Float.BYTES <= blockBytes ? 2 * logits : logits; // the more tokens at once, the less is packed
        long group = model.head.group(tokens, fitting, ranges.chunk());
        Workspace.Section head = shared.section();
        this.headInput = new Input.Floats(FloatMatrix.allocate(head, FloatType.F32, group, config.hidden()));
        this.headTape = Head.Tape.large(model.head, group, fitting, batch.gradients(), head);
        this.finalRms = FloatMatrix.allocate(scratch, FloatType.F32, 1, group);
        this.finalGains = FloatMatrix.allocate(scratch, FloatType.F32, Math.ceilDiv(tokens, group), config.hidden());
        this.groups = groups(group, scratch);
        this.lastToken = FloatMatrix.window(kept);
    }

    private Chunked<FloatMatrix> chunked(Workspace.Section section, FloatType type, long width) {
        return Chunked.of(FloatMatrix.allocate(section, type, batch.tokens(), width), ranges, section);
    }

    private Chunked<BlockInputs> chunked(BlockInputs x, Workspace.Section section) {
        return Chunked.of(x, ranges, section, c -> x.rows(section, c.row0(), c.row1()));
    }

    private Chunked<BlockGradients> chunked(BlockGradients d, Workspace.Section section) {
        return Chunked.of(d, ranges, section, c -> d.chunk(section, c));
    }

    private Layer layer(LlamaConfig config, BlockTape tape, Workspace.Section section) {
        BlockGradients d = gradients.whole();
        FloatMatrix lse = FloatMatrix.allocate(section, FloatType.F32, config.heads(), batch.tokens());
        var shape = new AttentionCall.Shape(batch.sequences(), batch.length(), config.heads(), config.kvHeads(), config.headDim());
        return new Layer(
                Chunked.of(tape, ranges, section, c -> tape.rows(section, c.row0(), c.row1())),
                new AttentionCall(section, shape, tape.q(), tape.k(), tape.v(), tape.out(), lse, d.dout(), d.dq(), d.dk(), d.dv()));
    }

    /** As chunks, none in a planning workspace. */
    private List<Group> groups(long size, Workspace.Section section) {
        if (section.workspace().isPlanning()) {
            return List.of();
        }
        List<FloatMatrix> x = FloatMatrix.windows(section, residual.getLast().whole(), size);
        List<FloatMatrix> d = FloatMatrix.windows(section, dx.whole(), size);
        List<FloatMatrix> gains = FloatMatrix.windows(section, finalGains, 1);
        return IntStream.range(0, x.size())
                .mapToObj(i -> new Group(x.get(i), d.get(i),
                        targets.asSlice(i * size * Integer.BYTES, x.get(i).rows() * Integer.BYTES), gains.get(i)))
                .toList();
    }

    /** Whether the gradient of a parameter comes in several parts of the same rows. */
    public boolean addsUp(Parameter parameter) {
        return parameter == model.head.parameter() && (finalGains.rows() > 1 || parameter == model.embedding);
    }

    // ------------------------------------------------------------ passes

    /**
     * The sum of the cross-entropies in nats of all tokens whose target is not -1.
     *
     * @param newInputs  int32 (sequences, length): tokens
     * @param newTargets int32 (sequences, length): the token after each, or -1
     */
    public double forward(MemorySegment newInputs, MemorySegment newTargets) {
        hidden(newInputs, newTargets);
        double loss = 0;
        for (Group group : groups) {
            normalize(group.x());
            loss += model.head.loss(headInput.matrix(), group.targets(), headTape);
        }
        return loss;
    }

    /**
     * {@link #forward}, and hands the gradients of factor * loss over to the sink. A loss that is not finite ends
     * it; no parameter of which a gradient was handed over is completed then.
     *
     * @param seed   with {@code number} and the parameter: of the random bits of int8 gradients
     * @param number of the pass
     */
    public double backward(MemorySegment newInputs, MemorySegment newTargets, float factor, long seed, long number, GradientSink sink) {
        hidden(newInputs, newTargets);
        double loss = headBackward(factor, sink);
        if (!Double.isFinite(loss)) {
            return loss;
        }
        for (int i = model.blocks().size() - 1; i >= 0; i--) {
            blockBackward(i, p -> Kernels.key(seed, p.id(), number), sink);
        }
        sink.acceptAll(List.of(GradientSink.Part.of(model.embedding, (dw, accumulate, r0, r1, worker) -> {
            if (!accumulate) {
                dw.data().fill((byte) 0);
            }
            engine.kernels().scatterAdd(dx.whole(), ids, r0, dw);
        })));
        return loss;
    }

    /**
     * Logits out (1, vocab) for the token after token {@code row} of {@code newInputs}, which are as those of
     * {@link #forward}.
     */
    public void logits(MemorySegment newInputs, long row, FloatMatrix out) {
        hidden(newInputs, newInputs);
        normalize(lastToken.overRows(residual.getLast().whole(), row, row + 1));
        model.head.logits(headInput.matrix(), out);
    }

    /** The residual stream after all blocks. */
    private void hidden(MemorySegment newInputs, MemorySegment newTargets) {
        // Workers read them, whatever arena the caller's are of.
        ids.copyFrom(newInputs);
        targets.copyFrom(newTargets);
        FloatMatrix first = residual.getFirst().whole();
        ranges.run((chunk, worker) -> engine.kernels().gather(model.embedding.weight(), ids, first, chunk.row0(), chunk.row1()));
        for (int i = 0; i < model.blocks().size(); i++) {
            blockForward(i);
        }
    }

    /** Fills the head's input. */
    private void normalize(FloatMatrix x) {
        headInput.resize(x.rows());
        finalRms.reshape(1, x.rows());
        headTape.resize(x.rows());
        model.finalNorm.forward(x, headInput, finalRms, engine.slices());
    }

    private double headBackward(float factor, GradientSink sink) {
        double loss = 0;
        for (Group group : groups) {
            normalize(group.x());
            loss += model.head.backward(headInput.matrix(), group.targets(), factor, group.dx(), headTape, sink);
            if (!Double.isFinite(loss)) {
                return loss;
            }
            model.finalNorm.backward(group.x(), finalRms, group.dx(), group.dx(), false, group.gain(), engine.slices());
        }
        if (model.head.parameter() != model.embedding) {
            sink.complete(model.head.parameter());
        }
        sink.acceptAll(List.of(model.finalNorm.gradient(finalGains)));
        return loss;
    }

    // ------------------------------------------------------------ blocks

    private void blockForward(int i) {
        Block block = model.blocks().get(i);
        Layer layer = layer(i);
        block.prepare();
        ranges.run(
                (chunk, worker) -> project(block, i, chunk, local(chunk, worker).inputs(), worker),
                (unit0, unit1, worker) -> kernels().attentionForward(layer.attention(), unit0, unit1, worker.scratch()),
                (chunk, worker) -> {
                    Local local = local(chunk, worker);
                    block.mix(residual.get(i).chunk(chunk), residual.get(i + 1).chunk(chunk), local.inputs(),
                            layer.tape().chunk(chunk), local.scratch(), worker);
                });
    }

    private void project(Block block, int i, Ranges.Chunk chunk, BlockInputs chunkInputs, Worker worker) {
        Chunked<BlockTape> tape = layer(i).tape();
        block.project(residual.get(i).chunk(chunk), chunkInputs, tape.chunk(chunk), worker);
        block.rotate(tape.whole().q(), batch.length(), true, chunk.row0(), chunk.row1());
        block.rotate(tape.whole().k(), batch.length(), true, chunk.row0(), chunk.row1());
    }

    /** Turns dx, the gradient of the block's result, into that of its input, and hands those of the weights over. */
    private void blockBackward(int i, Block.Keys keys, GradientSink sink) {
        Block block = model.blocks().get(i);
        Layer layer = layer(i);
        BlockGradients d = gradients.whole();
        block.prepare();
        if (recompute) {
            ranges.run(
                    (chunk, worker) -> project(block, i, chunk, inputs.chunk(chunk), worker),
                    (unit0, unit1, worker) -> kernels().attentionForward(layer.attention(), unit0, unit1, worker.scratch()),
                    (chunk, worker) -> { });
        }
        ranges.run(
                (chunk, worker) -> {
                    if (!recompute) {
                        project(block, i, chunk, inputs.chunk(chunk), worker);
                    }
                    block.mixBackward(residual.get(i).chunk(chunk), dx.chunk(chunk), inputs.chunk(chunk),
                            layer.tape().chunk(chunk), local(chunk, worker).scratch(), gradients.chunk(chunk), keys, worker);
                },
                (unit0, unit1, worker) -> kernels().attentionBackward(layer.attention(), unit0, unit1, worker.scratch()),
                (chunk, worker) -> {
                    block.rotate(d.dq(), batch.length(), false, chunk.row0(), chunk.row1());
                    block.rotate(d.dk(), batch.length(), false, chunk.row0(), chunk.row1());
                    block.projectBackward(residual.get(i).chunk(chunk), dx.chunk(chunk), inputs.chunk(chunk),
                            local(chunk, worker).scratch(), gradients.chunk(chunk), keys, worker);
                });
        sink.acceptAll(block.gradients(inputs.whole(), d));
    }

    private Kernels kernels() {
        return engine.kernels();
    }

    private Local local(Ranges.Chunk chunk, Worker worker) {
        return locals[worker.index()].resize(chunk.rows());
    }

    private Layer layer(int i) {
        return layers.get(recompute ? 0 : i);
    }
}
