package io.sterna.data;

import java.util.Arrays;

/** From a pair of ids to an int of zero or more: a hash table with open addressing. Not thread-safe while it grows. */
final class PairTable {
    static final int ABSENT = -1;
    private static final long FREE = -1;
    private long[] keys;
    private int[] values;
    private int size;

    PairTable(int expected) {
        allocate(capacity(expected));
    }

    private static int capacity(int expected) {
        return Integer.highestOneBit(Math.max(8, expected)) << 2;
    }

    /** Bytes of memory that a new one takes. */
    static long bytes(int expected) {
        return (long) (Long.BYTES + Integer.BYTES) * capacity(expected);
    }

    static long pair(int left, int right) {
        return (long) left << 32 | right;
    }

    int get(int left, int right) {
        long key = pair(left, right);
        int i = slot(key);
        while (keys[i] != key) {
            if (keys[i] == FREE) {
                return ABSENT;
            }
            i = i + 1 & keys.length - 1;
        }
        return values[i];
    }

    void put(int left, int right, int value) {
        if (2 * size >= keys.length) {
            grow();
        }
        long key = pair(left, right);
        int i = slot(key);
        while (keys[i] != key && keys[i] != FREE) {
            i = i + 1 & keys.length - 1;
        }
        if (keys[i] == FREE) {
            keys[i] = key;
            size++;
        }
        values[i] = value;
    }

    private int slot(long key) {
        long h = key * 0x9E3779B97F4A7C15L;
        return (int) (h >>> 32) & keys.length - 1;
    }

    private void allocate(int capacity) {
        keys = new long[capacity];
        values = new int[capacity];
        Arrays.fill(keys, FREE);
        size = 0;
    }

    private void grow() {
        long[] oldKeys = keys;
        int[] oldValues = values;
        allocate(2 * oldKeys.length);
        for (int i = 0; i < oldKeys.length; i++) {
            if (oldKeys[i] != FREE) {
                put((int) (oldKeys[i] >>> 32), (int) oldKeys[i], oldValues[i]);
            }
        }
    }
}
