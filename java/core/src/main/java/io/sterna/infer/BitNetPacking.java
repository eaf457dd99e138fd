package io.sterna.infer;

/**
 * Ternary weights as the BitNet models of transformers store them: a matrix (N, K) as bytes (N / 4, K). The byte
 * at (r, c) holds the codes, plus 1, of rows r, r + N/4, r + 2N/4 and r + 3N/4 in its bits 0-1, 2-3, 4-5, 6-7.
 */
final class BitNetPacking {
    /** Codes of a byte. */
    static final int CODES = 4;

    private BitNetPacking() {}

    /** The byte's bits of the code {@code part}, in [0, 4), which is -1, 0 or 1. */
    static int bits(int code, int part) {
        return code + 1 << 2 * part;
    }

    /** The code {@code part} of a byte: -1, 0 or 1, and 2 for bits that are no code. */
    static int code(int packed, int part) {
        return (packed >> 2 * part & 3) - 1;
    }
}
