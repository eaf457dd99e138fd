package io.sterna.train;

import java.io.IOException;
import java.nio.file.Path;
import java.util.DoubleSummaryStatistics;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.stream.DoubleStream;

/** What summary and report take of {@code metrics.jsonl}, a record at a time: all records of a long run are more than the heap holds. */
final class RunHistory {
    /** The final loss is the mean over this share of the steps, at the end. */
    private static final double FINAL_SHARE = 0.05;
    /** More points of a curve than pixels only make the report larger. */
    private static final int MOST_POINTS = 800;
    /** As do more columns of a map than can be told apart. */
    private static final int MOST_COLUMNS = 200;

    /** The flip rate of each tensor at a step. */
    record LayerRates(long step, Map<String, Object> rates) {}

    private final double finalAfter;
    private final DoubleSummaryStatistics finalLosses = new DoubleSummaryStatistics();
    private final DoubleStream.Builder speeds = DoubleStream.builder();
    private Double medianSpeed;
    private final Map<String, Thinned<double[]>> curves = new TreeMap<>();
    private final Map<String, Thinned<double[]>> flipRates = new TreeMap<>();
    private final Thinned<LayerRates> layerRates = new Thinned<>(MOST_COLUMNS);
    private boolean reachesEnd;
    private Map<String, Object> last = Map.of();

    private RunHistory(long steps) {
        this.finalAfter = steps * (1 - FINAL_SHARE);
    }

    /** @param steps of the whole run */
    static RunHistory of(Path metrics, long steps) throws IOException {
        RunHistory history = new RunHistory(steps);
        MetricsFile.forEach(metrics, history::add);
        double[] sorted = history.speeds.build().sorted().toArray();
        history.medianSpeed = sorted.length == 0 ? null : sorted[sorted.length / 2];
        return history;
    }

    private void add(Map<String, Object> record) {
        long step = (long) record.get("step");
        addPoints(curves, step, record);
        addPoints(flipRates, step, rates(record, "flip_rates"));
        layerRates.add(new LayerRates(step, rates(record, "flip_rates_by_layer")));
        reachesEnd |= step > finalAfter;
        if (step > finalAfter && record.get("loss") instanceof Number loss) {
            finalLosses.accept(loss.doubleValue());
        }
        if (record.get("tokens_per_second") instanceof Number speed) {
            speeds.accept(speed.doubleValue());
        }
        last = record;
    }

    private static void addPoints(Map<String, Thinned<double[]>> curves, long step, Map<String, Object> values) {
        values.forEach((key, value) -> {
            if (value instanceof Number n) {
                curves.computeIfAbsent(key, k -> new Thinned<>(MOST_POINTS)).add(new double[] {step, n.doubleValue()});
            }
        });
    }

    @SuppressWarnings("unchecked") // objects of JSON have strings as keys
    private static Map<String, Object> rates(Map<String, Object> record, String key) {
        return record.get(key) instanceof Map<?, ?> map ? (Map<String, Object>) map : Map.of();
    }

    /** Whether there are records of the last steps, which {@link #finalLoss} is of. */
    boolean reachesEnd() {
        return reachesEnd;
    }

    /** The record of the last step; empty without any. */
    Map<String, Object> last() {
        return last;
    }

    /** Held-out loss after the last step, NaN when it was not finite; empty when it was not evaluated. */
    OptionalDouble devLoss() {
        if (!last.containsKey("dev_loss")) {
            return OptionalDouble.empty();
        }
        return OptionalDouble.of(last.get("dev_loss") instanceof Number n ? n.doubleValue() : Double.NaN); // JSON has null for it
    }

    /** Mean loss of the last steps; null when none was finite. */
    Double finalLoss() {
        return finalLosses.getCount() == 0 ? null : finalLosses.getAverage();
    }

    /** Median of the tokens a second; null without any. */
    Double medianSpeed() {
        return medianSpeed;
    }

    /** Steps and the numbers of that name in their records. */
    Thinned<double[]> curve(String key) {
        return curves.getOrDefault(key, new Thinned<>(MOST_POINTS));
    }

    /** Steps and flip rates by kind of layer. */
    Map<String, Thinned<double[]>> flipRates() {
        return flipRates;
    }

    /** The flip rates of all tensors, step by step. */
    Thinned<LayerRates> layerRates() {
        return layerRates;
    }
}
