package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Worker;
import io.sterna.nn.Ranges.Chunk;
import io.sterna.nn.Ranges.Chunks;
import io.sterna.nn.Ranges.Phase;
import io.sterna.nn.Ranges.Units;
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
    /** What blocks keep of their attention; none with recomputation. */
    private final List<SpanAttention.Kept> kept = new ArrayList<>();
    private final SpanAttention[] places;
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
    private final Input.Floats lastInput;
    private final MemorySegment ids;
    private final MemorySegment targets;

    /** What a worker needs for a chunk of tokens: windows over the operands of attention; the inputs in the forward pass only. */
    private record Local(BlockScratch scratch, BlockInputs inputs, BlockTape tape) {
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
        Workspace.Section activations = workspace.section(MemoryKind.ACTIVATIONS);
        Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
        long tokens = batch.tokens();
        this.engine = engine;
        this.model = model;
        this.batch = batch;
        this.recompute = recompute;
        this.ranges = new Ranges(engine.slices(), engine.workers(), batch, config.kvHeads(), config.intermediate(), model.method().quantized());
        for (int i = 0; i <= config.layers(); i++) {
            residual.add(chunked(activations, batch.activations(), config.hidden()));
        }
        this.dx = chunked(scratch, FloatType.F32, config.hidden());
        this.inputs = chunked(BlockInputs.allocate(config, model.method(), tokens, scratch), scratch);
        // The head never computes while a block's backward pass is under way, so that both use the same memory.
        long chunks = ranges.count();
        long blockBytes = Workspace.measure(s -> BlockGradients.allocate(config, batch, chunks, inputs.whole(), s));
        Workspace.Region shared = scratch.region(blockBytes);
        this.gradients = chunked(BlockGradients.allocate(config, batch, chunks, inputs.whole(), shared.section()), scratch);
        for (int i = 0; i < (recompute ? 0 : config.layers()); i++) {
            kept.add(SpanAttention.Kept.allocate(config, batch.activations(), tokens, activations));
        }
        this.places = new SpanAttention[ranges.places()];
        for (int i = 0; i < places.length; i++) {
            places[i] = new SpanAttention(config, batch, ranges.spanTokens(), !recompute, scratch);
        }
        this.locals = new Local[engine.workers()];
        for (int i = 0; i < locals.length; i++) {
            locals[i] = new Local(new BlockScratch(config, ranges.chunk(), batch.gradients(), scratch),
                    BlockInputs.allocate(config, model.method(), ranges.chunk(), scratch), BlockTape.window(scratch));
        }
        this.ids = activations.allocate(tokens * Integer.BYTES);
        this.targets = activations.allocate(tokens * Integer.BYTES);
        boolean twice = (2 * logits + tokens * config.hidden()) * Float.BYTES <= blockBytes;
        long fitting = twice ? 2 * logits : logits; // the more tokens at once, the less is packed
        long group = model.head.group(tokens, fitting, ranges.chunk());
        Workspace.Section head = shared.section();
        this.headInput = new Input.Floats(FloatMatrix.allocate(head, model.head.operandType(), group, config.hidden()));
        this.headTape = Head.Tape.large(model.head, group, fitting, batch.gradients(), head);
        this.finalRms = FloatMatrix.allocate(scratch, FloatType.F32, 1, group);
        this.finalGains = FloatMatrix.allocate(scratch, FloatType.F32, Math.ceilDiv(tokens, group), config.hidden());
        this.groups = groups(group, scratch);
        this.lastToken = FloatMatrix.window(activations);
        this.lastInput = new Input.Floats(FloatMatrix.allocate(scratch, FloatType.F32, 1, config.hidden()));
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
        normalize(lastToken.overRows(residual.getLast().whole(), row, row + 1), lastInput);
        model.head.logits(lastInput.matrix(), out);
    }

    /** The residual stream after all blocks. */
    private void hidden(MemorySegment newInputs, MemorySegment newTargets) {
        // Workers read them, whatever arena the caller's are of.
        ids.copyFrom(newInputs);
        targets.copyFrom(newTargets);
        FloatMatrix first = residual.getFirst().whole();
        ranges.run((chunk, place, worker) -> engine.kernels().gather(model.embedding.weight(), ids, first, chunk.row0(), chunk.row1()));
        for (int i = 0; i < model.blocks().size(); i++) {
            blockForward(i);
        }
    }

    /** Fills the head's input. */
    private void normalize(FloatMatrix x) {
        headInput.resize(x.rows());
        headTape.resize(x.rows());
        normalize(x, headInput);
    }

    private void normalize(FloatMatrix x, Input.Floats y) {
        finalRms.reshape(1, x.rows());
        model.finalNorm.forward(x, y, finalRms, engine.slices());
    }

    private double headBackward(float factor, GradientSink sink) {
        double loss = 0;
        for (Group group : groups) {
            normalize(group.x());
            loss += model.head.backward(headInput.matrix(), group.targets(), factor, group.dx(), headTape, sink);
            if (!Double.isFinite(loss)) {
                return loss;
            }
            model.finalNorm.backward(group.x(), finalRms, group.dx(), group.dx(), false, group.gain());
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
        block.prepare();
        ranges.run(begin(i),
                new Chunks((chunk, place, worker) -> project(block, i, chunk, inputs(chunk, worker), place, worker)),
                new Units(this::attentionForward),
                new Chunks((chunk, place, worker) -> block.mix(residual.get(i).chunk(chunk), residual.get(i + 1).chunk(chunk),
                        inputs(chunk, worker), tape(chunk, place, worker), scratch(chunk, worker), worker)));
    }

    /** Turns dx, the gradient of the block's result, into that of its input, and hands those of the weights over. */
    private void blockBackward(int i, Block.Keys keys, GradientSink sink) {
        Block block = model.blocks().get(i);
        BlockGradients d = gradients.whole();
        block.prepare();
        List<Phase> phases = new ArrayList<>();
        if (recompute) {
            phases.add(new Chunks((chunk, place, worker) -> project(block, i, chunk, inputs.chunk(chunk), place, worker)));
            phases.add(new Units(this::attentionForward));
        }
        phases.add(new Chunks((chunk, place, worker) -> {
            if (!recompute) {
                project(block, i, chunk, inputs.chunk(chunk), place, worker);
            }
            block.mixBackward(residual.get(i).chunk(chunk), dx.chunk(chunk), inputs.chunk(chunk), tape(chunk, place, worker),
                    scratch(chunk, worker), gradients.chunk(chunk), keys, worker);
        }));
        phases.add(new Units((unit0, unit1, place, worker) -> places[place].backward(kernels(), unit0, unit1, worker)));
        phases.add(new Chunks((chunk, place, worker) -> {
            block.rotate(d.dq(), batch.length(), false, chunk.row0(), chunk.row1());
            block.rotate(d.dk(), batch.length(), false, chunk.row0(), chunk.row1());
            block.projectBackward(residual.get(i).chunk(chunk), dx.chunk(chunk), inputs.chunk(chunk),
                    scratch(chunk, worker), gradients.chunk(chunk), keys, worker);
        }));
        ranges.run(begin(i), phases.toArray(Phase[]::new));
        sink.acceptAll(block.gradients(inputs.whole(), d));
    }

    private Ranges.SpanBody begin(int i) {
        SpanAttention.Kept result = recompute ? null : kept.get(i);
        return (span, place) -> places[place].begin(result, gradients.whole(), span.row0(), span.row1());
    }

    private void project(Block block, int i, Chunk chunk, BlockInputs chunkInputs, int place, Worker worker) {
        BlockTape tape = tape(chunk, place, worker);
        block.project(residual.get(i).chunk(chunk), chunkInputs, tape, worker);
        // A span begins with a sequence, so that positions follow from a token's place in it.
        BlockTape span = places[place].tape();
        block.rotate(span.q(), batch.length(), true, chunk.start(), chunk.start() + chunk.rows());
        block.rotate(span.k(), batch.length(), true, chunk.start(), chunk.start() + chunk.rows());
    }

    private void attentionForward(long unit0, long unit1, int place, Worker worker) {
        places[place].forward(kernels(), unit0, unit1, worker);
    }

    private Kernels kernels() {
        return engine.kernels();
    }

    private BlockTape tape(Chunk chunk, int place, Worker worker) {
        return locals[worker.index()].tape().overRows(places[place].tape(), chunk.start(), chunk.start() + chunk.rows());
    }

    private BlockScratch scratch(Chunk chunk, Worker worker) {
        BlockScratch scratch = locals[worker.index()].scratch();
        scratch.resize(chunk.rows());
        return scratch;
    }

    private BlockInputs inputs(Chunk chunk, Worker worker) {
        BlockInputs chunkInputs = locals[worker.index()].inputs();
        chunkInputs.resize(chunk.rows());
        return chunkInputs;
    }
}
