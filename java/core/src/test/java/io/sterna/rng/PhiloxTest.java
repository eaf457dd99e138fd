package io.sterna.rng;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PhiloxTest {
    @ParameterizedTest
    @CsvSource({
        "00000000 00000000 00000000 00000000, 00000000 00000000, 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        "ffffffff ffffffff ffffffff ffffffff, ffffffff ffffffff, 408f276d 41c83b0e a20bc7c6 6d5451fd",
        "243f6a88 85a308d3 13198a2e 03707344, a4093822 299f31d0, d16cfe09 94fdcceb 5001e420 24126ea1"
    })
    void givesTheKnownAnswers(String counter, String key, String expected) {
        int[] c = words(counter);
        int[] k = words(key);
        int[] out = new int[4];
        Philox.block(c[0], c[1], c[2], c[3], k[0], k[1], out);
        String words = Arrays.stream(out).mapToObj(w -> String.format("%08x", w)).collect(Collectors.joining(" "));
        assertEquals(expected, words);
    }

    private static int[] words(String text) {
        return Arrays.stream(text.strip().split(" ")).mapToInt(w -> Integer.parseUnsignedInt(w, 16)).toArray();
    }

    @Test
    void keyIsTheFirstTwoWordsOfTheBlockOfTensorAndStep() {
        long seed = 0x0123456789ABCDEFL;
        long step = 0x1_0000_0002L;
        int[] out = new int[4];
        Philox.block(7, 2, 1, 0x53544552, 0x89ABCDEF, 0x01234567, out);
        assertEquals(Integer.toUnsignedLong(out[0]) | (long) out[1] << 32, SrKey.of(seed, 7, step));
    }

    @Test
    void keyDependsOnEveryArgument() {
        long key = SrKey.of(1, 2, 3);
        assertNotEquals(key, SrKey.of(1L << 32 | 1, 2, 3));
        assertNotEquals(key, SrKey.of(1, 3, 3));
        assertNotEquals(key, SrKey.of(1, 2, 1L << 32 | 3));
    }
}
