package io.sterna.train;

import java.util.List;
import java.util.Locale;

/** A matrix of numbers from 0 as inline SVG: a row for each name, a column for each step, darker for more. */
final class HeatMap {
    private static final int WIDTH = 1200;
    private static final int LEFT = 130;
    private static final int ROW = 13;
    private static final int BOTTOM = 24;
    /** Shades from light to dark, at equal ratios over {@value #DECADES} powers of ten below the largest number. */
    private static final List<String> SHADES = List.of(
            "#eff6ff", "#dbeafe", "#bfdbfe", "#93c5fd", "#60a5fa", "#3b82f6", "#2563eb", "#1d4ed8", "#1e3a8a");
    private static final int DECADES = 3;

    /** A row: its name and a number for each step, NaN where there is none. */
    record Row(String name, double[] values) {}

    private final String title;
    private final long[] steps;
    private final List<Row> rows;
    private final double highest;
    private final int columns;

    HeatMap(String title, long[] steps, List<Row> rows) {
        this.title = title;
        this.steps = steps;
        this.rows = rows;
        double max = 0;
        for (Row row : rows) {
            for (double v : row.values) {
                max = v > max ? v : max;
            }
        }
        this.highest = max;
        this.columns = steps.length;
    }

    String toSvg() {
        int height = rows.size() * ROW;
        StringBuilder svg = new StringBuilder("<figure><figcaption>").append(Html.escape(title)).append("</figcaption>");
        svg.append(format("<svg viewBox=\"0 0 %d %d\" role=\"img\">", WIDTH, height + BOTTOM));
        for (int r = 0; r < rows.size(); r++) {
            svg.append(format("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", LEFT - 6, r * ROW + 10, Html.escape(rows.get(r).name)));
        }
        svg.append(format("<g transform=\"translate(%d 0) scale(%.4f %d)\">", LEFT, (double) (WIDTH - LEFT) / columns, ROW));
        for (int shade = 0; shade < SHADES.size(); shade++) {
            cells(svg, shade);
        }
        for (int r = 0; r < rows.size(); r++) {
            hover(svg, r);
        }
        svg.append("</g>");
        label(svg, LEFT, height, "start", "step " + steps[0]);
        label(svg, WIDTH, height, "end", "step " + steps[steps.length - 1]);
        svg.append("</svg>");
        legend(svg);
        return svg.append("</figure>\n").toString();
    }

    /** The cells of a shade as one path, neighbours of a row joined: small files for many cells. */
    private void cells(StringBuilder svg, int shade) {
        StringBuilder path = new StringBuilder();
        for (int r = 0; r < rows.size(); r++) {
            int end;
            for (int c = 0; c < columns; c = end) {
                end = c + 1;
                if (shade(r, c) == shade) {
                    while (end < columns && shade(r, end) == shade) {
                        end++;
                    }
                    path.append('M').append(c).append(' ').append(r).append(".5h").append(end - c);
                }
            }
        }
        if (!path.isEmpty()) {
            svg.append(format("<path stroke=\"%s\" d=\"%s\"/>", SHADES.get(shade), path));
        }
    }

    /** The shade of a cell; -1 where there is no number. */
    private int shade(int row, int column) {
        double v = rows.get(row).values[column];
        if (Double.isNaN(v)) {
            return -1;
        }
        double position = v == 0 ? 0 : 1 + Math.log10(v / highest) / DECADES;
        return (int) Math.clamp(Math.ceil(position * SHADES.size()) - 1, 0, SHADES.size() - 1);
    }

    private void hover(StringBuilder svg, int row) {
        double[] values = rows.get(row).values;
        svg.append(format("<rect fill=\"transparent\" y=\"%d\" width=\"%d\" height=\"1\"><title>%s: %s at step %d, %s at step %d</title></rect>",
                row, columns, Html.escape(rows.get(row).name), text(values[0]), steps[0],
                text(values[values.length - 1]), steps[steps.length - 1]));
    }

    private static String text(double v) {
        return Double.isNaN(v) ? "none" : Chart.label(v);
    }

    private static void label(StringBuilder svg, int x, int height, String anchor, String text) {
        svg.append(format("<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>", x, height + 16, anchor, text));
    }

    private void legend(StringBuilder svg) {
        svg.append("<div class=\"legend\">up to ");
        for (int i = 0; i < SHADES.size(); i++) {
            double bound = highest * Math.pow(10, DECADES * ((i + 1.0) / SHADES.size() - 1));
            svg.append(format("<span style=\"border-left:1em solid %s;padding:0 .8em 0 .4em\">%s</span>", SHADES.get(i), Chart.label(bound)));
        }
        svg.append("</div>");
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
