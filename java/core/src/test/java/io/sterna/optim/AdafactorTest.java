package io.sterna.optim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Adafactor against its formulas in float64. */
class AdafactorTest {
    private static final int ROWS = 37;
    private static final int COLS = 70;
    private static final int TILE_ROWS = 16;
    private static final float RATE = 0.01f;
    private static final float FACTOR = 0.5f;

    private final Workspace workspace = new Workspace();
    private final Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
    private final OptimizerConfig config = OptimizerConfig.adafactor();
    private final Optimizer optimizer = Optimizer.of(config, Kernels.best(), workspace,
            List.of(new TiledGradient.Size(ROWS, COLS, TILE_ROWS)));
    private final Optimizer.State state = optimizer.allocate(section, ROWS, COLS);
    private final FloatMatrix g = FloatMatrix.allocate(section, FloatType.F32, ROWS, COLS);

    private final FloatMatrix window = FloatMatrix.window(section);
    private final TiledGradient tiled = new TiledGradient() {
        @Override
        public Size size() {
            return new Size(ROWS, COLS, TILE_ROWS);
        }

        @Override
        public void forEach(TileBody body) {
            for (long r0 = 0; r0 < ROWS; r0 += TILE_ROWS) {
                long r1 = Math.min(ROWS, r0 + TILE_ROWS);
                body.run(window.overRows(g, r0, r1), r0, r1);
            }
        }
    };

    @AfterEach
    void close() {
        workspace.close();
    }

    @Test
    void followsTheFormulas() {
        double[] r = new double[ROWS];
        double[] c = new double[COLS];
        Random random = new Random(1);
        for (int step = 1; step <= 5; step++) {
            double[][] x = new double[ROWS][COLS];
            for (int i = 0; i < ROWS; i++) {
                for (int j = 0; j < COLS; j++) {
                    g.set(i, j, (float) (random.nextGaussian() * (1 + i) * 1e-3));
                    x[i][j] = g.get(i, j) * FACTOR;
                }
            }
            optimizer.begin(step);
            assertTrue(optimizer.prepare(state, new Optimizer.TensorStep(RATE, FACTOR, 9), tiled));
            assertTrue(optimizer.delta(state, g, section.allocate(ROWS * 8), 0, ROWS));
            double[][] expected = expected(x, r, c, 1 - Math.pow(step, -0.8));
            for (int i = 0; i < ROWS; i++) {
                for (int j = 0; j < COLS; j++) {
                    assertEquals(expected[i][j], g.get(i, j), 1e-5 * RATE, "step " + step + " (" + i + ", " + j + ")");
                }
            }
        }
    }

    /** The delta of gradient x, after folding it into the row and column means r and c. */
    private double[][] expected(double[][] x, double[] r, double[] c, double beta2) {
        double[] rows = new double[ROWS];
        double[] cols = new double[COLS];
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < COLS; j++) {
                rows[i] += (x[i][j] * x[i][j] + config.epsilon()) / COLS;
                cols[j] += (x[i][j] * x[i][j] + config.epsilon()) / ROWS;
            }
        }
        double mean = 0;
        for (int i = 0; i < ROWS; i++) {
            r[i] = beta2 * r[i] + (1 - beta2) * rows[i];
            mean += r[i] / ROWS;
        }
        for (int j = 0; j < COLS; j++) {
            c[j] = beta2 * c[j] + (1 - beta2) * cols[j];
        }
        double squares = 0;
        double[][] u = new double[ROWS][COLS];
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < COLS; j++) {
                u[i][j] = x[i][j] / Math.sqrt(r[i] * c[j] / mean);
                squares += u[i][j] * u[i][j];
            }
        }
        double clip = Math.max(1, Math.sqrt(squares / (ROWS * COLS)) / config.clip());
        for (double[] row : u) {
            for (int j = 0; j < COLS; j++) {
                row[j] *= RATE / clip;
            }
        }
        return u;
    }

    @Test
    void aGradientThatIsNotFiniteChangesNothing() {
        g.set(3, 4, Float.NaN);
        optimizer.begin(1);
        assertFalse(optimizer.prepare(state, new Optimizer.TensorStep(RATE, 1, 9), tiled));
        assertEquals(0, state.moments().get("r").data().get(ValueLayout.JAVA_FLOAT, 0));
    }
}
