package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.Engine;
import io.sterna.nn.GradientSink.Gradient;
import io.sterna.nn.GradientSink.Part;
import io.sterna.nn.LayerKind;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What becomes of gradients that are not finite, and of the norms that clip. */
class UpdaterTest {
    private static final long BAD_ROW = 20;

    private final Slices slices = new Slices(2);
    private final Workspace workspace = new Workspace();

    @AfterEach
    void close() {
        workspace.close();
        slices.close();
    }

    private Machinery machinery(Trainings t) {
        Machinery machinery = Machinery.of(t.config(), t.method(), t.optimizer(), t.schedule(), t.settings(),
                Kernels.best(), slices, slices.workers(), workspace);
        machinery.model().initialize(1);
        return machinery;
    }

    private static Parameter.Packed gate(Machinery machinery) {
        return (Parameter.Packed) machinery.model().parameters().stream()
                .filter(p -> p.kind() == LayerKind.GATE).findFirst().orElseThrow();
    }

    /** Large numbers, but for a NaN in a row. */
    private static Gradient gradient(long badRow) {
        return gradient(badRow, Float.NaN);
    }

    private static Gradient gradient(long badRow, float bad) {
        return (dw, accumulate, row0, row1, worker) -> {
            Random random = new Random(row0);
            for (long r = row0; r < row1; r++) {
                for (long c = 0; c < dw.cols(); c++) {
                    float g = r == badRow && c == 5 ? bad : (float) random.nextGaussian();
                    dw.set(r - row0, c, accumulate ? dw.get(r - row0, c) + g : g);
                }
            }
        };
    }

    private static byte[] codes(PackedMatrix w, long row0, long row1) {
        long bytes = w.grid().rowBytes(w.cols());
        return w.codes().asSlice(row0 * bytes, (row1 - row0) * bytes).toArray(ValueLayout.JAVA_BYTE);
    }

    @Test
    void aBadTileKeepsItsRowsAndTheOthersLearn() {
        Machinery machinery = machinery(Trainings.ternary().with(Schedule.constant(0.5, 0, 10)));
        PackedMatrix w = gate(machinery).weight();
        byte[] before = codes(w, 0, w.rows());
        machinery.updater().begin(1);
        machinery.updater().acceptAll(List.of(Part.of(gate(machinery), gradient(BAD_ROW))));
        machinery.updater().finish();
        assertFalse(machinery.updater().finite());
        long tile = Engine.tileRows(w.rows(), w.cols());
        long first = BAD_ROW / tile * tile;
        long bytes = w.grid().rowBytes(w.cols());
        byte[] after = codes(w, 0, w.rows());
        assertArrayEquals(Arrays.copyOfRange(before, (int) (first * bytes), (int) ((first + tile) * bytes)), codes(w, first, first + tile));
        for (long other = 0; other < w.rows(); other += tile) {
            boolean same = Arrays.equals(Arrays.copyOfRange(before, (int) (other * bytes), (int) ((other + tile) * bytes)),
                    Arrays.copyOfRange(after, (int) (other * bytes), (int) ((other + tile) * bytes)));
            assertEquals(other == first, same, "tile at row " + other);
        }
    }

    @Test
    void underAGlobalClipABadGradientChangesNothingAndIsForgotten() {
        Machinery machinery = machinery(Trainings.ternary().with(Clip.global(1)));
        Updater updater = machinery.updater();
        PackedMatrix w = gate(machinery).weight();
        byte[] before = codes(w, 0, w.rows());
        updater.begin(1);
        updater.acceptAll(List.of(Part.of(gate(machinery), gradient(BAD_ROW))));
        updater.finish();
        assertFalse(updater.finite());
        assertArrayEquals(before, codes(w, 0, w.rows()));
        updater.begin(2);
        updater.finish();
        assertTrue(updater.finite());
        assertEquals(0, updater.gradientNorm());
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY})
    void underAClipByTensorABadGradientKeepsItsTensorAlone(float bad) {
        Machinery machinery = machinery(Trainings.ternary().with(Schedule.constant(0.5, 0, 10)).with(Clip.tensor(1)));
        Updater updater = machinery.updater();
        Parameter.Packed up = (Parameter.Packed) machinery.model().parameters().stream()
                .filter(p -> p.kind() == LayerKind.UP).findFirst().orElseThrow();
        PackedMatrix kept = gate(machinery).weight();
        byte[] before = codes(kept, 0, kept.rows());
        byte[] other = codes(up.weight(), 0, up.rows());
        updater.begin(1);
        updater.acceptAll(List.of(Part.of(gate(machinery), gradient(BAD_ROW, bad)), Part.of(up, gradient(-1))));
        updater.finish();
        assertFalse(updater.finite());
        assertArrayEquals(before, codes(kept, 0, kept.rows()));
        assertFalse(Arrays.equals(other, codes(up.weight(), 0, up.rows())));
        assertFalse(Double.isFinite(updater.gradientNorm()));
    }

    @Test
    void theGradientsOfAStepThatWasBrokenOffAreForgotten() {
        Machinery machinery = machinery(Trainings.ternary().with(Clip.global(1)));
        Updater updater = machinery.updater();
        updater.begin(1);
        updater.acceptAll(List.of(Part.of(gate(machinery), gradient(-1))));
        updater.begin(2);
        updater.finish();
        assertTrue(updater.finite());
        assertEquals(0, updater.gradientNorm());
    }

    @Test
    void theNormIsThatOfTheGradient() {
        for (Clip clip : new Clip[] {Clip.NONE, Clip.tensor(1), Clip.global(1)}) {
            Machinery machinery = machinery(Trainings.ternary().with(clip));
            Parameter.Packed gate = gate(machinery);
            Gradient constant = (dw, accumulate, row0, row1, worker) -> {
                for (long r = 0; r < row1 - row0; r++) {
                    for (long c = 0; c < dw.cols(); c++) {
                        dw.set(r, c, row0 + r + 1);
                    }
                }
            };
            double expected = 0;
            for (long r = 0; r < gate.rows(); r++) {
                expected += gate.cols() * Math.pow(r + 1.0, 2);
            }
            machinery.updater().begin(1);
            machinery.updater().acceptAll(List.of(Part.of(gate, constant)));
            machinery.updater().finish();
            assertEquals(Math.sqrt(expected), machinery.updater().gradientNorm(), 1e-9 * Math.sqrt(expected), clip.toString());
        }
    }

    /** In the first step Adafactor's second moment is that of the gradient alone. */
    @Test
    void theHeadsBufferIsOfItsWeightsType() {
        float rate = 0.5f;
        Machinery machinery = machinery(Trainings.of(Method.dqt(Grid.TERNARY).withFloatType(FloatType.BF16))
                .with(OptimizerConfig.adafactor()).with(Schedule.constant(rate, 0, 10)));
        Parameter.Plain head = (Parameter.Plain) machinery.model().parameters().stream()
                .filter(p -> p.kind() == LayerKind.HEAD).findFirst().orElseThrow();
        double[][] before = values(head);
        double[][] g = new double[(int) head.rows()][(int) head.cols()];
        Random random = new Random(7);
        for (double[] row : g) {
            Arrays.setAll(row, c -> random.nextInt(1, 128) / 128.0 * (random.nextBoolean() ? 1 : -1)); // of bf16
        }
        machinery.updater().begin(1);
        machinery.updater().acceptAll(List.of(Part.of(head, (dw, accumulate, row0, row1, worker) -> {
            assertEquals(FloatType.BF16, dw.type());
            for (long r = row0; r < row1; r++) {
                for (long c = 0; c < dw.cols(); c++) {
                    dw.set(r - row0, c, (float) g[(int) r][(int) c]);
                }
            }
        })));
        machinery.updater().finish();
        assertTrue(machinery.updater().finite());
        double[] rows = Arrays.stream(g).mapToDouble(row -> Arrays.stream(row).map(x -> x * x).average().orElseThrow()).toArray();
        double mean = Arrays.stream(rows).average().orElseThrow();
        double[][] after = values(head);
        double[] cols = new double[(int) head.cols()];
        Arrays.setAll(cols, c -> Arrays.stream(g).mapToDouble(row -> row[c] * row[c]).average().orElseThrow());
        double squares = 0;
        for (int r = 0; r < head.rows(); r++) {
            for (int c = 0; c < head.cols(); c++) {
                squares += g[r][c] * g[r][c] / (rows[r] * cols[c] / mean);
            }
        }
        OptimizerConfig adafactor = OptimizerConfig.adafactor();
        double clip = Math.max(1, Math.sqrt(squares / head.size()) / adafactor.clip());
        double keep = 1 - rate * adafactor.weightDecay();
        for (int c = 0; c < head.cols(); c++) {
            for (int r = 0; r < head.rows(); r++) {
                double expected = before[r][c] * keep - rate / clip * g[r][c] / Math.sqrt(rows[r] * cols[c] / mean);
                assertEquals(expected, after[r][c], Math.abs(expected) / 128 + 1e-5, "(" + r + ", " + c + ")");
            }
        }
    }

    private static double[][] values(Parameter.Plain p) {
        double[][] values = new double[(int) p.rows()][(int) p.cols()];
        for (int r = 0; r < p.rows(); r++) {
            for (int c = 0; c < p.cols(); c++) {
                values[r][c] = p.weight().get(r, c);
            }
        }
        return values;
    }
}
