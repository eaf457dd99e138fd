package io.sterna.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BatchesTest {
    private static final int S = 8;

    /** Token i is i. */
    private static Windows windows(int tokens) throws ShardException {
        short[] ids = new short[tokens];
        for (int i = 0; i < tokens; i++) {
            ids[i] = (short) i;
        }
        int cut = tokens / 3; // a shard's end inside a window
        return new Windows(
                new TokenStream(
                        List.of(
                                MemorySegment.ofArray(Arrays.copyOf(ids, cut)),
                                MemorySegment.ofArray(Arrays.copyOfRange(ids, cut, tokens))),
                        2,
                        1 << 16),
                S);
    }

    @Test
    void windowsFollowEachOtherWithTargetsOneTokenLater() throws ShardException {
        Windows windows = windows(5 * S + 1);
        assertEquals(5, windows.count());
        int[] inputs = new int[2 * S];
        int[] targets = new int[2 * S];
        for (int w = 0; w < 5; w++) {
            windows.read(w, inputs, targets, 1);
            for (int i = 0; i < S; i++) {
                assertEquals(w * S + i, inputs[S + i]);
                assertEquals(w * S + i + 1, targets[S + i]);
            }
        }
        assertEquals(4, windows(5 * S).count());
        assertThrows(IndexOutOfBoundsException.class, () -> windows.read(5, inputs, targets, 0));
        assertThrows(IndexOutOfBoundsException.class, () -> windows.read(0, inputs, targets, 2));
    }

    @Test
    void dataShorterThanAWindowIsAnError() {
        String message = assertThrows(ShardException.class, () -> windows(S)).getMessage();
        assertEquals("data of 8 tokens is shorter than one window of 9: give more text or a shorter sequence length",
                message);
        assertThrows(ShardException.class, () -> windows(0));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5, 16, 17, 100, 1000, 4097})
    void eachEpochShowsEveryWindowOnceInAnOrderOfItsOwn(int count) throws ShardException {
        Batches batches = new Batches(windows(count * S + 1), 1, 42);
        long[][] orders = new long[3][count];
        for (int epoch = 0; epoch < 3; epoch++) {
            for (int i = 0; i < count; i++) {
                orders[epoch][i] = batches.window((long) epoch * count + i, 0);
            }
            long[] sorted = orders[epoch].clone();
            Arrays.sort(sorted);
            for (int i = 0; i < count; i++) {
                assertEquals(i, sorted[i]);
            }
        }
        if (count >= 16) {
            assertFalse(Arrays.equals(orders[0], orders[1]));
            assertFalse(Arrays.equals(orders[1], orders[2]));
            long inOrder = 0;
            for (int i = 1; i < count; i++) {
                inOrder += orders[0][i] == orders[0][i - 1] + 1 ? 1 : 0;
            }
            assertTrue(inOrder < 6, inOrder + " neighbours stayed neighbours");
        }
    }

    @Test
    void aBatchIsAFunctionOfSeedAndStepAlone() throws ShardException {
        Windows windows = windows(50 * S + 1);
        Batches batches = new Batches(windows, 4, 7);
        int[] inputs = new int[4 * S];
        int[] targets = new int[4 * S];
        int[] again = new int[4 * S];
        batches.fill(1_000_000_007L, inputs, targets);
        batches.fill(3, again, targets);
        assertFalse(Arrays.equals(inputs, again));
        new Batches(windows, 4, 7).fill(1_000_000_007L, again, targets);
        assertArrayEquals(inputs, again);
        new Batches(windows, 4, 8).fill(1_000_000_007L, again, targets);
        assertFalse(Arrays.equals(inputs, again), "another seed, another order");
        new Batches(windows, 4, 7 + (1L << 32)).fill(1_000_000_007L, again, targets);
        assertFalse(Arrays.equals(inputs, again), "all 64 bits of the seed count");
    }

    @Test
    void rowsAreTheSameWholeOrInParts() throws ShardException {
        Batches batches = new Batches(windows(50 * S + 1), 6, 7);
        int[] inputs = new int[6 * S];
        int[] targets = new int[6 * S];
        batches.fill(9, inputs, targets);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment in = arena.allocate(2 * S * 4L);
            MemorySegment out = arena.allocate(2 * S * 4L);
            for (int row = 0; row < 6; row += 2) {
                batches.fill(9, row, 2, in, out);
                assertArrayEquals(Arrays.copyOfRange(inputs, row * S, (row + 2) * S), in.toArray(ValueLayout.JAVA_INT));
                assertArrayEquals(Arrays.copyOfRange(targets, row * S, (row + 2) * S), out.toArray(ValueLayout.JAVA_INT));
            }
            assertThrows(IndexOutOfBoundsException.class, () -> batches.fill(9, 5, 2, in, out));
            assertThrows(IndexOutOfBoundsException.class, () -> batches.fill(9, 0, 3, in, out));
            assertThrows(IndexOutOfBoundsException.class, () -> batches.fill(-1, 0, 2, in, out));
        }
    }
}
