package io.sterna.train;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/** Writes what each logged step did to {@code metrics.jsonl} and TensorBoard's events. */
final class Recorder implements AutoCloseable {
    private final MetricsFile metrics;
    private final EventFile events;
    private final double secondsBefore; // of the run's earlier processes
    private final long startNanos = System.nanoTime();
    private long stepNanos; // spent in steps since the last record
    private long stepTokens;

    /** Goes on after the record of {@code step}. */
    Recorder(RunFolder folder, long step) throws IOException {
        this.metrics = new MetricsFile(folder.metrics(), step);
        try {
            this.secondsBefore = Math.max(folder.seconds(), secondsOf(metrics.last()));
            this.events = new EventFile(folder.path(), step, now());
        } catch (IOException | RuntimeException e) {
            metrics.close();
            throw e;
        }
    }

    /** A line that was edited may have none. */
    private static double secondsOf(Map<String, Object> record) {
        return record.get("wall_seconds") instanceof Number seconds ? seconds.doubleValue() : 0;
    }

    /** Counts a step of so many nanoseconds towards the speed of the next record. */
    void count(long tokens, long nanos) {
        stepTokens += tokens;
        stepNanos += nanos;
    }

    /** Wall-clock seconds of the run: of this process so far, and of earlier ones up to their last checkpoint or the last record kept. */
    double wallSeconds() {
        return secondsBefore + (System.nanoTime() - startNanos) * 1e-9;
    }

    /** Appends a record of {@code report}. */
    void record(StepReport report, long tokens, OptionalDouble devLoss) throws IOException {
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("step", report.step());
        record.put("tokens", tokens);
        record.put("loss", finite(report.loss()));
        record.put("lr", report.rate());
        record.put("grad_norm", finite(report.gradNorm()));
        record.put("flip_rate", report.flipRate());
        Map<String, Object> rates = new LinkedHashMap<>();
        report.flipRates().forEach((kind, rate) -> rates.put(kind.toString(), rate));
        record.put("flip_rates", rates);
        record.put("flip_rates_by_layer", report.flipRatesByLayer());
        if (report.nonFinite()) {
            record.put("non_finite", true);
        }
        devLoss.ifPresent(loss -> record.put("dev_loss", finite(loss)));
        if (stepNanos > 0) {
            record.put("tokens_per_second", Math.rint(stepTokens / (stepNanos * 1e-9)));
        }
        OptionalLong rss = ProcessMemory.rss();
        rss.ifPresent(bytes -> record.put("rss_bytes", bytes));
        record.put("wall_seconds", Math.rint(wallSeconds() * 1e3) / 1e3);
        stepNanos = 0;
        stepTokens = 0;
        metrics.append(record);
        addEvents(record);
    }

    private static Double finite(double value) {
        return Double.isFinite(value) ? value : null;
    }

    private void addEvents(Map<String, Object> record) throws IOException {
        long step = (Long) record.get("step");
        double now = now();
        for (Map.Entry<String, Object> field : record.entrySet()) {
            if (field.getValue() instanceof Number n && !field.getKey().equals("step")) {
                events.scalar("train/" + field.getKey(), step, now, n.doubleValue());
            } else if (field.getValue() instanceof Map<?, ?> map) {
                String group = field.getKey().replace("flip_rates", "flip_rate");
                for (Map.Entry<?, ?> item : map.entrySet()) {
                    events.scalar(group + "/" + item.getKey(), step, now, ((Number) item.getValue()).doubleValue());
                }
            }
        }
        events.flush();
    }

    private static double now() {
        return System.currentTimeMillis() * 1e-3;
    }

    /** Waits until the records are on the disk. */
    void sync() throws IOException {
        metrics.sync();
    }

    @Override
    public void close() throws IOException {
        try (metrics; events) {
            return; // both are closed, whatever one of them throws
        }
    }
}
