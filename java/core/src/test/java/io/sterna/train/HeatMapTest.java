package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class HeatMapTest {
    private static final Pattern CELLS = Pattern.compile("<path stroke=\"(#\\w+)\" d=\"([^\"]*)\"/>");
    private static final Pattern LEGEND = Pattern.compile("solid (#\\w+);[^>]*>([^<]*)</span>");

    /** Nine shades over three powers of ten: each ends at 10^(1/3) times the end of the one before. */
    @Test
    void everyShadeHasItsNumbersAndTheLegendSaysSo() {
        String svg = svg(0.002, 0.004, 0.009, 0.02, 0.04, 0.09, 0.2, 0.4, 1);
        assertEquals(List.of(
                "#eff6ff M0 0.5h1", "#dbeafe M1 0.5h1", "#bfdbfe M2 0.5h1", "#93c5fd M3 0.5h1", "#60a5fa M4 0.5h1",
                "#3b82f6 M5 0.5h1", "#2563eb M6 0.5h1", "#1d4ed8 M7 0.5h1", "#1e3a8a M8 0.5h1"), all(CELLS, svg));
        assertEquals(List.of(
                "#eff6ff 0.002154", "#dbeafe 0.004642", "#bfdbfe 0.01", "#93c5fd 0.02154", "#60a5fa 0.04642",
                "#3b82f6 0.1", "#2563eb 0.2154", "#1d4ed8 0.4642", "#1e3a8a 1"), all(LEGEND, svg));
    }

    @Test
    void shadesAreRelativeToTheLargestNumber() {
        assertEquals(List.of("#2563eb M0 0.5h1", "#1e3a8a M1 0.5h1"), all(CELLS, svg(2e-5, 1e-4)));
    }

    @Test
    void zeroIsLightestAndNoNumberIsNoCell() {
        String svg = svg(0, 1e-9, Double.NaN, 5, 5, 0);
        assertEquals(List.of("#eff6ff M0 0.5h2M5 0.5h1", "#1e3a8a M3 0.5h2"), all(CELLS, svg));
        assertTrue(svg.contains("<title>layer: 0 at step 0, 0 at step 50</title>"), svg);
    }

    /** A map of one row, with a step for each value. */
    private static String svg(double... values) {
        long[] steps = new long[values.length];
        for (int i = 0; i < steps.length; i++) {
            steps[i] = 10L * i;
        }
        return new HeatMap("flips", steps, List.of(new HeatMap.Row("layer", values))).toSvg();
    }

    /** Both groups of each match. */
    private static List<String> all(Pattern pattern, String svg) {
        return pattern.matcher(svg).results().map(match -> match.group(1) + " " + match.group(2)).toList();
    }
}
