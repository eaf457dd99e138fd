package io.sterna.io;

import java.nio.charset.StandardCharsets;

/**
 * Strings that were read, by their UTF-8 bytes, so that equal short ones are one: tokenizers repeat those of their vocabulary
 * in every merge. Strings of one hash cost no more than others, since only some places are tried, and there are no more
 * places than those of 2^18 strings need: then a string is not found again, and is another one. Not thread-safe.
 */
final class SharedStrings {
    private static final int LONGEST = 64;
    private static final int PROBES = 8;
    private static final int MOST_SLOTS = 1 << 19;

    private String[] strings = new String[1 << 8];
    private int[] hashes = new int[strings.length];
    private int count;

    /** The string of these bytes, or null if it is none of those here. */
    String find(byte[] utf8, int from, int length) {
        if (length > LONGEST) {
            return null;
        }
        int hash = hash(utf8, from, length);
        for (int i = 0; i < PROBES; i++) {
            int slot = slot(hash, i);
            if (strings[slot] == null) {
                return null;
            }
            if (hashes[slot] == hash && is(strings[slot], utf8, from, length)) {
                return strings[slot];
            }
        }
        return null;
    }

    /** A new string of these bytes, which {@link #find} has not found. */
    String add(byte[] utf8, int from, int length) {
        String string = new String(utf8, from, length, StandardCharsets.UTF_8);
        if (2 * count >= strings.length && strings.length < MOST_SLOTS) {
            grow();
        }
        if (length <= LONGEST && 2 * count < strings.length) {
            put(string, hash(utf8, from, length));
        }
        return string;
    }

    private void put(String string, int hash) {
        for (int i = 0; i < PROBES; i++) {
            int slot = slot(hash, i);
            if (strings[slot] == null) {
                strings[slot] = string;
                hashes[slot] = hash;
                count++;
                return;
            }
        }
    }

    private void grow() {
        String[] before = strings;
        int[] hashesBefore = hashes;
        strings = new String[2 * before.length];
        hashes = new int[strings.length];
        count = 0;
        for (int i = 0; i < before.length; i++) {
            if (before[i] != null) {
                put(before[i], hashesBefore[i]);
            }
        }
    }

    private int slot(int hash, int probe) {
        return (hash >>> 8) + probe & strings.length - 1;
    }

    private static int hash(byte[] utf8, int from, int length) {
        int hash = length;
        for (int i = from; i < from + length; i++) {
            hash = 31 * hash + utf8[i];
        }
        return hash * 0x9E3779B9;
    }

    private static boolean is(String string, byte[] utf8, int from, int length) {
        for (int i = 0; i < length; i++) {
            if (utf8[from + i] < 0) {
                return string.equals(new String(utf8, from, length, StandardCharsets.UTF_8));
            }
            if (i >= string.length() || string.charAt(i) != utf8[from + i]) {
                return false;
            }
        }
        return string.length() == length;
    }
}
