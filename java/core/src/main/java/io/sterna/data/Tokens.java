package io.sterna.data;

import java.util.Arrays;
import java.util.Objects;

/** A growing list of token ids. Not thread-safe. */
public final class Tokens {
    private int[] ids = new int[256];
    private int size;

    public void add(int id) {
        if (size == ids.length) {
            reserve(1);
        }
        ids[size++] = id;
    }

    /** Appends {@code source[from, from + count)}. */
    public void add(int[] source, int from, int count) {
        if (ids.length - size < count) {
            reserve(count);
        }
        for (int i = 0; i < count; i++) { // words have few tokens: cheaper than a copy call
            ids[size + i] = source[from + i];
        }
        size += count;
    }

    private void reserve(int more) {
        ids = Arrays.copyOf(ids, Math.max(Math.addExact(size, more), 2 * ids.length));
    }

    public int size() {
        return size;
    }

    public int get(int i) {
        return ids[Objects.checkIndex(i, size)];
    }

    public void clear() {
        size = 0;
    }

    public int[] toArray() {
        return Arrays.copyOf(ids, size);
    }

    /** The ids themselves: {@code array()[0, size())}; valid until the next change. */
    int[] array() {
        return ids;
    }
}
