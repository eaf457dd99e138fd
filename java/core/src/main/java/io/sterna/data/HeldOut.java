package io.sterna.data;

import java.security.MessageDigest;

/**
 * Chooses held-out documents by their text alone: document d is held out when the first 64 bits of
 * SHA-256(d) are below share · 2^64. So the choice stays the same when files move, and equal documents
 * never stand on both sides. Not thread-safe.
 */
final class HeldOut {
    private final MessageDigest sha256 = Digests.sha256();

    /** The first 64 bits of the SHA-256 of the document, as an unsigned number. */
    long hash(byte[] text, int from, int to) {
        sha256.update(text, from, to - from);
        return (long) Digests.LONG.get(sha256.digest(), 0);
    }

    /** Hashes below this (unsigned) are held out. */
    static long threshold(double share) {
        double scaled = share * 0x1p64;
        return scaled < 0x1p63 ? (long) scaled : (long) (scaled - 0x1p63) + Long.MIN_VALUE;
    }
}
