package io.sterna.kernel;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;

/**
 * A quick check, on this machine, that a tier's kernels give the reference's bytes where they must: random
 * numbers, quantization, the int8 products and the update of every grid. Thread-safe.
 */
public final class SelfTest {
    // Odd sizes, so that tails are part of it.
    private static final long TOKENS = 19;
    private static final long ROWS = 37;
    private static final long COLS = 203;
    private static final long SEED = 1;
    private static final float DEVIATION = 0.02f;

    private SelfTest() {}

    /** The checks that {@code tier} failed, by kernel; empty when all is well. */
    public static List<String> failures(Tier tier) {
        Kernels tested = Kernels.of(tier);
        return failures((grid, workspace) -> run(tested, grid, workspace));
    }

    /** The same of anything that makes results, so that a test can hand in wrong ones. */
    static List<String> failures(BiFunction<Grid, Workspace, List<Result>> tested) {
        List<String> failures = new ArrayList<>();
        Kernels reference = Kernels.of(Tier.REFERENCE);
        for (Grid grid : Grid.values()) {
            try (Workspace expected = new Workspace();
                    Workspace actual = new Workspace()) {
                compare(grid, run(reference, grid, expected), tested.apply(grid, actual), failures);
            }
        }
        return failures;
    }

    /** What a kernel wrote. */
    record Result(String kernel, MemorySegment bytes) {}

    static List<Result> run(Kernels kernels, Grid grid, Workspace workspace) {
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        MemorySegment scratch = section.allocate(Slices.SCRATCH_BYTES);
        FloatMatrix weights = FloatMatrix.allocate(section, FloatType.F32, ROWS, COLS);
        FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, TOKENS, COLS);
        kernels.normal(Kernels.key(SEED, 0, 0), DEVIATION, weights, 0, ROWS);
        kernels.normal(Kernels.key(SEED, 1, 0), 1, x, 0, TOKENS);
        PackedMatrix packed = PackedMatrix.allocate(section, grid, Scaling.ROW, ROWS, COLS);
        for (long row = 0; row < ROWS; row++) {
            packed.scales().setAtIndex(ValueLayout.JAVA_FLOAT, row, 2 * DEVIATION / grid.qp());
        }
        kernels.encode(weights, packed, 0, ROWS);
        QuantizedMatrix quantized = QuantizedMatrix.allocate(section, TOKENS, COLS);
        kernels.quantize(x, quantized, 0, TOKENS);
        FloatMatrix y = FloatMatrix.allocate(section, FloatType.F32, TOKENS, ROWS);
        kernels.linear(quantized, packed, y, null, 0, ROWS, scratch);
        QuantizedMatrix byToken = QuantizedMatrix.allocate(section, TOKENS, ROWS);
        QuantizedGradient byFeature = QuantizedGradient.allocate(section, ROWS, TOKENS);
        kernels.quantizeGradient(y, packed, quantized, byToken, byFeature, 0, Kernels.key(SEED, 3, 1), 0, TOKENS);
        FloatMatrix dx = FloatMatrix.allocate(section, FloatType.F32, TOKENS, COLS);
        FloatMatrix dw = FloatMatrix.allocate(section, FloatType.F32, ROWS, COLS);
        kernels.inputGradient(byToken, packed, dx, false, 0, TOKENS, scratch);
        kernels.weightGradient(byFeature, quantized, dw, false, 0, ROWS, scratch);
        try (Arena arena = Arena.ofConfined()) {
            kernels.updatePacked(packed, weights, 1, Kernels.key(SEED, 2, 1), Rounding.STOCHASTIC,
                    arena.allocate(ValueLayout.JAVA_LONG), 0, ROWS);
        }
        return List.of(
                new Result("normal", weights.data()),
                new Result("linear", y.data()),
                new Result("input_gradient_int8", dx.data()),
                new Result("weight_gradient_int8", dw.data()),
                new Result("update_packed", packed.codes()));
    }

    private static void compare(Grid grid, List<Result> expected, List<Result> actual, List<String> failures) {
        for (int i = 0; i < expected.size(); i++) {
            if (expected.get(i).bytes.mismatch(actual.get(i).bytes) >= 0) {
                failures.add(expected.get(i).kernel + " of " + grid);
            }
        }
    }
}
