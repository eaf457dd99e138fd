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
    private static final int STRIDE = 4; // hash, key start, key length << 8 | token count, token start
    private static final int MOST_SLOTS = 1 << 17;
    private static final int MOST_KEY_BYTES = 12 * MOST_SLOTS / 2;

    private int[] slots = new int[STRIDE << 8]; // a power of two of them, at most half in use
    private byte[] keys = new byte[1 << 10];
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
        makeRoom(length);
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

    private void makeRoom(int length) {
        boolean full = 2 * STRIDE * words == slots.length;
        if (full && slots.length == STRIDE * MOST_SLOTS || keysUsed + length > MOST_KEY_BYTES) {
            Arrays.fill(slots, 0);
            tokens.clear();
            keysUsed = 0;
            words = 0;
        } else if (full) {
            grow();
        }
        if (keysUsed + length > keys.length) {
            keys = Arrays.copyOf(keys, 2 * keys.length);
        }
    }

    private void grow() {
        int[] old = slots;
        slots = new int[2 * old.length];
        for (int from = 0; from < old.length; from += STRIDE) {
            if (old[from + 2] != 0) {
                int to = slotOf(old[from]);
                while (slots[to + 2] != 0) {
                    to = after(to);
                }
                System.arraycopy(old, from, slots, to, STRIDE);
            }
        }
    }

    private int slotOf(int hash) {
        return hash * STRIDE & slots.length - 1;
    }

    private int after(int slot) {
        return slot + STRIDE & slots.length - 1;
    }

    /** Slot of the word, or the free one it would take. */
    private int find(byte[] b, int from, int length, int hash) {
        int slot = slotOf(hash);
        while (slots[slot + 2] != 0 && !isAt(slot, b, from, length, hash)) {
            slot = after(slot);
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
