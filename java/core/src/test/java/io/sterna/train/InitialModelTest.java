package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.infer.TinyModel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InitialModelTest {
    private static final String FLOATS = "method fp32 steps 60";

    @TempDir
    private static Path folder;
    private static double floatLoss;

    @BeforeAll
    static void theFloatModelGoesOn() throws IOException {
        floatLoss = firstLoss(tune(FLOATS, "method fp32 steps 1"));
        double untrained = firstLoss(TinyModel.train(folder, words(FLOATS)));
        assertTrue(floatLoss < untrained - 0.5, floatLoss + " of " + untrained);
    }

    /** What quantizing at the start costs, in nats a token; inputs in int8 included. */
    @ParameterizedTest
    @CsvSource({"steps 1, 0.01", "bits 8 forward stored steps 1, 0.01", "bits 6 steps 1, 0.03", "bits 8 scale group:64 steps 1, 0.01",
        "method bf16 steps 1, 0.01"})
    void theFirstLossIsThatOfTheFloatModel(String settings, double bound) throws IOException {
        assertEquals(floatLoss, firstLoss(tune(FLOATS, settings)), bound);
    }

    @ParameterizedTest
    @CsvSource({"dqt, 8, row, absmax, steps 1", "dqt, 1.58, row, absmean, bits 1.58 steps 1", "dqt, 4, tensor, absmax, bits 4 scale tensor steps 1",
        "bitnet, , tensor, absmean, method bitnet steps 1"})
    void floatsAreQuantizedByRow(String method, String bits, String scale, String rule, String settings) throws IOException {
        TrainConfig config = ModelFolder.open(tune(FLOATS, settings)).config();
        assertEquals(List.of(method, scale, rule), List.of(config.method, config.scale, config.scaleRule));
        assertEquals(bits, config.bits);
        assertFalse(config.subLn);
    }

    @Test
    void tuningLowersTheLoss() throws IOException {
        List<Double> losses = losses(tune(FLOATS, "steps 40 lr 3e-3"));
        assertTrue(mean(losses.subList(35, 40)) < 0.8 * mean(losses.subList(0, 5)), losses.toString());
    }

    /** Codes stay as they are when neither the grid nor its scales change: a training of no effect changes nothing. */
    @Test
    void aQuantizedModelGoesOnInItsCodes() throws IOException {
        for (String settings : List.of("bits 3 scale row", "bits 1.58", "bits 8 forward ternary", "method bitnet")) {
            Path model = TinyModel.train(folder, words(settings));
            Path tuned = tune(settings, "lr 1e-30 steps 1");
            Map<String, Object> before = new HashMap<>(ModelFolder.open(model).config().toMap());
            Map<String, Object> after = ModelFolder.open(tuned).config().toMap();
            for (String key : List.of("method", "bits", "forward", "scale", "scale-rule", "sub-ln", "hidden", "vocab")) {
                assertEquals(before.get(key), after.get(key), key);
            }
            assertArrayEquals(codes(model), codes(tuned), settings);
        }
    }

    @Test
    void aRuleForScalesThatStayIsRefused() {
        ConfigException e = assertThrows(ConfigException.class, () -> tune("bits 3 scale row", "scale-rule absmax steps 1"));
        assertTrue(e.getMessage().startsWith("scale-rule absmax: the model"), e.getMessage());
    }

    @Test
    void anotherWidthIsReached() throws IOException {
        Path ternary = tune("bits 8", "bits 1.58 steps 20 lr 1e-2");
        assertEquals("1.58", ModelFolder.open(ternary).config().bits);
        Path floats = tune("bits 8", "method fp32 steps 1");
        assertEquals(firstLoss(tune("bits 8", "steps 1")), firstLoss(floats), 0.01);
    }

    /** In floats and in codes, resumed and converted too. */
    @Test
    void headsOfAnotherWidthGoOn() throws IOException {
        for (String settings : List.of("method fp32 head-dim 20", "bits 8 head-dim 6")) {
            Path tuned = tune(settings, "steps 2");
            assertEquals(ModelFolder.open(TinyModel.train(folder, words(settings))).model().headDim(), ModelFolder.open(tuned).model().headDim());
            Path again = folder.resolve("halves-of-" + settings.replace(' ', '-'));
            try (TrainingRun run = TrainingRun.open(config(settings, "steps 2 stop-after 1", again), TrainListener.NONE)) {
                assertFalse(run.train().finished());
            }
            try (TrainingRun run = TrainingRun.resume(again, Map.of("stop-after", 2), TrainListener.NONE)) {
                assertTrue(run.train().finished());
            }
            assertArrayEquals(codes(tuned), codes(again));
        }
        tune(FLOATS, "head-dim 12 steps 1");
    }

    @Test
    void aResumedRunDoesNotStartAgain() throws IOException {
        Path whole = tune("bits 8", "steps 6");
        Path halves = folder.resolve("halves");
        TrainConfig config = config("bits 8", "steps 6 stop-after 3", halves);
        try (TrainingRun run = TrainingRun.open(config, TrainListener.NONE)) {
            assertFalse(run.train().finished());
        }
        try (TrainingRun run = TrainingRun.resume(halves, Map.of("stop-after", 6), TrainListener.NONE)) {
            assertTrue(run.train().finished());
        }
        assertArrayEquals(codes(whole), codes(halves));
        assertNotEquals(losses(whole).getFirst(), losses(whole).getLast());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "hidden 64              | hidden 64: the model",
        "head-dim 16            | head-dim 16: the model",
        "preset 8m              | preset 8m: the model",
        "vocab 300              | vocab 300: the model",
        "tokenizer train        | tokenizer train: the model",
        "sub-ln true            | sub-ln true: the model",
        "tie-embeddings true    | tie-embeddings true: the model",
        "rope-theta 500000      | rope-theta 500000.0: the model",
        "rope-scaling linear:2  | rope-scaling linear:2: the model"})
    void settingsThatContradictTheModelAreRefused(String settings, String message) {
        ConfigException e = assertThrows(ConfigException.class, () -> tune(FLOATS, settings + " steps 1"));
        assertTrue(e.getMessage().startsWith(message) && e.getMessage().contains("leave it out"), e.getMessage());
    }

    @Test
    void whatIsNoModelIsRefused() throws IOException {
        Path empty = Files.createDirectories(folder.resolve("empty"));
        for (Path path : List.of(folder.resolve("nowhere"), empty)) {
            TrainConfig config = new TrainConfig().set("init", path);
            String message = assertThrows(ConfigException.class, () -> TrainingRun.open(config, TrainListener.NONE)).getMessage();
            assertTrue(message.startsWith("init " + path), message);
            assertThrows(ConfigException.class, config::resolved);
        }
    }

    /** A run that starts from the model that {@code model} trained. */
    private static Path tune(String model, String settings) throws IOException {
        Path out = folder.resolve("tuned-" + (model + "-" + settings).replace(' ', '-').replace(':', '-'));
        if (!Files.exists(out.resolve("summary.json"))) {
            try (TrainingRun run = TrainingRun.open(config(model, settings, out), TrainListener.NONE)) {
                run.train();
            }
        }
        return out;
    }

    private static TrainConfig config(String model, String settings, Path out) throws IOException {
        Path init = TinyModel.train(folder, words(model));
        TrainConfig config = new TrainConfig().set("init", init).set("data", folder.resolve("data")).set("cache", folder.resolve("cache"))
                .set("holdout", 0.2).set("batch", 4).set("threads", 1).set("log-every", 1).set("out", out);
        String[] words = words(settings);
        for (int i = 0; i < words.length; i += 2) {
            config.set(words[i], words[i + 1]);
        }
        return config;
    }

    private static String[] words(String settings) {
        return settings.split(" ");
    }

    private static byte[] codes(Path run) throws IOException {
        // The header names the settings; the tensors lie before it.
        byte[] file = Files.readAllBytes(run.resolve("model/weights.sterna"));
        return Arrays.copyOfRange(file, 64, (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong(16));
    }

    private static double mean(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    }

    private static double firstLoss(Path run) throws IOException {
        return losses(run).getFirst();
    }

    private static List<Double> losses(Path run) throws IOException {
        List<Double> losses = new ArrayList<>();
        Metrics.read(RunFolder.of(run).metrics()).forEach(m -> losses.add(((Number) m.get("loss")).doubleValue()));
        return losses;
    }
}
