package io.sterna.infer;

/**
 * A sequence of tokens that a model continues: its own memory, allocated when it is opened, and its own
 * threads; the weights are the model's. Sessions of a model work side by side. A session serves one thread at
 * a time, but may be closed from any: work under way then ends with {@link SessionClosedException} after the
 * pass that it is in.
 */
public final class Session implements AutoCloseable {
    private static final int[] ITSELF = {0};

    private final SessionGroup group;

    Session(SessionGroup ofOne) {
        this.group = ofOne;
    }

    /** Tokens that it can hold. */
    public int context() {
        return group.context();
    }

    /** Tokens that it holds. */
    public int length() {
        return group.length(0);
    }

    /** As {@link SessionGroup#changes}. */
    long changes() {
        return group.changes();
    }

    /** The tokens that it holds; a copy. */
    public int[] tokens() {
        return group.tokens(0);
    }

    /**
     * Appends tokens: many at once through matrix products, a single one through matrix-vector products.
     *
     * @throws ContextException         when the context does not hold them; nothing is appended then
     * @throws IllegalArgumentException for no tokens, or one outside the vocabulary
     */
    public void append(int... more) {
        group.append(new int[][] {more});
    }

    /**
     * Appends tokens and sums the cross-entropies, in nats, of those that follow them.
     *
     * @param next the token after each, or -1 for none
     * @throws ContextException         when the context does not hold them; nothing is appended then
     * @throws IllegalArgumentException for no tokens, one outside the vocabulary, or a next one outside -1 ... vocab - 1;
     *     nothing is appended then
     */
    public double score(int[] more, int[] next) {
        return group.score(new int[][] {more}, new int[][] {next})[0];
    }

    /**
     * Copies the logits (vocab) of the token after the last.
     *
     * @throws IllegalStateException when nothing was appended since the session began or was truncated
     */
    public void logits(float[] out) {
        group.logits(ITSELF, new float[][] {out});
    }

    /** Forgets all but the first {@code count} tokens; more than it holds is an {@link IllegalArgumentException}. */
    public void truncate(int count) {
        group.truncate(0, count);
    }

    /** As {@link SessionGroup#close}: returns the memory and ends the threads, after the pass under way. */
    @Override
    public void close() {
        group.close();
    }
}
