package io.sterna.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.sterna.tensor.FloatType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whether workers take whole sequences, and how many tokens of attention's operands are held then. */
class RangesTest {
    @ParameterizedTest
    @CsvSource({
        "16, 256, 2, 2, 256", "4, 512, 2, 2, 512", "8, 2048, 2, 2, 2048", "64, 32, 2, 2, 128", // a span each
        "8, 4096, 2, 1, 32768", "1, 512, 2, 1, 512", "3, 512, 2, 1, 1536", "8, 200, 2, 1, 1600", // too long, too few, uneven, cut
        "4, 512, 8, 1, 2048", "4, 512, 1, 1, 512", "3, 100, 2, 1, 300"})
    void aWorkerTakesASpanWhereThereAreEnough(int sequences, int length, int workers, int places, long spanTokens) {
        Batch batch = new Batch(sequences, length, FloatType.BF16, GradientType.INT16);
        Ranges ranges = new Ranges(null, workers, batch, 4, 64, true);
        assertEquals(places, ranges.places());
        assertEquals(spanTokens, ranges.spanTokens());
    }

    /** Chunks of wide layers, which fit in no cache, are longer. */
    @ParameterizedTest
    @CsvSource({"2048, 128", "4095, 128", "4096, 256", "5632, 256"})
    void wideLayersTakeMoreTokensAtOnce(long width, long chunk) {
        assertEquals(chunk, new Ranges(null, 2, new Batch(4, 512, FloatType.BF16, GradientType.INT16), 4, width, true).chunk());
    }
}
