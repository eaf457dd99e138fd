package io.sterna.data;

import java.util.Arrays;
import java.util.Objects;

/** A growing list of token ids. Not thread-safe. */
public final class Tokens {
    private static final int MOST_SPARE = 1 << 22; // the longest documents leave a heap little room

    private int[] ids = new int[256];
    private int size;

    /** Appends one id. */
    public void add(int id) {
        if (size == ids.length) {
            reserve(1);
        }
        ids[size++] = id;
    }

    /** Appends {@code source[from, from + count)}. */
    public void add(int[] source, int from, int count) {
        reserve(count);
        for (int i = 0; i < count; i++) { // words have few tokens: cheaper than a copy call
            ids[size + i] = source[from + i];
        }
        size += count;
    }

    /** Makes room for {@code more} ids at once; how many come is seldom known, and then room grows as they do. */
    void reserve(int more) {
        if (ids.length - size < more) {
            ids = Arrays.copyOf(ids, Math.max(Math.addExact(size, more), ids.length + Math.min(ids.length, MOST_SPARE)));
        }
    }

    /** Number of ids. */
    public int size() {
        return size;
    }

    /** The id at {@code i}, in [0, size). */
    public int get(int i) {
        return ids[Objects.checkIndex(i, size)];
    }

    /** Removes all ids and keeps the room. */
    public void clear() {
        size = 0;
    }

    /** Removes all ids, and keeps room for no more than {@code most}. */
    void clear(int most) {
        size = 0;
        if (ids.length > most) {
            ids = new int[most];
        }
    }

    /** A copy of the ids. */
    public int[] toArray() {
        return Arrays.copyOf(ids, size);
    }

    /** The ids themselves: {@code array()[0, size())}; valid until the next change. */
    int[] array() {
        return ids;
    }
}
