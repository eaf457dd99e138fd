package io.sterna.train;

import io.sterna.data.ShardManifest;
import io.sterna.kernel.Tier;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/** {@code summary.json}: what came of a finished run. */
final class RunSummary {
    private RunSummary() {}

    static Map<String, Object> of(TrainConfig c, MemoryPlan plan, Tier tier, ShardManifest data,
            RunHistory history, double wallSeconds) throws IOException {
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
        s.put("tokens", history.last().get("tokens"));
        if (history.reachesEnd()) {
            s.put("final_loss", history.finalLoss());
        }
        s.put("dev_loss", history.last().get("dev_loss"));
        s.put("dev_unigram_entropy", data.devUnigramEntropy());
        s.put("tokens_per_second", history.medianSpeed());
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
}
