package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricsFileTest {
    @TempDir
    private Path folder;

    @Test
    void aResumedFileGoesOnAfterItsCheckpoint() throws IOException {
        Path file = folder.resolve("metrics.jsonl");
        try (MetricsFile metrics = new MetricsFile(file, 0)) {
            for (int step = 10; step <= 50; step += 10) {
                metrics.append(Map.of("step", step));
            }
        }
        Files.writeString(file, Files.readString(file) + "{\"step\":6"); // as a crash leaves it
        try (MetricsFile metrics = new MetricsFile(file, 30)) {
            metrics.append(Map.of("step", 40, "loss", 1.5));
        }
        assertEquals(List.of("{\"step\":10}", "{\"step\":20}", "{\"step\":30}"), Files.readAllLines(file).subList(0, 3));
        assertEquals(4, Metrics.read(file).size());
        assertEquals(1.5, Metrics.read(file).get(3).get("loss"));
    }

    @Test
    void aDamagedLineIsNamedAndNothingIsLost() throws IOException {
        String lines = "{\"step\":10}\n{\"st\u0000\n{\"step\":30}\n";
        Path file = Files.writeString(folder.resolve("metrics.jsonl"), lines);
        String message = assertThrows(ConfigException.class, () -> new MetricsFile(file, 30).close()).getMessage();
        assertTrue(message.contains("metrics.jsonl line 2"), message);
        assertEquals(lines, Files.readString(file));
    }

    @Test
    void aLastLineWithoutItsEndGetsOneAndEmptyLinesAreNone() throws IOException {
        Path file = Files.writeString(folder.resolve("metrics.jsonl"), "{\"step\":10}\n\n{\"step\":20}");
        try (MetricsFile metrics = new MetricsFile(file, 20)) {
            assertEquals(Map.of("step", 20L), metrics.last());
            metrics.append(Map.of("step", 30));
        }
        assertEquals(List.of(10L, 20L, 30L), Metrics.read(file).stream().map(r -> r.get("step")).toList());
        try (MetricsFile metrics = new MetricsFile(file, 5)) {
            assertEquals(Map.of(), metrics.last());
        }
        assertEquals("", Files.readString(file));
    }

    @Test
    void linesOfAnyLengthAreRead() throws IOException {
        Path file = folder.resolve("metrics.jsonl");
        String large = "x".repeat(200_000);
        try (MetricsFile metrics = new MetricsFile(file, 0)) {
            metrics.append(Map.of("step", 1, "text", large));
            metrics.append(Map.of("step", 2, "text", "tern"));
            metrics.append(Map.of("step", 3, "text", large));
        }
        new MetricsFile(file, 2).close();
        assertEquals(List.of(large, "tern"), Metrics.read(file).stream().map(r -> r.get("text")).toList());
    }
}
