package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.nn.Parameter;
import io.sterna.nn.ScaleRule;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.train.ConfigException;
import io.sterna.train.PreparedData;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ModelConverterTest {
    private static final int[] TOKENS = {256, 't', 'h', 'e', ' ', 't', 'e', 'r', 'n'};

    @TempDir
    private static Path folder;

    private static Path out(String name) {
        return folder.resolve("out-" + name.replace(' ', '-').replace(':', '-'));
    }

    private static ModelConverter ternary(Scaling scaling) {
        return new ModelConverter(Grid.TERNARY, scaling, ScaleRule.ABSMEAN, null);
    }

    /** Trained ternary, deployed ternary, converted to ternary: the same numbers. */
    @ParameterizedTest
    @ValueSource(strings = {"bits 8 forward ternary", "method bitnet", "bits 1.58", "method bitnet head-dim 20", "bits 1.58 sub-ln false head-dim 6"})
    void aTernaryForwardStaysWhatItWas(String settings) throws IOException {
        Path run = TinyModel.train(folder, settings.split(" "));
        ternary(Scaling.TENSOR).convert(run, out(settings));
        float[] trained = TinyModel.trainingLogits(run, TOKENS)[TOKENS.length - 1];
        float[] deployed = logits(run, null);
        assertArrayEquals(deployed, logits(out(settings), null), "as deployed");
        assertArrayEquals(trained, deployed, "as trained");
    }

    /** Every weight by hand, from the stored ones: gamma is the mean of |w| in a row, the code round(w / gamma). */
    @Test
    void weightsAreTernarisedByRow() throws IOException {
        Path run = TinyModel.train(folder, "method", "fp32");
        ternary(Scaling.ROW).convert(run, out("row"));
        try (Model floats = Model.load(run); Model converted = Model.load(out("row"))) {
            List<Parameter> from = floats.llama().parameters();
            List<Parameter> to = converted.llama().parameters();
            int compared = 0;
            for (int i = 0; i < from.size(); i++) {
                if (to.get(i) instanceof Parameter.Packed packed) {
                    compared += compare(((Parameter.Plain) from.get(i)).weight(), packed.weight());
                }
            }
            assertTrue(compared > 2 * (2 * 48 * 48 + 3 * 48 * 112), compared + " weights");
        }
    }

    private static int compare(FloatMatrix from, PackedMatrix to) {
        long rowBytes = to.grid().rowBytes(to.cols());
        for (long r = 0; r < from.rows(); r++) {
            double sum = 0;
            for (long c = 0; c < from.cols(); c++) {
                sum += Math.abs(from.get(r, c));
            }
            float gamma = (float) Math.max(sum / from.cols(), 1e-5);
            assertEquals(gamma, to.scales().getAtIndex(ValueLayout.JAVA_FLOAT, r), 1e-6 * gamma);
            for (long c = 0; c < from.cols(); c++) {
                long inBlock = c % 64; // planes of 2 bits: byte i holds weights i, i + 16, i + 32, i + 48
                int bits = to.codes().get(ValueLayout.JAVA_BYTE, r * rowBytes + c / 64 * 16 + inBlock % 16) >> 2 * (inBlock / 16) & 3;
                double quotient = from.get(r, c) / gamma;
                int expected = (int) Math.clamp(Math.rint(quotient), -1, 1);
                boolean tie = Math.abs(Math.abs(quotient) - 0.5) < 1e-5;
                assertTrue(tie || expected == (bits << 30 >> 30), r + " " + c + ": " + quotient);
            }
        }
        return Math.toIntExact(from.rows() * from.cols());
    }

    @ParameterizedTest
    @ValueSource(strings = {"1", "2", "3", "8"})
    void widthsAndScalesAreThoseAskedFor(String width) throws IOException {
        Path run = TinyModel.train(folder, "bits", "8", "scale", "row");
        Grid grid = Grid.ofWidth(width);
        ModelConverter converter = new ModelConverter(grid, Scaling.group(64), ScaleRule.ABSMAX, FloatType.BF16);
        converter.convert(run, out(width));
        try (Model converted = Model.load(out(width))) {
            assertEquals(grid, converted.method().grid());
            assertEquals(Scaling.group(64), converted.method().scaling());
            assertEquals(FloatType.BF16, converted.method().floatType());
        }
        if (grid == Grid.INT8) {
            float[] before = logits(run, null);
            assertArrayEquals(before, logits(out(width), null), (float) (0.1 * amplitude(before)), "8 bits cost little");
        }
        assertThrows(ConfigException.class, () -> converter.convert(run, out(width)), "the folder is taken");
    }

    @Test
    void floatsMayBeLoadedInBf16() throws IOException {
        Path run = TinyModel.train(folder, "bits", "1.58");
        float[] exact = logits(run, null);
        float[] rounded = logits(run, FloatType.BF16);
        assertArrayEquals(exact, rounded, (float) (0.05 * amplitude(exact)));
        assertArrayEquals(exact, logits(run, FloatType.F32));
        try (Model half = Model.load(run, PreparedData.TokenizerLoader.BPE, FloatType.BF16, 1); Model whole = Model.load(run)) {
            FloatMatrix head = ((Parameter.Plain) half.llama().parameters().getLast()).weight();
            FloatMatrix stored = ((Parameter.Plain) whole.llama().parameters().getLast()).weight();
            assertEquals(stored.get(5, 7), head.get(5, 7), Math.abs(stored.get(5, 7)) * 0x1p-8);
            assertEquals(FloatType.BF16, head.type());
        }
        Path floats = TinyModel.train(folder, "method", "fp32");
        String message = assertThrows(ConfigException.class, () -> logits(floats, FloatType.BF16)).getMessage();
        assertTrue(message.contains("method fp32 needs f32"), message);
    }

    @Test
    void whatIsMissingIsNamedAtOnce() {
        assertEquals("grid", assertThrows(NullPointerException.class,
                () -> new ModelConverter(null, Scaling.ROW, ScaleRule.ABSMAX, null)).getMessage());
    }

    private static float[] logits(Path model, FloatType floatType) throws IOException {
        try (Model loaded = Model.load(model, PreparedData.TokenizerLoader.BPE, floatType, 1);
                Session session = loaded.session(SessionOptions.of(loaded).withCacheType(FloatType.F32))) {
            session.append(TOKENS);
            float[] logits = new float[loaded.config().vocab()];
            session.logits(logits);
            return logits;
        }
    }

    private static double amplitude(float[] x) {
        double largest = 0;
        for (float v : x) {
            largest = Math.max(largest, Math.abs(v));
        }
        return largest;
    }
}
