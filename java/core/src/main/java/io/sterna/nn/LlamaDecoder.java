package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Forward passes of sequences that grow: each pass takes the next tokens of each sequence, one or many, and
 * looks back on the keys and values kept in a cache. All memory is allocated ahead: one block's buffers serve
 * all blocks. Belongs to one thread at a time.
 */
public final class LlamaDecoder {
    private final Engine engine;
    private final Llama model;
    private final Size size;
    private final List<KvCache> caches;
    private final BlockScratch scratch;
    private final BlockInputs inputs;
    private final BlockTape tape;
    private final CachedAttention attention;
    private final FloatMatrix residual;
    private final FloatMatrix row;
    private final FloatMatrix lastRow;
    private final FloatMatrix last;
    private final FloatMatrix chosen;
    private final Input.Floats headInput;
    private final FloatMatrix finalRms;
    private final FloatMatrix logits;
    private final Head.Tape headTape;
    private final MemorySegment ids;
    private final MemorySegment targets;

    /**
     * What is allocated.
     *
     * @param sequences sequences side by side
     * @param context   tokens that each can hold
     * @param cacheType type of keys and values in the caches
     * @param tokens    tokens of a pass at most, of all sequences together
     */
    public record Size(int sequences, int context, CacheType cacheType, int tokens) {
        /** @throws IllegalArgumentException for fewer than one sequence, or less than a token of each in a pass */
        public Size {
            if (sequences < 1 || sequences > 1 << 16) {
                throw new IllegalArgumentException("sequences " + sequences + ": must lie between 1 and 65536");
            }
            if (tokens < sequences) {
                throw new IllegalArgumentException("tokens of a pass " + tokens + ": must be at least one for each of "
                        + sequences + " sequences");
            }
        }
    }

    /**
     * A decoder of empty sequences.
     *
     * @param model one that computes with the engine
     */
    public LlamaDecoder(Llama model, Engine engine, Size size, Workspace workspace) {
        LlamaConfig config = model.config();
        Workspace.Section section = workspace.section(MemoryKind.ACTIVATIONS);
        this.engine = engine;
        this.model = model;
        this.size = size;
        this.caches = IntStream.range(0, size.sequences())
                .mapToObj(i -> new KvCache(config, size.cacheType(), size.context(), workspace)).toList();
        this.scratch = new BlockScratch(config, size.tokens(), workspace.section(MemoryKind.SCRATCH));
        this.inputs = BlockInputs.allocate(config, model.method(), size.tokens(), section);
        this.tape = BlockTape.allocate(config, FloatType.F32, size.tokens(), section);
        this.attention = new CachedAttention(config, engine, tape, caches, size.cacheType(), workspace);
        this.residual = FloatMatrix.allocate(section, FloatType.F32, size.tokens(), config.hidden());
        this.row = FloatMatrix.window(section);
        this.lastRow = FloatMatrix.window(section);
        this.last = FloatMatrix.allocate(section, FloatType.F32, size.sequences(), config.hidden());
        this.chosen = FloatMatrix.allocate(section, FloatType.F32, size.sequences(), config.hidden());
        this.headInput = new Input.Floats(FloatMatrix.allocate(section, FloatType.F32, size.tokens(), config.hidden()));
        this.finalRms = FloatMatrix.allocate(section, FloatType.F32, 1, size.tokens());
        this.logits = FloatMatrix.allocate(section, FloatType.F32, size.sequences(), config.vocab());
        this.headTape = Head.Tape.small(model.head, size.tokens(), workspace);
        this.ids = section.allocate((long) size.tokens() * Integer.BYTES);
        this.targets = section.allocate((long) size.tokens() * Integer.BYTES);
    }

    /** What was allocated. */
    public Size size() {
        return size;
    }

    /** The cache of a sequence. */
    public KvCache cache(int sequence) {
        return caches.get(sequence);
    }

    /**
     * Makes a sequence the first {@code count} tokens of another one, as if it had been given them.
     *
     * @throws IllegalArgumentException for more tokens than the other one holds
     */
    public void copy(int from, int to, int count) {
        if (count < 0 || count > cache(from).length()) {
            throw new IllegalArgumentException("copy " + count + " tokens: the sequence holds " + cache(from).length());
        }
        if (from == to) {
            cache(to).truncate(count);
        } else {
            cache(to).copyFrom(cache(from), count);
        }
    }

    /**
     * Appends tokens to the sequences. After an exception the sequences are as they were before.
     *
     * @param tokens     those of the first sequence, then those of the second, ...
     * @param newLengths how many each sequence gets; 0 leaves it as it is
     * @throws IllegalArgumentException for no tokens at all or more than a pass takes, for a token that is not
     *     in the vocabulary, and for more tokens than a sequence's context can hold
     */
    public void forward(int[] tokens, int[] newLengths) {
        check(tokens, newLengths);
        MemorySegment.copy(tokens, 0, ids, ValueLayout.JAVA_INT, 0, tokens.length);
        residual.reshape(tokens.length, residual.cols());
        scratch.resize(tokens.length);
        inputs.resize(tokens.length);
        tape.resize(tokens.length);
        attention.place(newLengths);
        Engine.tokens(tokens.length, engine.slices(), (r0, r1, worker) ->
                engine.kernels().gather(model.embedding.weight(), ids, residual, r0, r1));
        for (int layer = 0; layer < model.blocks().size(); layer++) {
            model.blocks().get(layer).decode(residual, inputs, tape, scratch, attention, layer);
        }
        long end = 0;
        for (int i = 0; i < newLengths.length; i++) {
            end += newLengths[i];
            if (newLengths[i] > 0) {
                copyRow(residual, end - 1, last, i);
            }
            caches.get(i).grow(newLengths[i]);
        }
    }

    private void copyRow(FloatMatrix from, long row0, FloatMatrix to, long row1) {
        row.overRows(from, row0, row0 + 1);
        lastRow.overRows(to, row1, row1 + 1);
        engine.kernels().copy(row, lastRow, 0, 1);
    }

    private void check(int[] tokens, int[] newLengths) {
        if (newLengths.length != size.sequences() || Arrays.stream(newLengths).anyMatch(n -> n < 0)
                || Arrays.stream(newLengths).asLongStream().sum() != tokens.length) {
            throw new IllegalArgumentException("lengths " + Arrays.toString(newLengths) + ": must be those of "
                    + size.sequences() + " sequences of " + tokens.length + " tokens");
        }
        if (tokens.length < 1 || tokens.length > size.tokens()) {
            throw new IllegalArgumentException(tokens.length + " tokens: a pass takes 1 to " + size.tokens());
        }
        for (int token : tokens) {
            if (token < 0 || token >= model.config().vocab()) {
                throw new IllegalArgumentException("token " + token + ": the vocabulary has " + model.config().vocab());
            }
        }
        for (int i = 0; i < newLengths.length; i++) {
            KvCache cache = caches.get(i);
            if (newLengths[i] > cache.capacity() - cache.length()) {
                throw new IllegalArgumentException("sequence of " + cache.length() + " tokens and " + newLengths[i]
                        + " more: the context holds " + cache.capacity());
            }
        }
    }

    /**
     * Logits after the last token that each of some sequences was given, F32 (sequences.length, vocab), whatever
     * passes of others came since; valid until the next call of this decoder.
     *
     * @param sequences one at least, each at most once
     */
    public FloatMatrix logits(int... sequences) {
        chosen.reshape(sequences.length, chosen.cols());
        for (int i = 0; i < sequences.length; i++) {
            copyRow(last, sequences[i], chosen, i);
        }
        normalize(chosen);
        logits.reshape(sequences.length, logits.cols());
        model.head.logits(headInput.matrix(), logits);
        return logits;
    }

    /**
     * The cross-entropies, in nats, of the tokens that follow those of the last pass; 0 where there is none.
     *
     * @param next the token after each of the last pass, or -1 for none
     * @throws IllegalArgumentException for another number of tokens than those of the last pass, or one that the vocabulary
     *     has not got
     */
    public double[] losses(int[] next) {
        if (next.length != residual.rows()) {
            throw new IllegalArgumentException(next.length + " targets: the last pass had " + residual.rows() + " tokens");
        }
        for (int i = 0; i < next.length; i++) {
            if (next[i] < -1 || next[i] >= model.config().vocab()) {
                throw new IllegalArgumentException("target " + next[i] + " at " + i + ": the vocabulary has " + model.config().vocab());
            }
        }
        return lossesFrom((int) IntStream.of(next).takeWhile(token -> token < 0).count(), next);
    }

    /** Of the tokens from {@code first} on, and 0 of those before: the start of a text may be there to be seen alone. */
    private double[] lossesFrom(int first, int[] next) {
        double[] losses = new double[next.length];
        int count = next.length - first;
        if (count > 0) {
            MemorySegment.copy(next, first, targets, ValueLayout.JAVA_INT, 0, count);
            normalize(row.overRows(residual, first, next.length));
            headTape.resize(count);
            System.arraycopy(model.head.losses(headInput.matrix(), targets, headTape), 0, losses, first, count);
        }
        return losses;
    }

    /** Fills the head's input. */
    private void normalize(FloatMatrix x) {
        headInput.resize(x.rows());
        finalRms.reshape(1, x.rows());
        model.finalNorm.forward(x, headInput, finalRms, engine.slices());
    }
}
