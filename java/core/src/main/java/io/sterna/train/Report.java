package io.sterna.train;

import io.sterna.io.DurableFiles;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** {@code report.html}: a run on one page that needs nothing else; charts are inline SVG. */
final class Report {
    private static final String STYLE =
            """
            body{font:15px/1.5 system-ui,sans-serif;max-width:1360px;margin:2rem auto;padding:0 1rem;color:#1f2937;background:#fff}
            h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
            .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:1rem}
            figure{margin:0;border:1px solid #e5e7eb;border-radius:8px;padding:.5rem}figcaption{font-weight:600;padding:0 .5rem}
            svg{width:100%}svg text{font-size:11px;fill:#6b7280}.grid{stroke:#e5e7eb}
            polyline{fill:none;stroke-width:1.6}.legend{margin:0 .5rem;font-size:12px}
            table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
            th{font-weight:600;color:#374151}pre{background:#f3f4f6;padding:1rem;border-radius:8px;overflow-x:auto;white-space:pre-wrap}
            .bar{fill:#2563eb}.histograms{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:.5rem}
            .histograms figcaption{font-size:11px;font-weight:400}
            path{fill:none;stroke-width:1}
            """;

    /** The share of each code, Qn first, in the tensor of that name. */
    record Histogram(String name, int lowest, double[] shares) {}

    private final StringBuilder html = new StringBuilder();

    private Report() {}

    static void write(
            RunFolder folder,
            Map<String, Object> summary,
            Map<String, Object> config,
            RunHistory history,
            List<Histogram> histograms,
            List<String> samples)
            throws IOException {
        Report report = new Report();
        report.head(folder.name());
        report.table("Summary", summary);
        report.charts(history);
        report.histograms(histograms);
        report.samples(samples);
        report.table("Configuration", config);
        report.html.append("</body></html>\n");
        DurableFiles.replace(folder.report(), report.html.toString());
    }

    private void head(String name) {
        html.append("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sterna: ");
        html.append(Html.escape(name)).append("</title><style>\n").append(STYLE).append("</style></head><body><h1>");
        html.append(Html.escape(name)).append("</h1>\n");
    }

    private void table(String title, Map<String, Object> rows) {
        html.append("<h2>").append(title).append("</h2><table>\n");
        rows.forEach((key, value) -> html.append("<tr><th>")
                .append(Html.escape(key))
                .append("</th><td>")
                .append(Html.escape(text(value)))
                .append("</td></tr>\n"));
        html.append("</table>\n");
    }

    private static String text(Object value) {
        return switch (value) {
            case null -> "";
            case Map<?, ?> map -> {
                List<String> items = new ArrayList<>();
                map.forEach((k, v) -> items.add(k + " " + text(v)));
                yield String.join(", ", items);
            }
            case List<?> list -> String.join(", ", list.stream().map(Report::text).toList());
            case Double d -> String.format(Locale.ROOT, "%.6g", d);
            case Long n -> String.format(Locale.ROOT, "%,d", n);
            default -> value.toString();
        };
    }

    private void charts(RunHistory history) {
        html.append("<h2>Training</h2>");
        Thinned<double[]> rate = history.curve("lr"); // every record has one
        if (rate.every() > 1) {
            html.append(String.format(Locale.ROOT, "<p>The curves show one in %d of %,d records; metrics.jsonl has all.</p>",
                    rate.every(), rate.added()));
        }
        html.append("<div class=\"charts\">\n");
        chart(new Chart("Loss (nats a token)")
                .add("train", history.curve("loss").items())
                .add("held out", history.curve("dev_loss").items()));
        chart(new Chart("Learning rate").add("lr", rate.items()));
        Chart flipRates = new Chart("Flip rate by kind of layer (share of codes a step)");
        history.flipRates().forEach((kind, rates) -> flipRates.add(kind, rates.items()));
        chart(flipRates);
        chart(new Chart("Gradient norm").add("norm", history.curve("grad_norm").items()));
        chart(new Chart("Speed (tokens a second)").add("tokens/s", history.curve("tokens_per_second").items()));
        chart(new Chart("Memory (bytes)").add("resident", history.curve("rss_bytes").items()));
        html.append("</div>\n");
        flipRatesByLayer(history.layerRates());
    }

    private void flipRatesByLayer(Thinned<RunHistory.LayerRates> thinned) {
        List<RunHistory.LayerRates> shown = thinned.items();
        Set<String> names = new LinkedHashSet<>();
        shown.forEach(r -> names.addAll(r.rates().keySet()));
        if (names.isEmpty()) {
            return;
        }
        long[] steps = shown.stream().mapToLong(RunHistory.LayerRates::step).toArray();
        List<HeatMap.Row> rows = new ArrayList<>();
        for (String name : names) {
            double[] values = shown.stream()
                    .mapToDouble(r -> r.rates().get(name) instanceof Number n ? n.doubleValue() : Double.NaN)
                    .toArray();
            rows.add(new HeatMap.Row(layer(name), values));
        }
        html.append("<h2>Flip rate by layer</h2>\n");
        String some = thinned.every() == 1 ? "" : ", one of " + thinned.every() + " shown";
        html.append(new HeatMap("Share of codes a step, at the logged steps" + some, steps, rows).toSvg());
    }

    /** The number of the block and the part in it, of the name of a tensor. */
    private static String layer(String name) {
        return name.replace("model.layers.", "").replace("_proj.weight", "");
    }

    private void chart(Chart chart) {
        if (!chart.isEmpty()) {
            html.append(chart.toSvg());
        }
    }

    private void histograms(List<Histogram> histograms) {
        if (histograms.isEmpty()) {
            return;
        }
        html.append("<h2>Codes by layer</h2><div class=\"histograms\">\n");
        histograms.forEach(this::histogram);
        html.append("</div>\n");
    }

    private void histogram(Histogram h) {
        double highest = 0;
        for (double share : h.shares) {
            highest = Math.max(highest, share);
        }
        double width = 160.0 / h.shares.length;
        html.append("<figure><figcaption>").append(Html.escape(layer(h.name))).append("</figcaption>");
        html.append("<svg viewBox=\"0 0 160 60\" role=\"img\">");
        for (int i = 0; i < h.shares.length; i++) {
            double height = highest == 0 ? 0 : 56 * h.shares[i] / highest;
            html.append(String.format(
                    Locale.ROOT,
                    "<rect class=\"bar\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"><title>%d: %.4f</title></rect>",
                    i * width, 60 - height, width * 0.9, height, h.lowest + i, h.shares[i]));
        }
        html.append("</svg></figure>\n");
    }

    private void samples(List<String> samples) {
        if (samples.isEmpty()) {
            return;
        }
        html.append("<h2>Samples</h2>\n");
        samples.forEach(s -> html.append("<pre>").append(Html.escape(s)).append("</pre>\n"));
    }
}
