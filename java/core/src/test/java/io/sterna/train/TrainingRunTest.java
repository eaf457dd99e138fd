package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.DataException;
import io.sterna.data.Shards;
import io.sterna.data.Windows;
import io.sterna.io.CheckpointException;
import io.sterna.io.Json;
import io.sterna.nn.Parameter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ExecutorService;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrainingRunTest {
    private static final Set<String> TIMES = Set.of("tokens_per_second", "rss_bytes", "wall_seconds");
    private static final int STEPS = 12;

    @TempDir
    private Path folder;

    @BeforeEach
    void corpus() throws IOException {
        Random random = new Random(1);
        List<String> words = List.of("sea", "wind", "tern", "wing", "north", "flies", "over", "ice", "egg", "far");
        for (int file = 0; file < 12; file++) {
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 600; i++) {
                text.append(words.get((int) Math.abs(random.nextGaussian() * 3) % words.size())).append(' ');
            }
            Files.writeString(Files.createDirectories(folder.resolve("data")).resolve(file + ".txt"), text);
        }
    }

    @Test
    void aRunLeavesEverythingInItsFolder() throws IOException {
        List<Long> heard = new ArrayList<>();
        TrainListener listener = new TrainListener() {
            @Override
            public void stepped(Progress p) {
                heard.add(p.report().step());
            }
        };
        RunResult result = run(config("a"), listener);
        assertTrue(result.finished());
        assertEquals(STEPS, heard.size());
        assertTrue(result.devLoss().orElseThrow() > 0 && result.unigramEntropy() > 0);
        Path run = folder.resolve("a");
        Map<String, Object> summary = Json.readObject(run.resolve("summary.json"), 1 << 20);
        for (String key : List.of("method", "bits", "parameters", "bytes", "final_loss", "dev_loss", "tokens_per_second",
                "wall_seconds", "tier", "threads", "seed", "steps")) {
            assertTrue(summary.get(key) != null, key);
        }
        List<Map<String, Object>> metrics = Metrics.read(run.resolve("metrics.jsonl"));
        assertEquals(List.of(1L, 4L, 6L, 8L, 12L), metrics.stream().map(r -> r.get("step")).toList());
        for (String key : List.of("tokens", "loss", "lr", "grad_norm", "flip_rate", "flip_rates", "tokens_per_second")) {
            assertTrue(metrics.getFirst().get(key) != null, key);
        }
        assertReportShowsLayers(run);
        assertEquals(2, new io.sterna.io.CheckpointFolder(run.resolve("checkpoints")).list().size(), "the last two are kept");
        assertTrue(ModelFolder.open(run).model().hidden() == 32);
        assertTrue(Files.readString(run.resolve("config.yaml")).contains("steps: 12\n"));
    }

    @Test
    void aRunOfBitNetRecordsItsTernaryCodes() throws IOException {
        run(config("bitnet").set("method", "bitnet"), TrainListener.NONE);
        assertReportShowsLayers(folder.resolve("bitnet"));
    }

    /** A row of the heat map and a histogram for each layer, and rates for each logged step. */
    private static void assertReportShowsLayers(Path run) throws IOException {
        String report = Files.readString(run.resolve("report.html"));
        String flips = report.substring(report.indexOf("<h2>Flip rate by layer"), report.indexOf("<h2>Codes by layer"));
        String codes = report.substring(report.indexOf("<h2>Codes by layer"), report.indexOf("<h2>Configuration"));
        List<Map<String, Object>> metrics = Metrics.read(run.resolve("metrics.jsonl"));
        Map<String, Object> rates = Json.asObject(metrics.getFirst().get("flip_rates_by_layer"), "rates");
        assertTrue(rates.values().stream().anyMatch(rate -> ((Number) rate).doubleValue() > 0), rates.toString());
        for (int block = 0; block < ModelFolder.open(run).model().layers(); block++) {
            for (String layer : List.of("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down")) {
                String name = block + "." + layer;
                assertTrue(flips.contains(">" + name + "</text>"), name);
                assertTrue(codes.contains("<figcaption>" + name + "</figcaption>"), name);
                for (Map<String, Object> record : metrics) {
                    assertTrue(Json.asObject(record.get("flip_rates_by_layer"), "rates").containsKey("model.layers." + name + "_proj.weight"));
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"dqt, 1.58, adamw, f32", "dqt, 4, adamw, int8", "dqt, 1, adafactor, f32", "bitnet, , sgd, bf16", "bf16, , adamw, bf16"})
    void aResumedRunEqualsAnUninterruptedOne(String method, String bits, String optimizer, String state) throws IOException {
        TrainConfig whole = config("whole").set("method", method).set("optimizer", optimizer).set("state", state)
                .set("lr", 0.01);
        if (bits != null) {
            whole.set("bits", bits);
        }
        TrainConfig parts = whole.copy().set("out", folder.resolve("parts")).set("stop-after", 5);
        assertTrue(run(whole, TrainListener.NONE).finished());
        RunResult stopped = run(parts, TrainListener.NONE);
        assertFalse(stopped.finished());
        assertEquals(5, stopped.step());
        try (TrainingRun resumed = TrainingRun.resume(folder.resolve("parts"), Map.of("threads", 1), TrainListener.NONE)) {
            assertTrue(resumed.train().finished());
        }
        String last = "checkpoints/step-00000012.sterna";
        assertArrayEquals(bytes("whole", last), bytes("parts", last));
        assertArrayEquals(bytes("whole", "model/weights.sterna"), bytes("parts", "model/weights.sterna"));
        assertEquals(timeless("whole"), timeless("parts"));
    }

    @Test
    void theSecondsOfEarlierProcessesCount() throws IOException {
        run(config("a").set("stop-after", 4), TrainListener.NONE);
        Path metrics = folder.resolve("a/metrics.jsonl");
        Files.writeString(metrics, Files.readString(metrics).replaceAll("\"wall_seconds\":[^,}]*", "\"wall_seconds\":1000"));
        try (TrainingRun resumed = TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE)) {
            double seconds = number(resumed.train().summary(), "wall_seconds");
            assertTrue(seconds > 1000 && seconds < 1900, "" + seconds);
        }
        assertTrue(number(Metrics.read(metrics).getLast(), "wall_seconds") > 1000);
    }

    @Test
    void theSecondsOfAStoppedProcessCountUpToItsCheckpoint() throws IOException {
        TrainListener slow = new TrainListener() {
            @Override
            public void stepped(Progress p) {
                sleep(p.report().step() > 1 ? 200 : 0); // after the only record
            }
        };
        run(config("a").set("log-every", 100).set("eval-every", 0).set("stop-after", 3), slow);
        Path seconds = folder.resolve("a/.wall-seconds");
        Map<String, Object> only = Metrics.read(folder.resolve("a/metrics.jsonl")).getFirst();
        assertTrue(Double.parseDouble(Files.readString(seconds)) >= number(only, "wall_seconds") + 0.4, "two steps later");
        Files.writeString(seconds, "1000\n");
        try (TrainingRun resumed = TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE)) {
            assertTrue(number(resumed.train().summary(), "wall_seconds") > 1000);
        }
        Files.writeString(seconds, "soon\n");
        Files.delete(folder.resolve("a/summary.json"));
        try (TrainingRun resumed = TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE)) {
            ConfigException e = assertThrows(ConfigException.class, resumed::train);
            assertTrue(e.getMessage().endsWith(".wall-seconds: expected the run's seconds so far; delete it"), e.getMessage());
        }
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @ParameterizedTest
    @CsvSource({"method, bitnet, scale-rule, absmax", "method, fp32, scale-rule, absmax", "method, bf16, scale-rule, absmax",
        "optimizer, adamw, momentum, 0.5", "optimizer, adafactor, momentum, 0.5", "optimizer, adamw, update-clip, 2.0",
        "optimizer, sgd, beta1, 0.5", "optimizer, sgd, beta2, 0.5", "optimizer, adafactor, beta2, 0.5", "optimizer, sgd, epsilon, 0.1",
        "method, fp32, rounding, nearest", "schedule, constant, lr-floor, 1.0E-5", "schedule, two-stage, lr-floor, 1.0E-5"})
    void aSettingThatWouldDoNothingIsRefused(String choice, String value, String setting, String unused) {
        TrainConfig config = config("a").set(choice, value).set(setting, unused).set("lr", 0.1);
        ConfigException e = assertThrows(ConfigException.class, () -> TrainingRun.open(config, TrainListener.NONE));
        assertTrue(e.getMessage().startsWith(setting + " " + unused + ": only "), e.getMessage());
        assertTrue(e.getMessage().endsWith("leave it out for " + value), e.getMessage());
        assertThrows(ConfigException.class, () -> TrainingRun.planned(config, BpeTokenizer::load));
        config.resolved(); // runs that were begun so go on
    }

    @Test
    void aVocabularyIsOfATokenizerThatIsTrained() throws IOException {
        TrainConfig bytes = config("a").set("tokenizer", "bytes").set("vocab", 500);
        for (Executable start : List.<Executable>of(() -> TrainingRun.open(bytes, TrainListener.NONE),
                () -> TrainingRun.planned(bytes, BpeTokenizer::load))) {
            assertEquals("vocab 500: tokenizer bytes has 257; leave it out", assertThrows(ConfigException.class, start).getMessage());
        }
        TrainingRun.open(bytes.set("vocab", 257), TrainListener.NONE).close();
    }

    @Test
    void sgdHasNoLearningRateOfItsOwn() {
        ConfigException e = assertThrows(ConfigException.class, () -> config("a").set("optimizer", "sgd").resolved());
        assertTrue(e.getMessage().startsWith("lr: sgd"), e.getMessage());
    }

    @Test
    void aRunStopsAtStepsAheadAlone() throws IOException {
        run(config("a").set("steps", 6).set("stop-after", 3), TrainListener.NONE);
        ConfigException e = assertThrows(ConfigException.class,
                () -> TrainingRun.resume(folder.resolve("a"), Map.of("stop-after", 3), TrainListener.NONE));
        assertEquals("stop-after 3: the run is at step 3; give a later one, or leave it out", e.getMessage());
    }

    @Test
    void theFinalLossIsTheMeanOfTheLastTwentieth() throws IOException {
        RunResult result = run(config("a").set("steps", 40).set("log-every", 1).set("checkpoint-every", 0), TrainListener.NONE);
        List<Map<String, Object>> metrics = Metrics.read(folder.resolve("a/metrics.jsonl"));
        double mean = (number(metrics.get(38), "loss") + number(metrics.get(39), "loss")) / 2; // of steps 39 and 40
        assertEquals(mean, number(result.summary(), "final_loss"), 1e-12);
    }

    @Test
    void heldOutWindowsAreSpreadOverTheData() throws IOException {
        TrainConfig config = config("a").set("eval-sequences", 3).set("steps", 1);
        try (TrainingRun run = TrainingRun.open(config, TrainListener.NONE);
                Shards shards = Shards.open(PreparedData.prepare(config.resolved(), BpeTokenizer::load, TrainListener.NONE).folder(), true)) {
            double devLoss = run.train().devLoss().orElseThrow();
            Windows windows = new Windows(shards.dev(), 16);
            assertTrue(windows.count() >= 9, "windows " + windows.count());
            Evaluation sum = new Evaluation(0, 0);
            for (int third = 0; third < 3; third++) {
                sum = sum.plus(evaluate(run.trainer(), windows, third * windows.count() / 3));
            }
            assertEquals(sum.loss(), devLoss, 1e-6);
        }
    }

    /** One window in a batch of four. */
    private static Evaluation evaluate(Trainer trainer, Windows windows, long window) {
        try (Arena arena = Arena.ofShared()) { // the slices read it
            MemorySegment inputs = arena.allocate(ValueLayout.JAVA_INT, 4 * 16);
            MemorySegment targets = arena.allocate(ValueLayout.JAVA_INT, 4 * 16).fill((byte) -1);
            windows.read(window, inputs, targets, 0);
            return trainer.evaluate(inputs, targets);
        }
    }

    @Test
    void stepsThatAreNotFiniteEndARunAndAResumedOneGoesOnCounting() throws IOException {
        try (TrainingRun run = TrainingRun.open(config("a").set("steps", 40).set("stop-after", 8), TrainListener.NONE)) {
            setGain(run, Float.NaN);
            assertFalse(run.train().finished());
        }
        try (TrainingRun resumed = TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE)) {
            assertMessage(TrainingException.class, "step 20: 20 steps in a row met numbers that are not finite", resumed::train);
        }
    }

    @Test
    void aRunThatEndsWithoutAFiniteLossHasDiverged() throws IOException {
        try (TrainingRun run = TrainingRun.open(config("a"), TrainListener.NONE)) {
            setGain(run, Float.NaN);
            assertTrue(run.train().diverged());
        }
        assertFalse(run(config("b"), TrainListener.NONE).diverged());
        OptionalDouble noDevLoss = OptionalDouble.empty();
        assertTrue(new RunResult(true, 1, noDevLoss, 0, Collections.singletonMap("final_loss", null)).diverged());
        assertFalse(new RunResult(true, 1, noDevLoss, 0, Map.of("final_loss", 1.5)).diverged());
        assertFalse(new RunResult(false, 1, noDevLoss, 0, Map.of()).diverged(), "it was stopped");
    }

    @Test
    void onlyStepsInARowEndARun() throws IOException {
        TrainingRun[] run = new TrainingRun[1];
        TrainListener listener = new TrainListener() {
            @Override
            public void stepped(Progress p) {
                setGain(run[0], p.report().step() == 15 ? 1 : Float.NaN); // step 16 alone is finite
            }
        };
        run[0] = TrainingRun.open(config("a").set("steps", 30), listener);
        try (TrainingRun r = run[0]) {
            assertTrue(r.train().finished());
        }
    }

    /** With NaN in the last norm's gain no loss is finite. */
    private static void setGain(TrainingRun run, float value) {
        run.trainer().model().parameters().stream().filter(p -> p.name().equals("model.norm.weight"))
                .forEach(p -> ((Parameter.Plain) p).weight().set(0, 0, value));
    }

    private static double number(Map<String, Object> map, String key) {
        return ((Number) map.get(key)).doubleValue();
    }

    @Test
    void stopEndsTheRunAfterTheStepUnderWay() throws IOException {
        TrainingRun[] run = new TrainingRun[1];
        TrainListener listener = new TrainListener() {
            @Override
            public void stepped(Progress p) {
                if (p.report().step() == 3) {
                    run[0].stop();
                }
            }
        };
        run[0] = TrainingRun.open(config("a"), listener);
        try (TrainingRun r = run[0]) {
            RunResult result = r.train();
            assertFalse(result.finished());
            assertEquals(3, result.step());
        }
        assertTrue(Files.exists(folder.resolve("a/checkpoints/step-00000003.sterna")));
        assertFalse(Files.exists(folder.resolve("a/summary.json")));
    }

    @Test
    void twoRunsSideBySideAreAsTheyAreAlone() throws Exception {
        run(config("alone"), TrainListener.NONE);
        Thread[] threads = new Thread[2];
        for (int i = 0; i < 2; i++) {
            TrainConfig config = config("beside" + i);
            threads[i] = Thread.ofPlatform().start(() -> {
                try {
                    run(config, TrainListener.NONE);
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            });
        }
        for (Thread thread : threads) {
            thread.join();
        }
        for (int i = 0; i < 2; i++) {
            assertArrayEquals(bytes("alone", "model/weights.sterna"), bytes("beside" + i, "model/weights.sterna"));
        }
    }

    @Test
    void aTakenFolderIsLeftAlone() throws IOException {
        Files.writeString(Files.createDirectories(folder.resolve("a")).resolve("precious.txt"), "mine");
        assertMessage(ConfigException.class, "holds files already", () -> TrainingRun.open(config("a"), TrainListener.NONE).close());
        run(config("b"), TrainListener.NONE);
        assertMessage(ConfigException.class, "is finished",
                () -> TrainingRun.resume(folder.resolve("b"), Map.of(), TrainListener.NONE).close());
    }

    /** That it ends at all is the point: a link that leads nowhere looks free and cannot become a folder. */
    @Test
    @Timeout(60)
    void aLinkThatLeadsNowhereIsTaken() throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("a"), folder.resolve("nowhere/b"));
        assertMessage(ConfigException.class, "a: is a link to what is not there; choose another folder",
                () -> TrainingRun.open(config("a"), TrainListener.NONE).close());
        assertMessage(ConfigException.class, link + " is no folder", () -> RunFolder.claim(link.resolve("run").toString(), "unused"));
        assertEquals(folder.resolve("a-2"), RunFolder.claim(null, link.toString()).path());
    }

    /** The kernel's own folder takes none, whoever asks. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void aFolderThatCannotBeMadeIsNamedWithTheRemedy() {
        assertMessage(ConfigException.class, "; choose another folder", () -> RunFolder.claim("/proc/sterna", "unused"));
    }

    @Test
    void aRunThatCannotBeginRemovesNothingButItsOwn() throws IOException {
        Path empty = Files.createDirectory(folder.resolve("empty"));
        Path link = Files.createSymbolicLink(folder.resolve("link"), empty);
        for (Path given : List.of(empty, link)) {
            RunFolder.claim(given.toString(), "unused").abandon();
            assertTrue(Files.isDirectory(given), given.toString());
            assertEquals(0, empty.toFile().list().length, "its lock went");
        }
        RunFolder.claim(folder.resolve("new").toString(), "unused").abandon();
        assertFalse(Files.exists(folder.resolve("new")));
    }

    @Test
    void aFolderThatIsNoRunIsLeftAsItIs() throws IOException {
        Path other = Files.createDirectory(folder.resolve("other"));
        assertMessage(CheckpointException.class, "has no checkpoint",
                () -> TrainingRun.resume(other, Map.of(), TrainListener.NONE).close());
        assertEquals(0, other.toFile().list().length);
    }

    @Test
    void runsThatBeginAtOnceShareThePreparationAndGetAFolderEach() throws Exception {
        Set<Path> folders = ConcurrentHashMap.newKeySet();
        List<Boolean> reused = new CopyOnWriteArrayList<>();
        try (var threads = Executors.newFixedThreadPool(2)) {
            List<Future<Object>> runs = threads.invokeAll(Collections.nCopies(2, () -> {
                RunFolder claimed = RunFolder.claim(null, folder.resolve("named").toString());
                folders.add(claimed.path());
                reused.add(PreparedData.prepare(config("unused").resolved(), BpeTokenizer::load, TrainListener.NONE)
                        .result().reused());
                return null;
            }));
            for (Future<Object> run : runs) {
                run.get();
            }
        }
        assertEquals(Set.of(folder.resolve("named"), folder.resolve("named-2")), folders);
        assertEquals(Set.of(true, false), Set.copyOf(reused));
    }

    @Test
    void aRunIsTrainedByOneProcessAtATime() throws IOException {
        run(config("a").set("stop-after", 2), TrainListener.NONE);
        try (TrainingRun first = TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE)) {
            assertMessage(ConfigException.class, "another process trains it",
                    () -> TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE).close());
            assertMessage(ConfigException.class, "holds files already",
                    () -> TrainingRun.open(config("a"), TrainListener.NONE).close());
            assertTrue(first.train().finished());
        }
        try (TrainingRun fresh = TrainingRun.open(config("b"), TrainListener.NONE)) { // without a checkpoint yet
            assertMessage(ConfigException.class, "another process trains it",
                    () -> TrainingRun.resume(fresh.folder().path(), Map.of(), TrainListener.NONE).close());
        }
    }

    /** A folder whose metrics were lost has no loss to tell, which is not to diverge. */
    @Test
    void aRunWithoutRecordsOfItsEndHasNotDiverged() {
        assertFalse(new RunResult(true, 9, OptionalDouble.empty(), 1, Map.of()).diverged());
        assertTrue(new RunResult(true, 9, OptionalDouble.empty(), 1, Collections.singletonMap("final_loss", null)).diverged());
        assertTrue(new RunResult(true, 9, OptionalDouble.of(Double.NaN), 1, Map.of("final_loss", 1.0)).diverged());
        assertFalse(new RunResult(true, 9, OptionalDouble.of(2), 1, Map.of("final_loss", 1.0)).diverged());
    }

    @Test
    void theOptionThatResumesIsQuotedForTheShell() throws IOException {
        for (String name : List.of("runs", "plain_2.x+1")) {
            Path path = Files.createDirectories(folder.resolve(name));
            assertEquals("--resume " + path, RunFolder.of(path).resumeOption());
        }
        Path path = Files.createDirectories(folder.resolve("Bob's runs"));
        assertEquals("--resume '" + folder + "/Bob'\\''s runs'", RunFolder.of(path).resumeOption());
    }

    @Test
    void anInterruptStopsARunWithACheckpoint() throws IOException {
        TrainListener interrupter = new TrainListener() {
            @Override
            public void stepped(Progress p) {
                if (p.report().step() == 5) {
                    Thread.currentThread().interrupt();
                }
            }
        };
        try (TrainingRun run = TrainingRun.open(config("a"), interrupter)) {
            RunResult result = run.train();
            assertTrue(Thread.interrupted(), "the mark is there again");
            assertTrue(!result.finished() && result.step() == 5);
            run.close(); // and once more at the end of the block
        }
        assertTrue(Files.exists(folder.resolve("a/checkpoints/step-00000005.sterna")));
        try (TrainingRun resumed = TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE)) {
            assertTrue(resumed.train().finished());
        }
    }

    @Test
    void runsAtOnceShareAGivenTokenizer() throws Exception {
        run(config("a"), TrainListener.NONE);
        Path tokenizer = folder.resolve("a/model/tokenizer.json");
        try (ExecutorService pool = Executors.newFixedThreadPool(4)) {
            List<Future<RunResult>> results = new ArrayList<>();
            for (int i = 0; i < 12; i++) {
                TrainConfig config = config("b" + i).set("vocab", null).set("tokenizer", tokenizer).set("steps", 1);
                results.add(pool.submit(() -> run(config, TrainListener.NONE)));
            }
            for (Future<RunResult> result : results) {
                assertTrue(result.get().finished());
            }
        }
    }

    @Test
    void aDamagedCheckpointOffersTheOneBefore() throws IOException {
        run(config("a").set("stop-after", 10), TrainListener.NONE);
        Path last = folder.resolve("a/checkpoints/step-00000010.sterna");
        byte[] whole = Files.readAllBytes(last);
        byte[] flipped = whole.clone();
        flipped[whole.length / 2] ^= 1;
        for (byte[] damaged : List.of(Arrays.copyOf(whole, whole.length - 1), flipped)) {
            Files.write(last, damaged);
            assertMessage(CheckpointException.class, "go on from step-00000008.sterna",
                    () -> TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE).close());
        }
        Files.delete(last);
        try (TrainingRun resumed = TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE)) {
            assertTrue(resumed.train().finished());
        }
    }

    @Test
    void aResumedRunKeepsItsSettings() throws IOException {
        run(config("a").set("stop-after", 2), TrainListener.NONE);
        assertMessage(ConfigException.class, "lr: a resumed run keeps its settings",
                () -> TrainingRun.resume(folder.resolve("a"), Map.of("lr", 1), TrainListener.NONE).close());
    }

    @Test
    void aResumedRunTakesTheThreadsItBeganWithUnlessToldOtherwise() throws IOException {
        run(config("a").set("threads", 1).set("stop-after", 2), TrainListener.NONE);
        assertEquals(1, threadsOfResumed(Map.of()));
        assertEquals(3, threadsOfResumed(Map.of("threads", 3)));
        Path yaml = folder.resolve("a/config.yaml");
        String written = Files.readString(yaml);
        Files.writeString(yaml, written.replace("threads: 1\n", "threads: 1000\n"));
        assertEquals(Runtime.getRuntime().availableProcessors(), threadsOfResumed(Map.of()));
        Files.writeString(yaml, written.replace("threads: 1\n", "threads: many\n"));
        assertMessage(ConfigException.class, "config.yaml: threads: many: expected a whole number", () -> threadsOfResumed(Map.of()));
    }

    private int threadsOfResumed(Map<String, Object> changes) throws IOException {
        try (TrainingRun run = TrainingRun.resume(folder.resolve("a"), changes, TrainListener.NONE)) {
            return run.config().threads;
        }
    }

    @Test
    void anEditedConfigurationIsNotPassedOver() throws IOException {
        run(config("a").set("stop-after", 2), TrainListener.NONE);
        Path yaml = folder.resolve("a/config.yaml");
        String written = Files.readString(yaml);
        Files.writeString(yaml, written.replace("steps: 12\n", "steps: 20\n"));
        assertMessage(ConfigException.class, "config.yaml: steps: 20: the run began with 12",
                () -> TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE).close());
        Files.writeString(yaml, written + "# a remark\n");
        TrainingRun.resume(folder.resolve("a"), Map.of("threads", 1), TrainListener.NONE).close();
    }

    @Test
    void changedDataIsNoticed() throws IOException {
        run(config("a").set("stop-after", 2), TrainListener.NONE);
        try (var files = Files.walk(folder.resolve("cache"))) {
            for (Path shard : files.filter(f -> f.toString().endsWith(".tokens")).toList()) {
                byte[] bytes = Files.readAllBytes(shard);
                bytes[bytes.length - 1] ^= 1;
                Files.write(shard, bytes);
            }
        }
        assertMessage(DataException.class, "damaged",
                () -> TrainingRun.resume(folder.resolve("a"), Map.of(), TrainListener.NONE).close());
    }

    @Test
    void dataThatCannotBeUsedIsNamed() throws IOException {
        assertMessage(ConfigException.class, "data: no such file or folder: nowhere",
                () -> TrainingRun.open(config("a").set("data", "nowhere"), TrainListener.NONE).close());
        Path small = Files.writeString(folder.resolve("small.txt"), "a few words");
        assertThrows(DataException.class,
                () -> TrainingRun.open(config("a").set("data", small).set("tokenizer", "bytes").set("vocab", null), TrainListener.NONE).close());
        assertMessage(DataException.class, "vocab",
                () -> TrainingRun.open(config("a").set("vocab", 60_000), TrainListener.NONE).close());
        assertFalse(Files.exists(folder.resolve("a")), "a run that cannot start leaves no folder");
    }

    @Test
    void tooLargeATrainingIsRefusedBeforeItStarts() {
        TrainConfig huge = config("a").set("seq-len", 4096).set("batch", 65_536);
        assertMessage(TrainingException.class, "memory: the training needs", () -> MemoryCheck.require(TrainingRun.planOf(huge)));
    }

    private TrainConfig config(String out) {
        return new TrainConfig().setAll(new TreeMap<>(Map.of(
                "hidden", 32, "intermediate", 64, "layers", 2, "heads", 2, "seq-len", 16, "batch", 4, "steps", STEPS,
                "vocab", 280, "threads", 2)))
                .set("data", folder.resolve("data")).set("cache", folder.resolve("cache")).set("out", folder.resolve(out))
                .set("log-every", 4).set("eval-every", 6).set("checkpoint-every", 4).set("keep", 2).set("holdout", 0.2);
    }

    private static RunResult run(TrainConfig config, TrainListener listener) throws IOException {
        try (TrainingRun run = TrainingRun.open(config, listener)) {
            return run.train();
        }
    }

    private byte[] bytes(String run, String file) throws IOException {
        return Files.readAllBytes(folder.resolve(run).resolve(file));
    }

    private List<Map<String, Object>> timeless(String run) throws IOException {
        List<Map<String, Object>> records = Metrics.read(folder.resolve(run).resolve("metrics.jsonl"));
        records.forEach(r -> r.keySet().removeAll(TIMES));
        return records;
    }

    private static <E extends Exception> void assertMessage(Class<E> type, String part, org.junit.jupiter.api.function.Executable action) {
        String message = assertThrows(type, action).getMessage();
        assertTrue(message.contains(part), message);
    }
}
