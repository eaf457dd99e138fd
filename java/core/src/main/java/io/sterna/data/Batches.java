package io.sterna.data;

import io.sterna.rng.Philox;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * Training batches as a pure function of (seed, step). Row r of step t is sequence number
 * n = t · batch + r; sequence n is window {@code permutation(seed, epoch)[n mod W]} of the W windows, with
 * epoch = n div W. So each epoch shows every window once, in an order of its own, and nothing is stored: the
 * permutation is a Feistel network of six rounds with Philox as its round function, walked until it lands
 * below W (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Thread-safe.
 */
public final class Batches {
    private static final int ROUNDS = 6;
    private static final int DOMAIN = 0x42415443; // "BATC": apart from other uses of the seed

    private final Windows windows;
    private final int batch;
    private final long seed;
    private final int halfBits;

    /**
     * Batches of these windows, in the order that the seed gives.
     *
     * @param batch sequences a step, B
     * @throws IllegalArgumentException for a batch below 1
     */
    public Batches(Windows windows, int batch, long seed) {
        if (batch < 1) {
            throw new IllegalArgumentException("batch is " + batch + ", must be at least 1");
        }
        this.windows = windows;
        this.batch = batch;
        this.seed = seed;
        int bits = 64 - Long.numberOfLeadingZeros(windows.count() - 1);
        this.halfBits = Math.max(1, (bits + 1) / 2);
    }

    /** Sequences a step, B. */
    public int batch() {
        return batch;
    }

    /**
     * Fills inputs (B, S) and targets (B, S), ints in native order, with the batch of a step.
     *
     * @throws IndexOutOfBoundsException if step is negative or a segment too small
     */
    public void fill(long step, MemorySegment inputs, MemorySegment targets) {
        fill(step, 0, batch, inputs, targets);
    }

    /** Fills inputs (rows, S) and targets (rows, S) with rows [firstRow, firstRow + rows) of the batch of a step. */
    public void fill(long step, int firstRow, int rows, MemorySegment inputs, MemorySegment targets) {
        Objects.checkFromIndexSize(firstRow, rows, batch);
        for (int row = 0; row < rows; row++) {
            windows.read(window(step, firstRow + row), inputs, targets, row);
        }
    }

    /** The same with arrays. */
    public void fill(long step, int[] inputs, int[] targets) {
        fill(step, MemorySegment.ofArray(inputs), MemorySegment.ofArray(targets));
    }

    /** The window that row {@code row} of step {@code step} shows. */
    public long window(long step, int row) {
        Objects.checkIndex(step, Long.MAX_VALUE / batch);
        Objects.checkIndex(row, batch);
        long sequence = step * batch + row;
        return permute(sequence / windows.count(), sequence % windows.count());
    }

    private long permute(long epoch, long index) {
        int[] random = new int[4];
        int[] epochKey = new int[4];
        Philox.block((int) epoch, (int) (epoch >>> 32), 0, DOMAIN, (int) seed, (int) (seed >>> 32), epochKey);
        long i = index;
        do {
            i = feistel(i, epochKey[0], epochKey[1], random);
        } while (i >= windows.count());
        return i;
    }

    /** A bijection of [0, 4^halfBits). */
    private long feistel(long value, int key0, int key1, int[] random) {
        int mask = (int) ((1L << halfBits) - 1);
        int left = (int) (value >>> halfBits) & mask;
        int right = (int) value & mask;
        for (int round = 0; round < ROUNDS; round++) {
            Philox.block(right, round, 0, DOMAIN, key0, key1, random);
            int next = left ^ random[0] & mask;
            left = right;
            right = next;
        }
        return Integer.toUnsignedLong(left) << halfBits | Integer.toUnsignedLong(right);
    }
}
