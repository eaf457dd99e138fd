package io.sterna.data;

import java.util.Arrays;

/** How often each word was seen, keyed by its bytes: open addressing, words in one arena. Not thread-safe. */
final class WordCounts {
    private int[] slots = new int[1 << 12]; // word + 1, or 0
    private int[] hashes = new int[1 << 11];
    private int[] starts = new int[1 << 11]; // (words + 1)
    private long[] counts = new long[1 << 11];
    private byte[] keys = new byte[1 << 14];
    private int size;

    int size() {
        return size;
    }

    byte[] bytes() {
        return keys;
    }

    int start(int word) {
        return starts[word];
    }

    int end(int word) {
        return starts[word + 1];
    }

    long count(int word) {
        return counts[word];
    }

    void add(byte[] b, int from, int to, long times) {
        int hash = WordCache.hash(b, from, to - from);
        int slot = hash & slots.length - 1;
        while (slots[slot] != 0) {
            int word = slots[slot] - 1;
            if (hashes[word] == hash && Arrays.equals(keys, starts[word], starts[word + 1], b, from, to)) {
                counts[word] += times;
                return;
            }
            slot = slot + 1 & slots.length - 1;
        }
        slots[slot] = size + 1;
        append(b, from, to, hash, times);
    }

    private void append(byte[] b, int from, int to, int hash, long times) {
        int start = starts[size];
        int end = Math.addExact(start, to - from);
        if (size + 2 > starts.length) {
            hashes = Arrays.copyOf(hashes, 2 * hashes.length);
            starts = Arrays.copyOf(starts, 2 * starts.length);
            counts = Arrays.copyOf(counts, 2 * counts.length);
        }
        if (end > keys.length) {
            keys = Arrays.copyOf(keys, (int) Math.min(Integer.MAX_VALUE - 8, Math.max(end, 2L * keys.length)));
        }
        System.arraycopy(b, from, keys, start, to - from);
        hashes[size] = hash;
        counts[size] = times;
        starts[++size] = end;
        if (2 * size > slots.length) {
            rehash();
        }
    }

    private void rehash() {
        slots = new int[2 * slots.length];
        for (int word = 0; word < size; word++) {
            int slot = hashes[word] & slots.length - 1;
            while (slots[slot] != 0) {
                slot = slot + 1 & slots.length - 1;
            }
            slots[slot] = word + 1;
        }
    }

    void addAll(WordCounts other) {
        for (int word = 0; word < other.size; word++) {
            add(other.keys, other.start(word), other.end(word), other.counts[word]);
        }
    }
}
