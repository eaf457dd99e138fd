package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.AdamWStep;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.rng.SrKey;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.StateType;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Stochastic rounding as statistics. A test statistic is standard normal when the rounding is right, and may be
 * {@value #LIMIT} in magnitude: a sound generator exceeds that once in 5e8 statistics, and fewer than 1e5 are
 * taken here, so a false alarm has a chance below 2e-4. The seeds are fixed, so a result never varies.
 */
class StochasticRoundingTest {
    private static final double LIMIT = 6;
    private static final int ROWS = 37;
    private static final int COLS = 200;
    private static final float SCALE = 0.25f;

    private final Kernels kernels = Kernels.best();
    private final Workspace workspace = new Workspace();
    private final Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
    private final MemorySegment flips = section.allocate(Long.BYTES);
    private final FloatMatrix delta = floats();
    private final FloatMatrix floats = floats();

    @AfterEach
    void close() {
        workspace.close();
    }

    private FloatMatrix floats() {
        return FloatMatrix.allocate(section, FloatType.F32, ROWS, COLS);
    }

    private PackedMatrix packed(Grid grid) {
        PackedMatrix w = PackedMatrix.allocate(section, grid, Scaling.ROW, ROWS, COLS);
        for (int r = 0; r < ROWS; r++) {
            w.scales().setAtIndex(ValueLayout.JAVA_FLOAT, r, SCALE);
        }
        return w;
    }

    /** Any codes of the grid, the ends included. */
    private static Matrix randomCodes(Grid grid) {
        Matrix codes = new Matrix(ROWS, COLS);
        Random random = new Random(grid.ordinal());
        int count = (grid.qp() - grid.qn()) / grid.step() + 1;
        Arrays.setAll(codes.data(), i -> grid.qn() + grid.step() * random.nextInt(count));
        return codes;
    }

    private void encode(Matrix codes, PackedMatrix w) {
        for (int i = 0; i < codes.data().length; i++) {
            floats.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) codes.data()[i] * SCALE);
        }
        kernels.encode(floats, w, 0, ROWS);
    }

    /** The codes after an update that aims at z (ROWS, COLS), in grid steps. */
    private Matrix round(PackedMatrix w, Matrix codes, Matrix z, float keep, long key) {
        for (int i = 0; i < z.data().length; i++) {
            delta.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) ((codes.data()[i] * keep - z.data()[i]) * SCALE));
        }
        encode(codes, w);
        assertTrue(kernels.updatePacked(w, delta, keep, key, Rounding.STOCHASTIC, flips, 0, ROWS));
        return Snapshot.codes(w);
    }

    /** Values between the codes of a grid, in 32nds, so that floats hold them exactly; some beyond its ends. */
    private static Matrix randomAims(Grid grid) {
        Matrix z = new Matrix(ROWS, COLS);
        Random random = new Random(100 + grid.ordinal());
        int low = 32 * (grid.qn() - 1);
        int high = 32 * (grid.qp() + 1);
        Arrays.setAll(z.data(), i -> random.nextInt(low, high + 1) / 32.0);
        return z;
    }

    @ParameterizedTest
    @EnumSource(Grid.class)
    void isUnbiasedEverywhereOnTheGrid(Grid grid) {
        int seeds = 4;
        int steps = 32;
        PackedMatrix w = packed(grid);
        Matrix codes = randomCodes(grid);
        Matrix z = randomAims(grid);
        double[] errors = new double[z.data().length];
        for (int seed = 0; seed < seeds; seed++) {
            for (int step = 1; step <= steps; step++) {
                Matrix rounded = round(w, codes, z, 0.5f, SrKey.of(seed, 3, step));
                for (int i = 0; i < errors.length; i++) {
                    errors[i] += rounded.data()[i] - Math.clamp(z.data()[i], grid.qn(), grid.qp());
                }
            }
        }
        double sum = 0;
        double variance = 0;
        for (int i = 0; i < errors.length; i++) {
            double place = (Math.clamp(z.data()[i], grid.qn(), grid.qp()) - grid.qn()) / grid.step();
            double share = place - Math.floor(place);
            double each = share * (1 - share) * grid.step() * grid.step() * seeds * steps;
            if (each == 0) {
                assertEquals(0, errors[i], "z on a code, or beyond the end, is no chance: " + z.data()[i]);
            } else if (share > 0.2 && share < 0.8) { // elsewhere so few steps are too few for a normal distribution
                assertEquals(0, errors[i] / Math.sqrt(each), LIMIT, "element " + i + " at " + z.data()[i]);
            }
            sum += errors[i];
            variance += each;
        }
        assertTrue(variance > 1000);
        assertEquals(0, sum / Math.sqrt(variance), LIMIT, "all elements together");
    }

    /** At each end, and just inside: never beyond, and right on average. */
    @ParameterizedTest
    @EnumSource(Grid.class)
    void isUnbiasedAtTheEnds(Grid grid) {
        PackedMatrix w = packed(grid);
        for (int end : new int[] {grid.qn(), grid.qp()}) {
            int inward = end == grid.qn() ? 1 : -1;
            Matrix codes = new Matrix(ROWS, COLS);
            Matrix z = new Matrix(ROWS, COLS);
            Arrays.fill(codes.data(), end);
            for (double share : new double[] {-1000, -0.5, 0, 1 / 64.0, 0.25, 0.5}) {
                Arrays.fill(z.data(), end + inward * share * grid.step());
                double[] left = {0};
                for (int step = 1; step <= 8; step++) {
                    for (double code : round(w, codes, z, 1, SrKey.of(9, 4, step)).data()) {
                        assertTrue(code == end || code == end + inward * grid.step(), "code " + code);
                        left[0] += code == end ? 0 : 1;
                    }
                }
                double n = 8.0 * ROWS * COLS;
                double expected = Math.max(share, 0);
                assertEquals(expected * n, left[0], LIMIT * Math.sqrt(n * expected * (1 - expected)), grid + " " + end + " share " + share);
            }
        }
    }

    /** Half of the weights move, and which ones do tells nothing about any other. */
    @Test
    void elementsStepsTensorsAndSeedsAreIndependent() {
        int steps = 64;
        double[][] here = coins(1, 3, 1, steps);
        for (int distance : new int[] {1, 2, 4, 8, 15, 16, 17, 32, 63, 64, 65, 128, COLS - 1, COLS, COLS + 1, 2 * COLS}) {
            assertIndependent(here, here, distance, "elements " + distance + " apart");
        }
        for (int later = 1; later <= 4; later++) {
            assertIndependent(here, coins(1, 3, 1 + later, steps), 0, "steps " + later + " apart");
            assertIndependent(here, coins(1, 3 + later, 1, steps), 0, "tensors " + later + " apart");
            assertIndependent(here, coins(1 + later, 3, 1, steps), 0, "seeds " + later + " apart");
            assertIndependent(here, coins(1, 3, 1 + later, steps), 1, "neighbours in steps " + later + " apart");
        }
    }

    /** For each step and element: -1 when the weight stayed, 1 when it moved, each with probability 1/2. */
    private double[][] coins(long seed, int tensor, int firstStep, int steps) {
        Matrix codes = new Matrix(ROWS, COLS);
        Matrix z = new Matrix(ROWS, COLS);
        Arrays.fill(z.data(), 0.5);
        PackedMatrix w = packed(Grid.TERNARY);
        double[][] coins = new double[steps][];
        for (int step = 0; step < steps; step++) {
            Matrix rounded = round(w, codes, z, 1, SrKey.of(seed, tensor, firstStep + step));
            coins[step] = Arrays.stream(rounded.data()).map(code -> 2 * code - 1).toArray();
        }
        return coins;
    }

    private static void assertIndependent(double[][] a, double[][] b, int distance, String what) {
        double sum = 0;
        long pairs = 0;
        for (int step = 0; step < a.length; step++) {
            for (int i = 0; i + distance < a[step].length; i++) {
                sum += a[step][i] * b[step][i + distance];
                pairs++;
            }
        }
        assertEquals(0, sum / Math.sqrt(pairs), LIMIT, what);
    }

    /** Every tier that this machine grants, whole and in two, three and eight slices: the oracle's codes. */
    @ParameterizedTest
    @EnumSource(Grid.class)
    void tiersAndSlicesDoNotMatter(Grid grid) {
        Matrix codes = randomCodes(grid);
        Random random = new Random(7);
        for (long i = 0; i < (long) ROWS * COLS; i++) {
            delta.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextInt(-64, 65) / 32f * SCALE);
        }
        long key = SrKey.of(5, 6, 7);
        Matrix expected = new Matrix(ROWS, COLS);
        Arrays.setAll(expected.data(), i -> UpdateOracle.round(grid,
                codes.data()[i] * 0.75 - delta.data().getAtIndex(ValueLayout.JAVA_FLOAT, i) / SCALE,
                UpdateOracle.uniform(key, i / COLS, i % COLS, COLS)));
        for (Tier tier : granted()) {
            for (int count : new int[] {1, 2, 3, 8}) {
                PackedMatrix w = packed(grid);
                encode(codes, w);
                updateInSlices(Kernels.of(tier), w, key, count);
                assertArrayEquals(expected.data(), Snapshot.codes(w).data(), tier + " in " + count + " slices");
            }
        }
    }

    /** As many threads as slices, each with rows of its own. */
    private void updateInSlices(Kernels on, PackedMatrix w, long key, int count) {
        MemorySegment counters = section.allocate(count * Workspace.ALIGNMENT);
        FloatMatrix[] windows = Stream.generate(() -> FloatMatrix.window(section)).limit(count).toArray(FloatMatrix[]::new);
        try (Slices slices = new Slices(count)) {
            slices.tiles(ROWS, Math.ceilDiv(ROWS, count), (r0, r1, worker) -> assertTrue(on.updatePacked(w,
                    windows[worker.index()].overRows(delta, r0, r1), 0.75f, key, Rounding.STOCHASTIC,
                    counters.asSlice(worker.index() * Workspace.ALIGNMENT, Long.BYTES), r0, r1)));
        }
    }

    private static List<Tier> granted() {
        return Arrays.stream(Tier.values()).filter(tier -> tier.compareTo(Tier.granted()) <= 0).toList();
    }

    /** Wherever a NaN or an infinity stands, neither a code nor the count of flips changes. */
    @ParameterizedTest
    @EnumSource(Grid.class)
    void aDeltaThatIsNotFiniteChangesNothing(Grid grid) {
        PackedMatrix w = packed(grid);
        Matrix codes = randomCodes(grid);
        encode(codes, w);
        assertArrayEquals(codes.data(), Snapshot.codes(w).data());
        flips.set(ValueLayout.JAVA_LONG, 0, 17);
        for (Tier tier : granted()) {
            for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
                for (long at : new long[] {0, 63, COLS - 1, 3 * COLS + 77, (long) ROWS * COLS - 1}) {
                    for (long i = 0; i < (long) ROWS * COLS; i++) {
                        delta.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, i == at ? bad : 100);
                    }
                    assertFalse(Kernels.of(tier).updatePacked(w, delta, 0.5f, 1, Rounding.STOCHASTIC, flips, 0, ROWS));
                    assertArrayEquals(codes.data(), Snapshot.codes(w).data());
                }
            }
        }
        assertEquals(17, flips.get(ValueLayout.JAVA_LONG, 0));
    }

    /** The optimizer refuses such a gradient before it touches its state. */
    @ParameterizedTest
    @EnumSource(StateType.class)
    void aGradientThatIsNotFiniteLeavesTheStateAlone(StateType type) {
        for (Tier tier : granted()) {
            Moment m = Moment.allocate(section, type, ROWS, COLS);
            Moment v = Moment.allocate(section, type, ROWS, COLS);
            AdamWStep step = new AdamWStep(section);
            step.constants(0.9f, 0.999f, 1e-6f, 10, 1000);
            step.tensor(1e-3f, 1, 5);
            MemorySegment squares = section.allocate(ROWS * Double.BYTES);
            FloatMatrix g = floats();
            fill(g);
            assertTrue(Kernels.of(tier).adamw(step, g, m, v, squares, 0, ROWS));
            byte[] before = bytes(m, v);
            for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, 1e30f}) {
                fill(g);
                g.set(ROWS - 1, COLS - 1, bad);
                byte[] gradient = g.data().toArray(ValueLayout.JAVA_BYTE);
                assertFalse(Kernels.of(tier).adamw(step, g, m, v, squares, 0, ROWS));
                assertArrayEquals(before, bytes(m, v), tier + " " + bad);
                assertArrayEquals(gradient, g.data().toArray(ValueLayout.JAVA_BYTE));
            }
        }
    }

    private static void fill(FloatMatrix g) {
        Random random = new Random(3);
        for (long i = 0; i < (long) ROWS * COLS; i++) {
            g.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
    }

    private static byte[] bytes(Moment m, Moment v) {
        MemorySegment[] parts = {m.data(), m.scales(), v.data(), v.scales()};
        byte[] all = new byte[Arrays.stream(parts).mapToInt(part -> (int) part.byteSize()).sum()];
        int at = 0;
        for (MemorySegment part : parts) {
            MemorySegment.copy(part, ValueLayout.JAVA_BYTE, 0, all, at, (int) part.byteSize());
            at += (int) part.byteSize();
        }
        return all;
    }
}
