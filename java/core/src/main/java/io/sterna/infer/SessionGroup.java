package io.sterna.infer;

import io.sterna.kernel.NativeHeap;
import io.sterna.kernel.Slices;
import io.sterna.nn.Engine;
import io.sterna.nn.LlamaDecoder;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Workspace;
import io.sterna.train.ProcessMemory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * Sequences of tokens that a model continues side by side, so that a pass reads the weights once for all of
 * them. A sequence's numbers do not depend on the others, nor on how many of its tokens came at once. Memory is
 * allocated when the group is opened, for all sequences at full length; threads are its own, the weights the
 * model's. A group serves one thread at a time, but may be closed from any: work under way then ends with
 * {@link SessionClosedException} after the pass that it is in.
 */
public final class SessionGroup implements AutoCloseable {
    /** Tokens that go through the model at once: enough for matrix products at full speed. */
    private static final int CHUNK = 256;

    private final Model model;
    private final Workspace workspace;
    private final Slices slices;
    private final LlamaDecoder decoder;
    private final int[][] tokens;
    private final boolean[] fresh;
    private final int context;
    private long changes;
    private final ReentrantLock lock = new ReentrantLock();
    private volatile boolean closed;

    SessionGroup(Model model, SessionOptions options, int sequences) {
        this.model = model;
        this.context = options.context();
        int pass = Math.clamp((long) context * sequences, Math.max(1, sequences), Math.max(CHUNK, sequences));
        var size = new LlamaDecoder.Size(sequences, context, options.cacheType(), pass);
        this.workspace = new Workspace();
        try {
            this.slices = new Slices(options.threads());
        } catch (RuntimeException | Error e) {
            workspace.close();
            throw e;
        }
        try {
            requireMemory(size);
            this.decoder = decoder(size, workspace);
            this.tokens = new int[sequences][context];
            this.fresh = new boolean[sequences];
        } catch (RuntimeException | Error e) {
            slices.close();
            workspace.close();
            throw e;
        }
    }

    private LlamaDecoder decoder(LlamaDecoder.Size size, Workspace memory) {
        Engine engine = model.engine(slices, memory);
        return new LlamaDecoder(model.llama().on(engine), engine, size, memory);
    }

    /** Before it is taken: a context as long as some models allow can be more than the machine has. */
    private void requireMemory(LlamaDecoder.Size size) {
        try (Workspace plan = Workspace.planning()) {
            decoder(size, plan);
            long bytes = plan.totalBytes();
            Optional<String> shortage = ProcessMemory.shortage(bytes);
            if (shortage.isPresent()) {
                throw new IllegalArgumentException("context " + size.context() + " of " + size.sequences() + " sequences: "
                        + shortage.get() + "; lower one of them");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Sequences. */
    public int size() {
        return tokens.length;
    }

    /** Tokens that each sequence can hold. */
    public int context() {
        return context;
    }

    /** Tokens that a sequence holds. */
    public int length(int sequence) {
        return locked(() -> decoder.cache(sequence).length());
    }

    /** How often the sequences were changed; a caller who finds the number it left finds the tokens that it left. */
    long changes() {
        return locked(() -> changes);
    }

    /** The tokens that a sequence holds; a copy. */
    public int[] tokens(int sequence) {
        return locked(() -> Arrays.copyOf(tokens[sequence], decoder.cache(sequence).length()));
    }

    /**
     * Appends tokens to the sequences: many at once through matrix products, few through matrix-vector products.
     * After an exception the sequences are as they were before.
     *
     * @param more (size, any number): those of each sequence, perhaps none
     * @throws ContextException         when a context does not hold them
     * @throws IllegalArgumentException for no tokens at all, or one outside the vocabulary
     */
    public void append(int[][] more) {
        locked(() -> {
            pass(more, (lengths, done) -> { });
            return null;
        });
    }

    /**
     * Appends tokens to the sequences and sums the cross-entropies, in nats, of those that follow them.
     * After an exception the sequences are as they were before.
     *
     * @param more (size, any number): those of each sequence, perhaps none
     * @param next shaped as {@code more}: the token after each, or -1 for none
     * @return (size)
     * @throws ContextException         when a context does not hold them
     * @throws IllegalArgumentException for no tokens at all, one outside the vocabulary, or a next one outside -1 ... vocab - 1
     */
    public double[] score(int[][] more, int[][] next) {
        for (int i = 0; i < more.length; i++) {
            if (next.length != more.length || next[i].length != more[i].length) {
                throw new IllegalArgumentException("next tokens of sequence " + i + ": must be one for each appended");
            }
        }
        double[] sums = new double[more.length];
        locked(() -> {
            pass(more, (lengths, done) -> addLosses(decoder.losses(part(next, done, lengths)), lengths, sums));
            return null;
        });
        return sums;
    }

    private static void addLosses(double[] losses, int[] lengths, double[] sums) {
        int at = 0;
        for (int i = 0; i < lengths.length; i++) {
            for (int t = 0; t < lengths[i]; t++) {
                sums[i] += losses[at++];
            }
        }
    }

    private interface Pass {
        void after(int[] lengths, int[] done);
    }

    /** Takes the tokens through the model, as many sequences at once as a pass holds. */
    private void pass(int[][] more, Pass body) {
        check(more);
        int[] starts = new int[size()];
        Arrays.setAll(starts, i -> decoder.cache(i).length());
        int[] done = new int[size()];
        try {
            for (int[] lengths = next(more, done); Arrays.stream(lengths).sum() > 0; lengths = next(more, done)) {
                requireOpen();
                decoder.forward(part(more, done, lengths), lengths);
                body.after(lengths, done);
                for (int i = 0; i < done.length; i++) {
                    done[i] += lengths[i];
                }
            }
        } catch (RuntimeException | Error e) {
            for (int i = 0; i < starts.length; i++) {
                decoder.cache(i).truncate(starts[i]);
                fresh[i] &= done[i] == 0 && more[i].length == 0;
            }
            throw e;
        }
        changes++;
        for (int i = 0; i < starts.length; i++) {
            System.arraycopy(more[i], 0, tokens[i], starts[i], more[i].length);
            fresh[i] |= more[i].length > 0;
        }
    }

    private void check(int[][] more) {
        if (more.length != size()) {
            throw new IllegalArgumentException("tokens of " + more.length + " sequences: the group has " + size());
        }
        if (Arrays.stream(more).allMatch(t -> t.length == 0)) {
            throw new IllegalArgumentException("no tokens to append");
        }
        for (int i = 0; i < more.length; i++) {
            int length = decoder.cache(i).length();
            if (more[i].length > context - length) {
                throw new ContextException(more[i].length + " tokens behind " + length + ": the context holds " + context);
            }
        }
    }

    /** How many tokens of each sequence the next pass takes. */
    private int[] next(int[][] more, int[] done) {
        int[] lengths = new int[more.length];
        int room = decoder.size().tokens();
        for (int i = 0; i < more.length; i++) {
            lengths[i] = Math.min(room, more[i].length - done[i]);
            room -= lengths[i];
        }
        return lengths;
    }

    /** lengths[i] numbers of row i from done[i] on, row after row. */
    private static int[] part(int[][] rows, int[] done, int[] lengths) {
        int[] part = new int[Arrays.stream(lengths).sum()];
        int at = 0;
        for (int i = 0; i < lengths.length; i++) {
            System.arraycopy(rows[i], done[i], part, at, lengths[i]);
            at += lengths[i];
        }
        return part;
    }

    /**
     * Copies the logits of the token after the last of each of some sequences.
     *
     * @param sequences one at least, each at most once
     * @param out       (sequences.length, n): of the first n tokens of the vocabulary, all of them at most
     * @throws IllegalStateException when nothing was appended to one since it began or was truncated
     * @throws IllegalArgumentException for more numbers than the vocabulary has tokens
     */
    public void logits(int[] sequences, float[][] out) {
        locked(() -> {
            for (int sequence : sequences) {
                if (!fresh[sequence]) {
                    throw new IllegalStateException("logits: append tokens first");
                }
            }
            FloatMatrix logits = decoder.logits(sequences);
            for (int i = 0; i < sequences.length; i++) {
                if (out[i].length > logits.cols()) {
                    throw new IllegalArgumentException("logits of " + out[i].length + " tokens: the vocabulary has " + logits.cols());
                }
                MemorySegment.copy(logits.data(), ValueLayout.JAVA_FLOAT, i * logits.cols() * Float.BYTES, out[i], 0, out[i].length);
            }
            return null;
        });
    }

    /**
     * A sequence forgets all but its first {@code count} tokens.
     *
     * @throws IllegalArgumentException for more than it holds
     */
    public void truncate(int sequence, int count) {
        locked(() -> {
            decoder.cache(sequence).truncate(count);
            fresh[sequence] = false;
            changes++;
            return null;
        });
    }

    /**
     * Sequence {@code to} forgets all and becomes the first {@code count} tokens of another one, without a pass.
     *
     * @throws IllegalArgumentException for more than that one holds
     */
    public void copy(int from, int to, int count) {
        locked(() -> {
            decoder.copy(from, to, count);
            System.arraycopy(tokens[from], 0, tokens[to], 0, count);
            fresh[to] = false;
            changes++;
            return null;
        });
    }

    private <T> T locked(Supplier<T> work) {
        lock.lock();
        try {
            requireOpen();
            return work.get();
        } finally {
            lock.unlock();
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new SessionClosedException();
        }
    }

    /**
     * Returns the memory to the system and ends the threads, after the pass under way; does nothing the second time.
     * Small groups' memory goes back together, as soon as it amounts to 16 MB.
     */
    @Override
    public void close() {
        closed = true;
        lock.lock();
        try {
            if (workspace.isAlive()) {
                slices.close();
                NativeHeap.close(workspace);
                model.forget(this);
            }
        } finally {
            lock.unlock();
        }
    }
}
