package io.sterna.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import java.util.stream.LongStream;

/**
 * A token stream cut into windows of {@code seqLen} inputs and, one token later, {@code seqLen} targets:
 * window w reads tokens w · seqLen to (w + 1) · seqLen, both included. Tokens behind the last whole window are
 * not used. Thread-safe.
 */
public final class Windows {
    private final TokenStream tokens;
    private final int seqLen;
    private final long count;

    /**
     * Windows of {@code seqLen} inputs, 1 to 2^24.
     *
     * @throws ShardException if there is not even one window
     * @throws IllegalArgumentException for a {@code seqLen} outside its range
     */
    public Windows(TokenStream tokens, int seqLen) throws ShardException {
        if (seqLen < 1 || seqLen > 1 << 24) {
            throw new IllegalArgumentException("sequence length is " + seqLen + ", must be 1 to 2^24");
        }
        this.tokens = tokens;
        this.seqLen = seqLen;
        this.count = Math.max(0, tokens.size() - 1) / seqLen;
        if (count == 0) {
            throw new ShardException("data of " + tokens.size() + " tokens is shorter than one window of "
                    + (seqLen + 1) + ": give more text or a shorter sequence length");
        }
    }

    /** Number of windows. */
    public long count() {
        return count;
    }

    /** Numbers of so many windows, evenly spread over all; all of them, where there are no more. */
    public long[] spread(int atMost) {
        long chosen = Math.min(atMost, count);
        return LongStream.range(0, chosen).map(i -> Math.floorDiv(i * count, chosen)).toArray();
    }

    /** Inputs of a window, S. */
    public int seqLen() {
        return seqLen;
    }

    /**
     * Copies window w to row {@code row} of inputs (rows, S) and targets (rows, S), ints in native order.
     *
     * @throws IndexOutOfBoundsException if w or row is outside
     */
    public void read(long w, MemorySegment inputs, MemorySegment targets, long row) {
        Objects.checkIndex(w, count);
        int[] ids = new int[seqLen + 1];
        tokens.read(w * seqLen, seqLen + 1, ids, 0);
        MemorySegment.copy(ids, 0, inputs, ValueLayout.JAVA_INT_UNALIGNED, 4 * row * seqLen, seqLen);
        MemorySegment.copy(ids, 1, targets, ValueLayout.JAVA_INT_UNALIGNED, 4 * row * seqLen, seqLen);
    }

    /** The same with arrays. */
    public void read(long w, int[] inputs, int[] targets, int row) {
        read(w, MemorySegment.ofArray(inputs), MemorySegment.ofArray(targets), row);
    }
}
