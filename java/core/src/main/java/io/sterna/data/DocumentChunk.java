package io.sterna.data;

import java.util.Arrays;

/**
 * Copies of some documents, about a megabyte, as one piece of work. Chunks are used again: arrays of that size
 * would outlive young collections, and the heap would grow with dead ones. Not thread-safe.
 */
final class DocumentChunk {
    private static final int FULL = 1 << 20;
    private static final int LARGEST_KEPT = 4 * FULL;

    private byte[] bytes = new byte[FULL];
    private int[] ends = new int[64];
    private boolean[] heldOut = new boolean[64];
    private int count;

    void add(byte[] b, int from, int to, boolean isHeldOut) {
        int start = start(count);
        int end = start + to - from;
        if (bytes.length < end) {
            bytes = Arrays.copyOf(bytes, Math.max(end, bytes.length + FULL));
        }
        if (ends.length == count) {
            ends = Arrays.copyOf(ends, 2 * count);
            heldOut = Arrays.copyOf(heldOut, 2 * count);
        }
        System.arraycopy(b, from, bytes, start, to - from);
        ends[count] = end;
        heldOut[count++] = isHeldOut;
    }

    /** Forgets the documents, and what room an unusually long one took. */
    void clear() {
        count = 0;
        if (bytes.length > LARGEST_KEPT) {
            bytes = new byte[FULL];
        }
    }

    boolean isFull() {
        return size() >= FULL / 2;
    }

    /** Bytes of all documents. */
    int size() {
        return start(count);
    }

    byte[] bytes() {
        return bytes;
    }

    int count() {
        return count;
    }

    int start(int document) {
        return document == 0 ? 0 : ends[document - 1];
    }

    int end(int document) {
        return ends[document];
    }

    boolean heldOut(int document) {
        return heldOut[document];
    }
}
