package io.sterna.infer;

import io.sterna.kernel.Slices;
import io.sterna.nn.Engine;
import io.sterna.nn.LlamaDecoder;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * A sequence of tokens that a model continues: its own memory, allocated when it is opened, and its own
 * threads; the weights are the model's. Sessions of a model work side by side. A session serves one thread at
 * a time, but may be closed from any: work under way then ends with {@link SessionClosedException} after the
 * pass that it is in.
 */
public final class Session implements AutoCloseable {
    /** Tokens of a prompt that go through the model at once: enough for matrix products at full speed. */
    private static final int CHUNK = 256;

    private final Model model;
    private final Workspace workspace;
    private final Slices slices;
    private final LlamaDecoder decoder;
    private final int[] tokens;
    private final ReentrantLock lock = new ReentrantLock();
    private volatile boolean closed;
    private boolean fresh;

    Session(Model model, SessionOptions options) {
        this.model = model;
        this.workspace = new Workspace();
        try {
            this.slices = new Slices(options.threads());
        } catch (RuntimeException | Error e) {
            workspace.close();
            throw e;
        }
        try {
            Engine engine = model.engine(slices, workspace);
            var size = new LlamaDecoder.Size(1, options.context(), options.cacheType(), Math.clamp(options.context(), 1, CHUNK));
            this.decoder = new LlamaDecoder(model.llama().on(engine), engine, size, workspace);
            this.tokens = new int[options.context()];
        } catch (RuntimeException | Error e) {
            slices.close();
            workspace.close();
            throw e;
        }
    }

    /** Tokens that it can hold. */
    public int context() {
        return tokens.length;
    }

    /** Tokens that it holds. */
    public int length() {
        return locked(() -> decoder.cache(0).length());
    }

    /** The tokens that it holds; a copy. */
    public int[] tokens() {
        return locked(() -> Arrays.copyOf(tokens, decoder.cache(0).length()));
    }

    /**
     * Appends tokens: many at once through matrix products, a single one through matrix-vector products.
     *
     * @throws ContextException         when the context does not hold them; nothing is appended then
     * @throws IllegalArgumentException for no tokens, or one outside the vocabulary
     */
    public void append(int... more) {
        locked(() -> {
            checkRoom(more.length);
            pass(more, (from, to) -> 0);
            return null;
        });
    }

    /**
     * Appends tokens and sums the cross-entropies, in nats, of those that follow them.
     *
     * @param next the token after each, or -1 for none
     */
    public double score(int[] more, int[] next) {
        if (next.length != more.length) {
            throw new IllegalArgumentException(next.length + " next tokens: must be one for each of " + more.length);
        }
        return locked(() -> {
            checkRoom(more.length);
            return pass(more, (from, to) -> decoder.loss(Arrays.copyOfRange(next, from, to)));
        });
    }

    private interface Chunk {
        double after(int from, int to);
    }

    private double pass(int[] more, Chunk chunk) {
        int start = decoder.cache(0).length();
        double sum = 0;
        try {
            for (int from = 0; from < more.length; from += CHUNK) {
                requireOpen();
                int to = Math.min(more.length, from + CHUNK);
                decoder.forward(Arrays.copyOfRange(more, from, to), new int[] {to - from});
                sum += chunk.after(from, to);
            }
        } catch (RuntimeException e) {
            decoder.cache(0).truncate(start);
            fresh = false;
            throw e;
        }
        System.arraycopy(more, 0, tokens, start, more.length);
        fresh = true;
        return sum;
    }

    private void checkRoom(int count) {
        int length = decoder.cache(0).length();
        if (count == 0) {
            throw new IllegalArgumentException("no tokens to append");
        }
        if (count > tokens.length - length) {
            throw new ContextException(count + " tokens behind " + length + ": the context holds " + tokens.length);
        }
    }

    /**
     * Copies the logits (vocab) of the token after the last.
     *
     * @throws IllegalStateException when nothing was appended since the session began or was truncated
     */
    public void logits(float[] out) {
        locked(() -> {
            if (!fresh) {
                throw new IllegalStateException("logits: append tokens first");
            }
            FloatMatrix logits = decoder.logits();
            MemorySegment.copy(logits.data(), ValueLayout.JAVA_FLOAT, 0, out, 0, Math.toIntExact(logits.cols()));
            return null;
        });
    }

    /** Forgets all but the first {@code count} tokens; more than it holds is an {@link IllegalArgumentException}. */
    public void truncate(int count) {
        locked(() -> {
            decoder.cache(0).truncate(count);
            fresh = false;
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

    /** Returns the memory and ends the threads, after the pass under way; does nothing the second time. */
    @Override
    public void close() {
        closed = true;
        lock.lock();
        try {
            if (workspace.isAlive()) {
                slices.close();
                workspace.close();
                model.forget(this);
            }
        } finally {
            lock.unlock();
        }
    }
}
