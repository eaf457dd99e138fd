package io.sterna.data;

import java.util.Arrays;

/**
 * GPT-2's printable stand-ins for bytes, in which byte-level vocabularies are written: visible Latin-1
 * characters stand for themselves, the other 68 bytes for U+0100 and up, in order.
 */
public final class ByteAlphabet {
    private static final char[] CHAR = new char[256];
    private static final short[] BYTE = new short[0x144];

    static {
        Arrays.fill(BYTE, (short) -1);
        int next = 0x100;
        for (int b = 0; b < 256; b++) {
            boolean visible = b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE;
            CHAR[b] = (char) (visible ? b : next++);
            BYTE[CHAR[b]] = (short) b;
        }
    }

    private ByteAlphabet() {}

    static char charOf(int b) {
        return CHAR[b & 0xFF];
    }

    /** The bytes of {@code text}, or null if a character of it stands for none. */
    public static byte[] read(String text) {
        byte[] bytes = new byte[text.length()];
        for (int i = 0; i < bytes.length; i++) {
            char c = text.charAt(i);
            if (c >= BYTE.length || BYTE[c] < 0) {
                return null;
            }
            bytes[i] = (byte) BYTE[c];
        }
        return bytes;
    }
}
