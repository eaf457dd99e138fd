package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ThinnedTest {
    @Test
    void aShortSeriesIsKeptWhole() {
        assertEquals(List.of(), series(0).items());
        assertEquals(List.of(0, 1, 2, 3), series(4).items());
        assertEquals(1, series(4).every());
    }

    @Test
    void ofALongOneEveryNthIsKeptAndTheLast() {
        assertEquals(List.of(0, 2, 4), series(5).items());
        assertEquals(List.of(0, 2, 4, 6, 7), series(8).items());
        assertEquals(List.of(0, 4, 8), series(9).items());
        assertEquals(List.of(0, 256, 512, 768, 999), series(1000).items());
        assertEquals(256, series(1000).every());
        assertEquals(1000, series(1000).added());
        for (int n = 1; n < 300; n++) {
            List<Integer> items = series(n).items();
            assertTrue(items.size() <= 5 && items.getLast() == n - 1, n + ": " + items);
        }
    }

    private static Thinned<Integer> series(int length) {
        Thinned<Integer> thinned = new Thinned<>(4);
        IntStream.range(0, length).forEach(thinned::add);
        return thinned;
    }
}
