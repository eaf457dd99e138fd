package io.sterna.data;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Remembers the tokens of short words, keyed by their bytes: open addressing over one int array, words and
 * tokens in arenas, nothing allocated a word. Emptied when full. Not thread-safe.
 */
final class WordCache {
    /** Longer words are not kept. */
    static final int LONGEST = 64;

    private static final VarHandle LONG =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final int SLOTS = 1 << 17;
    private static final int WORDS = SLOTS / 2;
    private static final int STRIDE = 4; // hash, key start, key length << 8 | token count, token start

    private final int[] slots = new int[STRIDE * SLOTS];
    private final byte[] keys = new byte[12 * WORDS];
    private final Tokens tokens = new Tokens();
    private int keysUsed;
    private int words;

    /** Appends the tokens of {@code b[from, from + length)} if known; returns whether they were. */
    boolean get(byte[] b, int from, int length, int hash, Tokens out) {
        int slot = find(b, from, length, hash);
        int lengthAndCount = slots[slot + 2];
        if (lengthAndCount == 0) {
            return false;
        }
        out.add(tokens.array(), slots[slot + 3], lengthAndCount & 0xFF);
        return true;
    }

    /** Remembers that a word not yet known has tokens {@code ids[idsFrom, idsFrom + count)}. */
    void put(byte[] b, int from, int length, int hash, int[] ids, int idsFrom, int count) {
        if (words == WORDS || keysUsed + length > keys.length) {
            clear();
        }
        int slot = find(b, from, length, hash);
        slots[slot] = hash;
        slots[slot + 1] = keysUsed;
        slots[slot + 2] = length << 8 | count;
        slots[slot + 3] = tokens.size();
        System.arraycopy(b, from, keys, keysUsed, length);
        tokens.add(ids, idsFrom, count);
        keysUsed += length;
        words++;
    }

    private void clear() {
        Arrays.fill(slots, 0);
        tokens.clear();
        keysUsed = 0;
        words = 0;
    }

    /** Slot of the word, or the free one it would take. */
    private int find(byte[] b, int from, int length, int hash) {
        int slot = (hash & SLOTS - 1) * STRIDE;
        while (slots[slot + 2] != 0 && !isAt(slot, b, from, length, hash)) {
            slot = slot + STRIDE & STRIDE * SLOTS - 1;
        }
        return slot;
    }

    private boolean isAt(int slot, byte[] b, int from, int length, int hash) {
        int key = slots[slot + 1];
        return slots[slot] == hash
                && slots[slot + 2] >>> 8 == length
                && Arrays.equals(keys, key, key + length, b, from, from + length);
    }

    /** A hash of {@code b[from, from + length)}. */
    static int hash(byte[] b, int from, int length) {
        long h = length;
        int i = from;
        int end = from + length;
        for (; i + 8 <= end; i += 8) {
            h = mix(h ^ (long) LONG.get(b, i));
        }
        long tail = 0;
        for (; i < end; i++) {
            tail = tail << 8 | b[i] & 0xFF;
        }
        h = mix(h ^ tail);
        return (int) (h >>> 32);
    }

    private static long mix(long h) {
        h *= 0x9E3779B97F4A7C15L;
        return h ^ h >>> 29;
    }
}
