package io.sterna.train;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** How often each code occurs in each layer. */
final class CodeHistograms {
    private static final int COUNTERS = 256;

    private CodeHistograms() {}

    /** @param codes by name of the tensor */
    static List<Report.Histogram> of(Map<String, PackedMatrix> codes, Kernels kernels) {
        List<Report.Histogram> histograms = new ArrayList<>();
        codes.forEach((name, w) -> histograms.add(new Report.Histogram(name, w.grid().qn(), shares(w, kernels))));
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
