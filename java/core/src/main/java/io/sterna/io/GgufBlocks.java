package io.sterna.io;

import java.nio.ByteBuffer;

/** The arithmetic of GGUF's blocks: floats are rounded where ggml rounds them, so that the bytes are the same. */
final class GgufBlocks {
    private static final int SMALL = 32;
    private static final int LARGE = 256;
    /** Trits of a TQ1_0 block: 160 in 32 bytes, 80 in 16, and 16 in 4 bytes of four. */
    private static final int[][] TQ1_RUNS = {{32, 5}, {16, 5}, {4, 4}};
    private static final int TQ2_RUN = 32;
    private static final int POW_3_5 = 243;
    /** What the 16 codes of IQ4_NL and IQ4_XS stand for. */
    private static final byte[] IQ4_VALUES = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    private GgufBlocks() {}

    /** In half precision, to nearest. */
    static short half(float x) {
        short half = Float.floatToFloat16(x);
        if (!Float.isFinite(Float.float16ToFloat(half))) {
            throw new IllegalArgumentException("weight " + x + " is beyond half precision, whose largest is 65504");
        }
        return half;
    }

    /** The upper half of a single, to nearest, ties to even. */
    static short bf16(float x) {
        int bits = Float.floatToRawIntBits(x);
        int rounded = bits + 0x7fff + (bits >>> 16 & 1);
        if (!Float.isFinite(x) || !Float.isFinite(Float.intBitsToFloat(rounded))) {
            throw new IllegalArgumentException("weight " + x + " is beyond bf16");
        }
        return (short) (rounded >>> 16);
    }

    static void encodeQ8(float[] x, int at, ByteBuffer bytes) {
        float d = Math.abs(largest(x, at, SMALL)) / 127;
        float inverse = d == 0 ? 0 : 1 / d;
        bytes.putShort(half(d));
        for (int i = 0; i < SMALL; i++) {
            bytes.put((byte) round(x[at + i] * inverse));
        }
    }

    static void decodeQ8(ByteBuffer bytes, float[] x, int at) {
        float d = Float.float16ToFloat(bytes.getShort());
        for (int i = 0; i < SMALL; i++) {
            x[at + i] = bytes.get() * d;
        }
    }

    static void encodeQ4(float[] x, int at, ByteBuffer bytes) {
        float d = largest(x, at, SMALL) / -8;
        float inverse = d == 0 ? 0 : 1 / d;
        bytes.putShort(half(d));
        for (int i = 0; i < SMALL / 2; i++) {
            bytes.put((byte) (nibble(x[at + i], inverse) | nibble(x[at + SMALL / 2 + i], inverse) << 4));
        }
    }

    private static int nibble(float x, float inverse) {
        return Math.min(15, (int) (x * inverse + 8.5f));
    }

    static void decodeQ4(ByteBuffer bytes, float[] x, int at) {
        float d = Float.float16ToFloat(bytes.getShort());
        for (int i = 0; i < SMALL / 2; i++) {
            int pair = bytes.get();
            x[at + i] = ((pair & 15) - 8) * d;
            x[at + SMALL / 2 + i] = ((pair >> 4 & 15) - 8) * d;
        }
    }

    static void decodeQ41(ByteBuffer bytes, float[] x, int at) {
        float d = Float.float16ToFloat(bytes.getShort());
        float m = Float.float16ToFloat(bytes.getShort());
        for (int i = 0; i < SMALL / 2; i++) {
            int pair = bytes.get();
            x[at + i] = (pair & 15) * d + m;
            x[at + SMALL / 2 + i] = (pair >> 4 & 15) * d + m;
        }
    }

    static void decodeQ5(ByteBuffer bytes, float[] x, int at) {
        float d = Float.float16ToFloat(bytes.getShort());
        int high = bytes.getInt();
        for (int i = 0; i < SMALL / 2; i++) {
            int pair = bytes.get();
            x[at + i] = ((pair & 15 | fifth(high, i)) - 16) * d;
            x[at + SMALL / 2 + i] = ((pair >> 4 & 15 | fifth(high, SMALL / 2 + i)) - 16) * d;
        }
    }

    static void decodeQ51(ByteBuffer bytes, float[] x, int at) {
        float d = Float.float16ToFloat(bytes.getShort());
        float m = Float.float16ToFloat(bytes.getShort());
        int high = bytes.getInt();
        for (int i = 0; i < SMALL / 2; i++) {
            int pair = bytes.get();
            x[at + i] = (pair & 15 | fifth(high, i)) * d + m;
            x[at + SMALL / 2 + i] = (pair >> 4 & 15 | fifth(high, SMALL / 2 + i)) * d + m;
        }
    }

    /** Bit 4 of a weight's code: all 32 of them stand together, apart from the nibbles. */
    private static int fifth(int high, int i) {
        return (high >> i & 1) << 4;
    }

    static void decodeIq4(ByteBuffer bytes, float[] x, int at) {
        decodeIq4(Float.float16ToFloat(bytes.getShort()), bytes, x, at);
    }

    /** The codes alone, of 32 weights. */
    static void decodeIq4(float d, ByteBuffer bytes, float[] x, int at) {
        for (int i = 0; i < SMALL / 2; i++) {
            int pair = bytes.get();
            x[at + i] = IQ4_VALUES[pair & 15] * d;
            x[at + SMALL / 2 + i] = IQ4_VALUES[pair >> 4 & 15] * d;
        }
    }

    /** The digits of a byte are those of a fraction of 256 in base 3, so that a multiplication yields the next one. */
    static void encodeTq1(float[] x, int at, ByteBuffer bytes) {
        float d = Math.abs(largest(x, at, LARGE));
        int from = at;
        for (int[] run : TQ1_RUNS) {
            for (int i = 0; i < run[0]; i++) {
                int q = 0;
                for (int n = 0; n < 5; n++) {
                    q = q * 3 + (n < run[1] ? trit(x[from + n * run[0] + i], d) : 0);
                }
                bytes.put((byte) Math.ceilDiv(q * 256, POW_3_5));
            }
            from += run[0] * run[1];
        }
        bytes.putShort(ternaryScale(d));
    }

    static void decodeTq1(ByteBuffer bytes, float[] x, int at) {
        int start = bytes.position();
        float d = Float.float16ToFloat(bytes.getShort(start + GgufType.TQ1_0.blockBytes() - Short.BYTES));
        int from = at;
        for (int[] run : TQ1_RUNS) {
            for (int i = 0; i < run[0]; i++) {
                int q = bytes.get() & 0xff;
                for (int n = 0; n < run[1]; n++) {
                    x[from + n * run[0] + i] = ((q * 3 >> 8) - 1) * d;
                    q = q * 3 & 0xff;
                }
            }
            from += run[0] * run[1];
        }
        bytes.position(start + GgufType.TQ1_0.blockBytes());
    }

    static void encodeTq2(float[] x, int at, ByteBuffer bytes) {
        float d = Math.abs(largest(x, at, LARGE));
        for (int from = at; from < at + LARGE; from += 4 * TQ2_RUN) {
            for (int i = 0; i < TQ2_RUN; i++) {
                int q = 0;
                for (int n = 0; n < 4; n++) {
                    q |= trit(x[from + n * TQ2_RUN + i], d) << 2 * n;
                }
                bytes.put((byte) q);
            }
        }
        bytes.putShort(ternaryScale(d));
    }

    static void decodeTq2(ByteBuffer bytes, float[] x, int at) {
        int start = bytes.position();
        float d = Float.float16ToFloat(bytes.getShort(start + GgufType.TQ2_0.blockBytes() - Short.BYTES));
        for (int from = at; from < at + LARGE; from += 4 * TQ2_RUN) {
            for (int i = 0; i < TQ2_RUN; i++) {
                int q = bytes.get();
                for (int n = 0; n < 4; n++) {
                    int code = q >> 2 * n & 3;
                    if (code == 3) {
                        throw new IllegalArgumentException("code 3 among the ternary 0, 1, 2");
                    }
                    x[from + n * TQ2_RUN + i] = (code - 1) * d;
                }
            }
        }
        bytes.position(start + GgufType.TQ2_0.blockBytes());
    }

    /** 0, 1, 2 for -d, 0, d; ggml would round what lies between, and lose it. */
    private static int trit(float x, float d) {
        if (x != 0 && Math.abs(x) != d) {
            throw new IllegalArgumentException("weight " + x + " is none of the ternary -" + d + ", 0, " + d);
        }
        return x == 0 ? 1 : x < 0 ? 0 : 2;
    }

    private static short ternaryScale(float d) {
        short half = half(d);
        if (d != 0 && half == 0) {
            throw new IllegalArgumentException("scale " + d + " is 0 in half precision");
        }
        return half;
    }

    /** The weight of largest magnitude, the first one of equals. */
    private static float largest(float[] x, int at, int count) {
        float largest = 0;
        for (int i = at; i < at + count; i++) {
            if (!Float.isFinite(x[i])) {
                throw new IllegalArgumentException("weight " + x[i] + " is not finite");
            }
            if (Math.abs(x[i]) > Math.abs(largest)) {
                largest = x[i];
            }
        }
        return largest;
    }

    /** To nearest, halves away from zero. */
    private static int round(float x) {
        return (int) (x + Math.copySign(0.5, x)); // in double, where the sum is exact
    }
}
