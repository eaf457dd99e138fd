package io.sterna.data;

import java.util.Arrays;
import java.util.Locale;

/**
 * Byte-pair merging of one word: the pair of lowest rank is merged first, the leftmost of equals first, until
 * no pair has a rank. Not thread-safe; one an encoder.
 */
final class BpeMerger {
    private static final int SHORT = 64; // up to here a scan for the lowest rank beats a heap
    private static final int NO_RANK = Integer.MAX_VALUE;

    private final int[] byteIds; // (256); -1 for a byte the vocabulary lacks
    private final PairTable ranks; // pair of ids -> rank
    private final int[] merged; // rank -> id

    private int[] symbols = new int[SHORT];
    private int[] rank = new int[SHORT]; // of the pair that starts at i
    private int[] next = {};
    private int[] previous = {};
    private long[] heap = {}; // rank << 32 | position
    private int heapSize;

    BpeMerger(int[] byteIds, PairTable ranks, int[] merged) {
        this.byteIds = byteIds;
        this.ranks = ranks;
        this.merged = merged;
    }

    /** Appends the tokens of the word {@code b[from, to)}. */
    void encode(byte[] b, int from, int to, Tokens out) {
        int n = to - from;
        if (symbols.length < n) {
            symbols = new int[n];
            rank = new int[n];
        }
        for (int i = 0; i < n; i++) {
            symbols[i] = byteIds[b[from + i] & 0xFF];
            if (symbols[i] < 0) {
                throw new IllegalArgumentException(String.format(Locale.ROOT,
                        "byte 0x%02X is not in the vocabulary: this tokenizer needs valid UTF-8", b[from + i]));
            }
        }
        for (int i = 0; i + 1 < n; i++) {
            rank[i] = rankOf(symbols[i], symbols[i + 1]);
        }
        if (n <= SHORT) {
            encodeShort(n, out);
        } else {
            encodeLong(n, out);
        }
    }

    private int rankOf(int left, int right) {
        int r = ranks.get(left, right);
        return r == PairTable.ABSENT ? NO_RANK : r;
    }

    private void encodeShort(int n, Tokens out) {
        int best = lowest(n);
        while (best >= 0) {
            symbols[best] = merged[rank[best]];
            n--;
            for (int i = best + 1; i < n; i++) {
                symbols[i] = symbols[i + 1];
                rank[i] = rank[i + 1];
            }
            if (best + 1 < n) {
                rank[best] = rankOf(symbols[best], symbols[best + 1]);
            }
            if (best > 0) {
                rank[best - 1] = rankOf(symbols[best - 1], symbols[best]);
            }
            best = lowest(n);
        }
        out.add(symbols, 0, n);
    }

    /** Start of the pair of lowest rank among n symbols, or -1. */
    private int lowest(int n) {
        int best = -1;
        int bestRank = NO_RANK;
        for (int i = 0; i + 1 < n; i++) {
            if (rank[i] < bestRank) {
                bestRank = rank[i];
                best = i;
            }
        }
        return best;
    }

    /** The same with a heap over a linked list: n log n, for runs of blanks, base64 and the like. */
    private void encodeLong(int n, Tokens out) {
        if (next.length < n) {
            next = new int[n];
            previous = new int[n];
            heap = new long[n];
        }
        heapSize = 0;
        rank[n - 1] = NO_RANK;
        for (int i = 0; i < n; i++) {
            next[i] = i + 1;
            previous[i] = i - 1;
            push(i);
        }
        while (heapSize > 0) {
            long top = pop();
            int i = (int) top;
            if (rank[i] == (int) (top >>> 32)) { // otherwise the pair is gone
                mergeAt(i, n);
            }
        }
        for (int i = 0; i < n; i = next[i]) {
            out.add(symbols[i]);
        }
    }

    private void mergeAt(int i, int n) {
        int gone = next[i];
        int after = next[gone];
        symbols[i] = merged[rank[i]];
        rank[gone] = NO_RANK;
        next[i] = after;
        rank[i] = NO_RANK;
        if (after < n) {
            previous[after] = i;
            rank[i] = rankOf(symbols[i], symbols[after]);
            push(i);
        }
        int before = previous[i];
        if (before >= 0) {
            rank[before] = rankOf(symbols[before], symbols[i]);
            push(before);
        }
    }

    private void push(int position) {
        if (rank[position] == NO_RANK) {
            return;
        }
        if (heapSize == heap.length) {
            heap = Arrays.copyOf(heap, 2 * heap.length);
        }
        long key = (long) rank[position] << 32 | position;
        int i = heapSize++;
        while (i > 0 && heap[i - 1 >> 1] > key) {
            heap[i] = heap[i - 1 >> 1];
            i = i - 1 >> 1;
        }
        heap[i] = key;
    }

    private long pop() {
        long top = heap[0];
        long last = heap[--heapSize];
        int i = 0;
        int child = 1;
        while (child < heapSize) {
            if (child + 1 < heapSize && heap[child + 1] < heap[child]) {
                child++;
            }
            if (heap[child] >= last) {
                break;
            }
            heap[i] = heap[child];
            i = child;
            child = 2 * i + 1;
        }
        heap[i] = last;
        return top;
    }
}
