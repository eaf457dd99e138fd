package io.sterna.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Utf8Test {
    @Test
    void takesAndWritesEveryCodePoint() {
        byte[] out = new byte[4];
        for (int c = 0; c <= Character.MAX_CODE_POINT; c++) {
            if (c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE) {
                continue;
            }
            byte[] expected = Character.toString(c).getBytes(StandardCharsets.UTF_8);
            int n = Utf8.put(c, out, 0);
            assertArrayEquals(expected, Arrays.copyOf(out, n));
            assertEquals(n, Utf8.sequenceLength(out, 0, n));
            assertEquals(c, Utf8.codePoint(out, 0, n));
        }
    }

    @Test
    void agreesWithThePlatformOnRandomBytes() {
        Random random = new Random(1);
        byte[] interesting = {0, 'a', 0x7F, (byte) 0x80, (byte) 0xBF, (byte) 0xC0, (byte) 0xC2, (byte) 0xE0,
            (byte) 0xA0, (byte) 0xED, (byte) 0x9F, (byte) 0xEF, (byte) 0xF0, (byte) 0x90, (byte) 0xF4, (byte) 0x8F,
            (byte) 0xF5, (byte) 0xFF};
        for (int round = 0; round < 200_000; round++) {
            byte[] b = new byte[random.nextInt(24)];
            for (int i = 0; i < b.length; i++) {
                b[i] = random.nextBoolean() ? interesting[random.nextInt(interesting.length)] : (byte) ('a' + i);
            }
            int from = random.nextInt(b.length + 1);
            assertEquals(expected(b, from), Utf8.invalidAt(b, from, b.length), () -> Arrays.toString(b));
        }
    }

    @Test
    void knowsWhatAStringTakes() {
        for (String text : new String[] {"", "tern", "st\u00e8rne\u00ff", "\u0100", "tern\u2581", "\ud83d\ude00 \u00e8"}) {
            byte[] utf8 = ("\u2581" + text + "\u2581").getBytes(StandardCharsets.UTF_8);
            boolean latin = text.chars().allMatch(c -> c < 0x100);
            assertEquals(latin ? text.length() : 2 * text.length(), Utf8.stringBytes(utf8, 3, utf8.length - 3), text);
            assertEquals(text.chars().allMatch(c -> c < 0x80), Utf8.isAscii(utf8, 3, utf8.length - 3), text);
        }
    }

    /** End of the longest prefix the platform's strict decoder takes, or -1 if that is all. */
    private static int expected(byte[] b, int from) {
        ByteBuffer bytes = ByteBuffer.wrap(b, from, b.length - from);
        var decoder = StandardCharsets.UTF_8.newDecoder();
        try {
            decoder.decode(bytes);
            return -1;
        } catch (CharacterCodingException e) {
            return bytes.position();
        }
    }
}
