package io.sterna.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** Scales and codes of the initial weights, which are normal with deviation 0.02. */
class InitializerTest {
    private static final int ROWS = 300;
    private static final int COLS = 320;
    /** mean|x| of a standard normal. */
    private static final double MEAN_ABS = Math.sqrt(2 / Math.PI);

    private interface Look {
        void at(PackedMatrix w, Workspace workspace, Slices slices);
    }

    private static void fill(Grid grid, Scaling scaling, ScaleRule rule, int threads, Look look) {
        try (Slices slices = new Slices(threads); Workspace workspace = new Workspace()) {
            PackedMatrix w = PackedMatrix.allocate(workspace.section(MemoryKind.PACKED_WEIGHTS), grid, scaling, ROWS, COLS);
            Engine engine = new Engine(Kernels.best(), slices, threads, workspace, COLS);
            new Initializer(engine, rule, 42).fill(new Parameter.Packed(7, "w", LayerKind.Q, w));
            look.at(w, workspace, slices);
        }
    }

    private static long[] histogram(PackedMatrix w, Workspace workspace) {
        MemorySegment counts = workspace.section(MemoryKind.SCRATCH).allocate(256 * Long.BYTES);
        Kernels.best().histogram(w, counts, 0, w.rows());
        return counts.toArray(ValueLayout.JAVA_LONG);
    }

    @Test
    void thePapersGridClipsTheTails() {
        fill(Grid.INT8, Scaling.TENSOR, ScaleRule.ABSMEAN, 2, (w, workspace, slices) -> {
            double scale = w.scales().get(ValueLayout.JAVA_FLOAT, 0);
            assertEquals(0.02 * MEAN_ABS / 127, scale, 0.01 * scale);
            long[] counts = histogram(w, workspace);
            double ends = (double) (counts[0] + counts[255]) / (ROWS * COLS);
            assertEquals(0.42, ends, 0.01); // P(|x| > mean|x|) of a normal
        });
    }

    @Test
    void ternaryHoldsOneThirdOfEach() {
        fill(Grid.TERNARY, Scaling.TENSOR, ScaleRule.ABSMEAN, 2, (w, workspace, slices) -> {
            long[] counts = histogram(w, workspace);
            double zeros = (double) counts[1] / (ROWS * COLS);
            assertEquals(0.310, zeros, 0.01); // P(|x| < mean|x| / 2)
            assertEquals(1, (double) counts[0] / counts[2], 0.03);
        });
    }

    @Test
    void rowsAndGroupsHaveScalesOfTheirOwn() {
        fill(Grid.INT4, Scaling.ROW, ScaleRule.ABSMAX, 2, (w, workspace, slices) -> {
            FloatMatrix x = FloatMatrix.allocate(workspace.section(MemoryKind.SCRATCH), FloatType.F32, ROWS, COLS);
            Kernels.best().decode(w, x, 0, ROWS);
            for (int r = 0; r < ROWS; r++) {
                float largest = 0;
                for (int c = 0; c < COLS; c++) {
                    largest = Math.max(largest, Math.abs(x.get(r, c)));
                }
                float scale = w.scales().getAtIndex(ValueLayout.JAVA_FLOAT, r);
                assertEquals(7 * scale, largest, 1e-6, "the largest weight of row " + r + " is at the end of the grid");
            }
        });
        fill(Grid.INT4, Scaling.group(128), ScaleRule.sigma(3), 2, (w, workspace, slices) -> {
            assertEquals(ROWS * 3 * Float.BYTES, w.scales().byteSize());
            double sum = 0;
            for (int i = 0; i < ROWS * 3; i++) {
                sum += w.scales().getAtIndex(ValueLayout.JAVA_FLOAT, i);
            }
            assertEquals(3 * 0.02 / 7, sum / (ROWS * 3), 1e-4);
        });
    }

    @Test
    void threadsDoNotMatterAndSeedsDo() {
        byte[][] codes = new byte[2][];
        for (int i = 0; i < 2; i++) {
            int n = i;
            fill(Grid.INT8, Scaling.ROW, ScaleRule.sigma(2.5), 1 + 2 * i, (w, workspace, slices) ->
                    codes[n] = w.codes().toArray(ValueLayout.JAVA_BYTE));
        }
        assertArrayEquals(codes[0], codes[1]);
        assertNotEquals(Kernels.key(42, 7, 0), Kernels.key(43, 7, 0));
    }

    @Test
    void aRowOfZerosHasAScale() {
        assertTrue(ScaleRule.ABSMEAN.scale(0, 0, 0, 0, 100, 127) > 0);
        assertTrue(ScaleRule.sigma(3).scale(0, 0, 0, 0, 100, 1) > 0);
    }
}
