package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunHistoryTest {
    private static final int STEPS = 5000;

    @TempDir
    private Path folder;

    @Test
    void aLongRunIsHeldThinnedAndItsFiguresAreOfAllSteps() throws IOException {
        Path file = folder.resolve("metrics.jsonl");
        try (MetricsFile metrics = new MetricsFile(file, 0)) {
            for (int step = 1; step <= STEPS; step++) {
                metrics.append(record(step));
            }
        }
        RunHistory history = RunHistory.of(file, STEPS);
        assertEquals((double) (STEPS - 249 + STEPS) / 2, history.finalLoss(), 1e-9); // the mean of the last 250 steps
        assertEquals(STEPS / 2 + 1, history.medianSpeed());
        assertEquals(OptionalDouble.of(2), history.devLoss());
        assertEquals((long) STEPS, history.last().get("step"));
        assertEquals(5, history.curve("dev_loss").items().size(), "a short series is whole");
        for (List<double[]> curve : List.of(history.curve("loss").items(), history.flipRates().get("mlp").items())) {
            assertTrue(curve.size() > 400 && curve.size() <= 801, "" + curve.size());
            assertEquals(STEPS, curve.getLast()[0]);
        }
        assertTrue(history.layerRates().items().size() <= 201);

        Report.write(RunFolder.of(folder), Map.of(), Map.of(), history, List.of(), List.of());
        String report = Files.readString(folder.resolve("report.html"));
        assertTrue(report.contains("The curves show one in 8 of 5,000 records; metrics.jsonl has all."), report);
        assertTrue(report.contains("at the logged steps, one of 32 shown"), report);
    }

    @Test
    void whatIsNotFiniteIsNoNumber() throws IOException {
        Path file = Files.writeString(folder.resolve("metrics.jsonl"), "{\"step\":1,\"loss\":null,\"dev_loss\":null}\n");
        RunHistory history = RunHistory.of(file, 1);
        assertNull(history.finalLoss());
        assertNull(history.medianSpeed());
        assertTrue(Double.isNaN(history.devLoss().orElseThrow()));
        assertEquals(List.of(), history.curve("loss").items());
    }

    private static Map<String, Object> record(int step) {
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("step", step);
        record.put("loss", (double) step);
        record.put("lr", 1e-3);
        record.put("flip_rates", Map.of("mlp", 0.5));
        record.put("flip_rates_by_layer", Map.of("model.layers.0.mlp.up_proj.weight", 0.25));
        record.put("tokens_per_second", (double) step);
        if (step % 1000 == 0) {
            record.put("dev_loss", 2.0);
        }
        return record;
    }
}
