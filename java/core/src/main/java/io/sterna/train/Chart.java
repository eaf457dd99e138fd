package io.sterna.train;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** A line chart as inline SVG, with axes, a legend and values on hover. */
final class Chart {
    private static final int WIDTH = 640;
    private static final int HEIGHT = 260;
    private static final int LEFT = 64;
    private static final int RIGHT = 16;
    private static final int TOP = 16;
    private static final int BOTTOM = 28;
    private static final int TICKS = 5;
    private static final List<String> COLORS =
            List.of("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f");

    /** A curve; x ascending. */
    record Series(String name, List<double[]> points) {}

    private final String title;
    private final List<Series> series = new ArrayList<>();

    Chart(String title) {
        this.title = title;
    }

    Chart add(String name, List<double[]> points) {
        if (!points.isEmpty()) {
            series.add(new Series(name, points));
        }
        return this;
    }

    boolean isEmpty() {
        return series.isEmpty();
    }

    String toSvg() {
        double[] x = range(0);
        double[] y = range(1);
        StringBuilder svg = new StringBuilder();
        svg.append("<figure><figcaption>").append(Html.escape(title)).append("</figcaption>");
        svg.append(String.format(Locale.ROOT, "<svg viewBox=\"0 0 %d %d\" role=\"img\">", WIDTH, HEIGHT));
        for (double tick : ticks(y)) {
            double at = py(tick, y);
            svg.append(format("<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, at, WIDTH - RIGHT, at));
            svg.append(format("<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT - 6, at + 4, label(tick)));
        }
        for (double tick : ticks(x)) {
            svg.append(format("<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", px(tick, x), HEIGHT - 8, label(tick)));
        }
        for (int i = 0; i < series.size(); i++) {
            line(svg, series.get(i), COLORS.get(i % COLORS.size()), x, y);
        }
        svg.append("</svg>");
        legend(svg);
        return svg.append("</figure>\n").toString();
    }

    private static void line(StringBuilder svg, Series s, String color, double[] x, double[] y) {
        svg.append("<polyline stroke=\"").append(color).append("\" points=\"");
        for (double[] p : s.points) {
            svg.append(format("%.1f,%.1f ", px(p[0], x), py(p[1], y)));
        }
        double[] last = s.points.getLast();
        svg.append("\"><title>").append(Html.escape(s.name)).append("</title></polyline>");
        svg.append(format("<circle r=\"3\" fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\"><title>%s: %s</title></circle>",
                color, px(last[0], x), py(last[1], y), Html.escape(s.name), label(last[1])));
    }

    private void legend(StringBuilder svg) {
        svg.append("<p class=\"legend\">");
        for (int i = 0; i < series.size(); i++) {
            svg.append("<span style=\"color:").append(COLORS.get(i % COLORS.size())).append("\">&#9632; ");
            svg.append(Html.escape(series.get(i).name)).append("</span> ");
        }
        svg.append("</p>");
    }

    private double[] range(int axis) {
        double low = Double.POSITIVE_INFINITY;
        double high = Double.NEGATIVE_INFINITY;
        for (Series s : series) {
            for (double[] p : s.points) {
                low = Math.min(low, p[axis]);
                high = Math.max(high, p[axis]);
            }
        }
        double least = Math.max(Math.abs(high), 1e-9) * 1e-3; // a flat curve lies in the middle
        return high - low < least ? new double[] {low - least, high + least} : new double[] {low, high};
    }

    /** Round numbers in {@code range}, about {@value #TICKS} of them. */
    private static List<Double> ticks(double[] range) {
        double raw = (range[1] - range[0]) / TICKS;
        double power = Math.pow(10, Math.floor(Math.log10(raw)));
        double ratio = raw / power;
        double step = power * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
        List<Double> ticks = new ArrayList<>();
        for (long i = (long) Math.ceil(range[0] / step); i * step <= range[1]; i++) {
            ticks.add(i * step);
        }
        return ticks;
    }

    private static double px(double v, double[] x) {
        return LEFT + (v - x[0]) / (x[1] - x[0]) * (WIDTH - LEFT - RIGHT);
    }

    private static double py(double v, double[] y) {
        return HEIGHT - BOTTOM - (v - y[0]) / (y[1] - y[0]) * (HEIGHT - TOP - BOTTOM);
    }

    static String label(double v) {
        double a = Math.abs(v);
        if (a >= 1e9) {
            return significant(v / 1e9) + "G";
        }
        if (a >= 1e4) {
            return a >= 1e6 ? significant(v / 1e6) + "M" : significant(v / 1e3) + "k";
        }
        return a != 0 && a < 1e-3 ? format("%.1e", v) : significant(v);
    }

    private static String significant(double v) {
        String text = format("%.4g", v);
        return text.contains(".") && !text.contains("e") ? text.replaceAll("\\.?0+$", "") : text;
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
