package io.sterna.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.tensor.Workspace;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Into how large tiles parameters are cut. */
class EngineTest {
    @ParameterizedTest
    @CsvSource({
        "768, 768, 384", "2048, 768, 352", "32000, 768, 384", // as many rows as fit, about equally
        "288, 288, 160", "768, 288, 384", // two at least
        "768, 2048, 128", "2048, 5632, 128", // no fewer rows, however wide
        "1, 64, 32", "100, 64, 64"})
    void tilesAreEqualAndNotTooLow(long rows, long cols, long tile) {
        assertEquals(tile, Engine.tileRows(rows, cols));
    }

    /** Sessions have an engine each, and update nothing. */
    @Test
    void tilesAreThereForThoseWhoUpdate() {
        try (Workspace updates = Workspace.planning(); Workspace passes = Workspace.planning()) {
            new Engine(null, null, 2, updates, 5632);
            assertTrue(updates.totalBytes() >= 2 * 128 * 5632 * 4L, () -> updates.totalBytes() + " bytes");
            new Engine(null, null, 2, passes);
            assertTrue(passes.totalBytes() < 4096, () -> passes.totalBytes() + " bytes");
        }
    }
}
