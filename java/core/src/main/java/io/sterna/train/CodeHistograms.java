package io.sterna.train;

import io.sterna.kernel.Kernels;
import io.sterna.nn.Parameter;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** How often each code occurs in each packed layer. */
final class CodeHistograms {
    private static final int COUNTERS = 256;

    private CodeHistograms() {}

    static List<Report.Histogram> of(List<Parameter> parameters, Kernels kernels) {
        List<Report.Histogram> histograms = new ArrayList<>();
        for (Parameter parameter : parameters) {
            if (parameter instanceof Parameter.Packed p) {
                String layer = p.name().replace("model.layers.", "").replace("_proj.weight", "");
                histograms.add(new Report.Histogram(layer, p.weight().grid().qn(), shares(p.weight(), kernels)));
            }
        }
        return histograms;
    }

    /** The share of each code Qn ... Qp. */
    private static double[] shares(PackedMatrix w, Kernels kernels) {
        Grid grid = w.grid();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment counts = arena.allocate(ValueLayout.JAVA_LONG, COUNTERS);
            kernels.histogram(w, counts, 0, w.rows());
            double[] shares = new double[grid.qp() - grid.qn() + 1];
            for (int i = 0; i < shares.length; i++) {
                shares[i] = (double) counts.getAtIndex(ValueLayout.JAVA_LONG, i) / (w.rows() * w.cols());
            }
            return shares;
        }
    }
}
