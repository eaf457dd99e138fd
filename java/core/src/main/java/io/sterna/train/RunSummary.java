package io.sterna.train;

import io.sterna.data.ShardManifest;
import io.sterna.kernel.Tier;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** {@code summary.json}: what came of a finished run. */
final class RunSummary {
    /** The final loss is the mean over this share of the steps, at the end. */
    private static final double FINAL_SHARE = 0.05;

    private RunSummary() {}

    static Map<String, Object> of(TrainConfig c, MemoryPlan plan, Tier tier, ShardManifest data,
            List<Map<String, Object>> metrics, double wallSeconds) throws IOException {
        Map<String, Object> s = new LinkedHashMap<>();
        s.put("preset", c.preset);
        s.put("method", c.method);
        s.put("bits", c.bits);
        s.put("forward", c.forward);
        s.put("optimizer", c.optimizer);
        s.put("state", c.state);
        s.put("parameters", named(plan.parameters()));
        s.put("parameters_total", plan.totalParameters());
        s.put("bytes", named(plan.bytes()));
        s.put("bytes_total", plan.totalBytes());
        s.put("buffers", plan.notes());
        s.put("steps", c.steps);
        s.put("tokens", metrics.getLast().get("tokens"));
        s.put("final_loss", finalLoss(metrics, c.steps));
        s.put("dev_loss", metrics.getLast().get("dev_loss"));
        s.put("dev_unigram_entropy", data.devUnigramEntropy());
        s.put("tokens_per_second", median(metrics));
        ProcessMemory.peakRss().ifPresent(bytes -> s.put("peak_rss_bytes", bytes));
        s.put("wall_seconds", wallSeconds);
        s.put("tier", tier.toString());
        s.put("threads", c.threads);
        s.put("seed", c.seed);
        return s;
    }

    private static Map<String, Object> named(Map<?, Long> byKind) {
        Map<String, Object> named = new LinkedHashMap<>();
        new TreeMap<>(byKind).forEach((kind, value) -> named.put(kind.toString(), value));
        return named;
    }

    private static Double finalLoss(List<Map<String, Object>> metrics, long steps) {
        var losses = metrics.stream()
                .filter(r -> number(r, "step") > steps * (1 - FINAL_SHARE) && r.get("loss") != null)
                .mapToDouble(r -> number(r, "loss"))
                .average();
        return losses.isPresent() ? losses.getAsDouble() : null;
    }

    private static Double median(List<Map<String, Object>> metrics) {
        double[] speeds = metrics.stream()
                .filter(r -> r.get("tokens_per_second") != null)
                .mapToDouble(r -> number(r, "tokens_per_second"))
                .sorted()
                .toArray();
        return speeds.length == 0 ? null : speeds[speeds.length / 2];
    }

    private static double number(Map<String, Object> record, String key) {
        return ((Number) record.get(key)).doubleValue();
    }
}
