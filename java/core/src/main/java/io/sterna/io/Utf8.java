package io.sterna.io;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/** UTF-8 as the Unicode standard defines it (table 3-7): no overlong forms, no surrogates. */
public final class Utf8 {
    private static final VarHandle LONG =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final byte[] MARK = {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF};
    private static final long HIGH_BITS = 0x8080808080808080L;

    private Utf8() {}

    /** Index of the first byte in {@code [from, to)} that starts no valid sequence, or -1. */
    public static int invalidAt(byte[] b, int from, int to) {
        int i = from;
        while (i < to) {
            while (i + 8 <= to && ((long) LONG.get(b, i) & HIGH_BITS) == 0) {
                i += 8;
            }
            if (i >= to) {
                break;
            }
            int n = sequenceLength(b, i, to);
            if (n == 0) {
                return i;
            }
            i += n;
        }
        return -1;
    }

    /** Whether {@code [from, to)} holds characters below U+0080 alone. */
    static boolean isAscii(byte[] b, int from, int to) {
        for (int i = from; i < to; i++) {
            if (b[i] < 0) {
                return false;
            }
        }
        return true;
    }

    /** Bytes of the characters of a Java string of the valid text {@code [from, to)}: one each where none is above U+00FF, else two. */
    static long stringBytes(byte[] b, int from, int to) {
        long chars = 0;
        boolean wide = false;
        for (int i = from; i < to; i++) {
            int lead = b[i] & 0xFF;
            if ((lead & 0xC0) != 0x80) {
                chars += lead >= 0xF0 ? 2 : 1;
                wide |= lead > 0xC3;
            }
        }
        return wide ? 2 * chars : chars;
    }

    /** Length of the byte order mark that some editors put before a text, or 0 where {@code [from, to)} begins with none. */
    public static int markLength(byte[] b, int from, int to) {
        return to - from >= MARK.length && Arrays.equals(b, from, from + MARK.length, MARK, 0, MARK.length) ? MARK.length : 0;
    }

    /** A text without its byte order mark; itself where it has none. */
    public static byte[] withoutMark(byte[] text) {
        int mark = markLength(text, 0, text.length);
        return mark == 0 ? text : Arrays.copyOfRange(text, mark, text.length);
    }

    /** Length (1 to 4) of the valid sequence that starts at {@code i}, or 0 if there is none before {@code to}. */
    public static int sequenceLength(byte[] b, int i, int to) {
        int b0 = b[i];
        if (b0 >= 0) {
            return 1;
        }
        int lead = b0 & 0xFF;
        if (lead < 0xC2 || lead > 0xF4) {
            return 0;
        }
        int n = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (i + n > to) {
            return 0;
        }
        int second = b[i + 1] & 0xFF;
        int low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        int high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (second < low || second > high) {
            return 0;
        }
        for (int k = 2; k < n; k++) {
            if ((b[i + k] & 0xC0) != 0x80) {
                return 0;
            }
        }
        return n;
    }

    /** The code point of the valid sequence of {@code n} bytes at {@code i}. */
    public static int codePoint(byte[] b, int i, int n) {
        return switch (n) {
            case 1 -> b[i];
            case 2 -> (b[i] & 0x1F) << 6 | b[i + 1] & 0x3F;
            case 3 -> (b[i] & 0x0F) << 12 | (b[i + 1] & 0x3F) << 6 | b[i + 2] & 0x3F;
            default -> (b[i] & 0x07) << 18 | (b[i + 1] & 0x3F) << 12 | (b[i + 2] & 0x3F) << 6 | b[i + 3] & 0x3F;
        };
    }

    /** Writes {@code codePoint} at {@code out[at]} and returns the index after it. */
    public static int put(int codePoint, byte[] out, int at) {
        if (codePoint < 0x80) {
            out[at++] = (byte) codePoint;
        } else if (codePoint < 0x800) {
            out[at++] = (byte) (0xC0 | codePoint >> 6);
            out[at++] = (byte) (0x80 | codePoint & 0x3F);
        } else if (codePoint < 0x10000) {
            out[at++] = (byte) (0xE0 | codePoint >> 12);
            out[at++] = (byte) (0x80 | codePoint >> 6 & 0x3F);
            out[at++] = (byte) (0x80 | codePoint & 0x3F);
        } else {
            out[at++] = (byte) (0xF0 | codePoint >> 18);
            out[at++] = (byte) (0x80 | codePoint >> 12 & 0x3F);
            out[at++] = (byte) (0x80 | codePoint >> 6 & 0x3F);
            out[at++] = (byte) (0x80 | codePoint & 0x3F);
        }
        return at;
    }
}
