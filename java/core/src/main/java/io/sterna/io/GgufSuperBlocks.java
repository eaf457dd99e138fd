package io.sterna.io;

import java.nio.ByteBuffer;

/**
 * Reads ggml's K blocks and IQ4_XS, 256 weights in sub-blocks of 16 or 32 whose scales are small integers times that of the
 * block. Codes of sub-blocks that follow each other share their bytes: one has the low bits, the next the bits above.
 * Floats are rounded where ggml rounds them, so that the weights are the same.
 */
final class GgufSuperBlocks {
    private static final int WEIGHTS = 256;
    private static final int NARROW = 16;
    private static final int WIDE = 32;
    /** Of 16 integers of 6 bits. */
    private static final int SIX_BIT_BYTES = 12;

    private GgufSuperBlocks() {}

    /** A byte for each sub-block, the scale below the factor of its minimum; codes; the block's scale and minimum. */
    static void decodeQ2(ByteBuffer bytes, float[] x, int at) {
        int scales = bytes.position();
        int codes = scales + WEIGHTS / NARROW;
        int halves = codes + WEIGHTS / 4;
        float d = half(bytes, halves);
        float m = half(bytes, halves + Short.BYTES);
        for (int sub = 0; sub < WEIGHTS / NARROW; sub++) {
            float scale = d * bits(bytes, scales + sub, 0, 4);
            float minimum = m * bits(bytes, scales + sub, 4, 4);
            for (int i = 0; i < NARROW; i++) {
                x[at + sub * NARROW + i] = scale * crumb(bytes, codes, sub, i) - minimum;
            }
        }
        bytes.position(halves + 2 * Short.BYTES);
    }

    /** High bits of the codes; their low two; 6-bit scales; the block's scale. */
    static void decodeQ3(ByteBuffer bytes, float[] x, int at) {
        int high = bytes.position();
        int codes = high + WEIGHTS / 8;
        int scales = codes + WEIGHTS / 4;
        int last = scales + SIX_BIT_BYTES;
        float d = half(bytes, last);
        for (int sub = 0; sub < WEIGHTS / NARROW; sub++) {
            int s = bits(bytes, scales + sub % 8, sub / 8 * 4, 4) | bits(bytes, scales + 8 + sub % 4, sub / 4 * 2, 2) << 4;
            float scale = d * (s - 32);
            for (int i = 0; i < NARROW; i++) {
                int q = crumb(bytes, codes, sub, i) | bits(bytes, high + sub % 2 * NARROW + i, sub / 2, 1) << 2;
                x[at + sub * NARROW + i] = scale * (q - 4);
            }
        }
        bytes.position(last + Short.BYTES);
    }

    /** The block's scale and minimum; their factors in 6 bits; codes. */
    static void decodeQ4(ByteBuffer bytes, float[] x, int at) {
        decodeWide(bytes, x, at, false);
    }

    /** As Q4_K, with the fifth bits of the codes before the other four. */
    static void decodeQ5(ByteBuffer bytes, float[] x, int at) {
        decodeWide(bytes, x, at, true);
    }

    private static void decodeWide(ByteBuffer bytes, float[] x, int at, boolean five) {
        int halves = bytes.position();
        int scales = halves + 2 * Short.BYTES;
        int high = scales + SIX_BIT_BYTES;
        int codes = high + (five ? WEIGHTS / 8 : 0);
        float d = half(bytes, halves);
        float m = half(bytes, halves + Short.BYTES);
        for (int sub = 0; sub < WEIGHTS / WIDE; sub++) {
            float scale = d * sixBits(bytes, scales, sub, 0);
            float minimum = m * sixBits(bytes, scales, sub, 1);
            for (int i = 0; i < WIDE; i++) {
                int q = bits(bytes, codes + sub / 2 * WIDE + i, sub % 2 * 4, 4) | (five ? bits(bytes, high + i, sub, 1) << 4 : 0);
                x[at + sub * WIDE + i] = scale * q - minimum;
            }
        }
        bytes.position(codes + WEIGHTS / 2);
    }

    /**
     * The scale (part 0) or the factor of the minimum (part 1) of a sub-block. Four bytes hold scales, four minimums, of the
     * first four sub-blocks; their upper two bits, and nibbles of four bytes more, are those of the other four.
     */
    private static int sixBits(ByteBuffer bytes, int scales, int sub, int part) {
        int own = scales + part * 4 + sub % 4;
        return sub < 4 ? bits(bytes, own, 0, 6) : bits(bytes, scales + 8 + sub % 4, part * 4, 4) | bits(bytes, own, 6, 2) << 4;
    }

    /** Low nibbles of the codes; their high two bits; 8-bit scales; the block's scale. */
    static void decodeQ6(ByteBuffer bytes, float[] x, int at) {
        int low = bytes.position();
        int high = low + WEIGHTS / 2;
        int scales = high + WEIGHTS / 4;
        int last = scales + WEIGHTS / NARROW;
        float d = half(bytes, last);
        for (int sub = 0; sub < WEIGHTS / NARROW; sub++) {
            float scale = d * bytes.get(scales + sub);
            int from = low + sub / 8 * 64 + sub % 4 * NARROW;
            for (int i = 0; i < NARROW; i++) {
                int q = bits(bytes, from + i, sub / 4 % 2 * 4, 4) | crumb(bytes, high, sub, i) << 4;
                x[at + sub * NARROW + i] = scale * (q - 32);
            }
        }
        bytes.position(last + Short.BYTES);
    }

    /** The block's scale; the high two bits of eight 6-bit scales; their low nibbles; codes. */
    static void decodeIq4(ByteBuffer bytes, float[] x, int at) {
        int high = bytes.position() + Short.BYTES;
        int low = high + Short.BYTES;
        float d = half(bytes, bytes.position());
        bytes.position(low + WEIGHTS / WIDE / 2);
        for (int sub = 0; sub < WEIGHTS / WIDE; sub++) {
            int s = bits(bytes, low + sub / 2, sub % 2 * 4, 4) | bits(bytes, high + sub / 4, sub % 4 * 2, 2) << 4;
            GgufBlocks.decodeIq4(d * (s - 32), bytes, x, at + sub * WIDE);
        }
    }

    /** Two bits of a weight: 32 bytes hold those of eight narrow sub-blocks. */
    private static int crumb(ByteBuffer bytes, int codes, int sub, int i) {
        return bits(bytes, codes + sub / 8 * 32 + sub % 2 * NARROW + i, sub / 2 % 4 * 2, 2);
    }

    private static int bits(ByteBuffer bytes, int at, int shift, int count) {
        return bytes.get(at) >> shift & (1 << count) - 1;
    }

    private static float half(ByteBuffer bytes, int at) {
        return Float.float16ToFloat(bytes.getShort(at));
    }
}
