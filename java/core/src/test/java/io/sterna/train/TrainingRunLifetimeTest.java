package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.DataException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainingRunLifetimeTest {
    @TempDir
    private Path folder;

    @BeforeEach
    void corpus() throws IOException {
        for (int file = 0; file < 8; file++) {
            Files.writeString(folder.resolve(file + ".txt"), ("the tern flies over ice " + file + " ").repeat(100));
        }
    }

    @Test
    void whatIsClosedNeitherTrainsNorClosesAgain() throws IOException {
        TrainingRun run = TrainingRun.open(config(), TrainListener.NONE);
        run.close();
        run.close();
        assertMessage("closed already", assertThrows(IllegalStateException.class, run::train));
    }

    @Test
    void aReportGetsItsSamplesAfterTheEnd() throws IOException {
        TrainingRun run = TrainingRun.open(config(), TrainListener.NONE);
        try (run) {
            assertMessage("not finished", assertThrows(IllegalStateException.class, () -> run.writeReport(null, List.of())));
            RunResult result = run.train();
            String before = Files.readString(run.folder().report());
            run.close();
            run.writeReport(result, List.of("the tern"));
            String report = Files.readString(run.folder().report());
            assertEquals(before, report.replace("<h2>Samples</h2>\n<pre>the tern</pre>\n", ""));
            assertTrue(report.length() > before.length());
        }
    }

    @Test
    void whatTrainsIsNotClosedOrTrainedOnceMore() throws IOException {
        List<IllegalStateException> refusals = new ArrayList<>();
        TrainingRun[] run = new TrainingRun[1];
        TrainListener meddling = new TrainListener() {
            @Override
            public void stepped(Progress progress) {
                refusals.add(assertThrows(IllegalStateException.class, run[0]::close));
                refusals.add(assertThrows(IllegalStateException.class, run[0]::train));
            }
        };
        run[0] = TrainingRun.open(config(), meddling);
        try (TrainingRun closed = run[0]) {
            assertTrue(closed.train().finished());
        }
        assertEquals(4, refusals.size());
        assertMessage("stop it first", refusals.get(0));
        assertMessage("training already", refusals.get(1));
    }

    @Test
    void aRunGoesOnAfterWhatItsListenerThrew() throws IOException {
        RuntimeException fault = new RuntimeException("listener");
        TrainListener listener = new TrainListener() {
            @Override
            public void stepped(Progress progress) {
                if (progress.report().step() == 1) {
                    throw fault;
                }
            }
        };
        try (TrainingRun run = TrainingRun.open(config(), listener)) {
            assertSame(fault, assertThrows(RuntimeException.class, run::train));
            RunResult result = run.train();
            assertTrue(result.finished());
            assertEquals(2, result.step());
        }
    }

    @Test
    void whatAListenerThrowsLosesNoRecord() throws IOException {
        TrainListener listener = new TrainListener() {
            private boolean thrown;

            @Override
            public void stepped(Progress progress) {
                if (progress.report().step() == 1) {
                    throw new IllegalStateException("listener");
                }
            }

            @Override
            public void evaluated(long step, double devLoss) {
                if (step == 2 && !thrown) {
                    thrown = true;
                    throw new IllegalStateException("listener");
                }
            }
        };
        try (TrainingRun run = TrainingRun.open(config().set("log-every", 1), listener)) {
            assertThrows(IllegalStateException.class, run::train);
            assertThrows(IllegalStateException.class, run::train);
            RunResult result = run.train();
            assertEquals(2, Files.readAllLines(run.folder().metrics()).size());
            assertTrue(result.devLoss().isPresent());
            assertEquals(2L * 2 * 16, result.summary().get("tokens"));
        }
    }

    @Test
    void aStepThatWasBrokenOffIsNotGoneOnFrom() throws IOException {
        try (TrainingRun run = TrainingRun.open(config(), TrainListener.NONE)) {
            run.trainer().close(); // as good as any error within a step
            assertThrows(RuntimeException.class, run::train);
            assertMessage("step 1 was broken off", assertThrows(IllegalStateException.class, run::train));
        }
    }

    @Test
    void aTokenizerThatHasGoneEndsNoRunWithoutIt() throws IOException {
        Path[] tokenizer = new Path[1];
        Path kept = folder.resolve("kept.json");
        TrainListener deleting = new TrainListener() {
            @Override
            public void stepped(Progress progress) {
                if (progress.report().step() == 2) {
                    tokenizer[0] = take(folder.resolve("cache"), kept);
                }
            }
        };
        try (TrainingRun run = TrainingRun.open(config(), deleting)) {
            assertMessage("tokens are not bytes", assertThrows(ConfigException.class, run::train));
        }
        Files.move(kept, tokenizer[0]);
        try (TrainingRun run = TrainingRun.resume(folder.resolve("run"), Map.of(), TrainListener.NONE)) {
            assertTrue(run.train().finished());
        }
        Files.delete(folder.resolve("run/model/tokenizer.json"));
        assertMessage("run/model/tokenizer.json: missing", assertThrows(ConfigException.class,
                () -> ModelFolder.open(folder.resolve("run")).tokenizer(PreparedData.TokenizerLoader.BPE)));
        assertMessage("run/model/tokenizer.json: missing", assertThrows(ConfigException.class,
                () -> TrainingRun.open(new TrainConfig().set("init", folder.resolve("run")).set("data", folder), TrainListener.NONE)));
    }

    /** Moves the tokenizer out of a cache, and says where it was. */
    private static Path take(Path cache, Path to) {
        try (Stream<Path> files = Files.walk(cache)) {
            Path tokenizer = files.filter(file -> file.endsWith("tokenizer.json")).findAny().orElseThrow();
            Files.move(tokenizer, to);
            return tokenizer;
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aRunWhoseDataHasMovedGoesOnFromItsNewPlace() throws IOException {
        try (TrainingRun run = TrainingRun.open(config().set("stop-after", 1), TrainListener.NONE)) {
            run.train();
        }
        Files.move(folder.resolve("cache"), folder.resolve("moved"));
        assertMessage("or name the cache that holds them", assertThrows(DataException.class,
                () -> TrainingRun.resume(folder.resolve("run"), Map.of(), TrainListener.NONE)));
        try (TrainingRun run = TrainingRun.resume(folder.resolve("run"), Map.of("cache", folder.resolve("moved").toString()),
                TrainListener.NONE)) {
            assertTrue(run.train().finished());
        }
    }

    @Test
    void aRunFolderBelowAFileIsRefusedBeforeDataIsPrepared() throws IOException {
        Path file = Files.writeString(folder.resolve("notes"), "");
        for (Path out : List.of(file.resolve("run"), Files.createSymbolicLink(folder.resolve("link"), folder.resolve("nowhere")).resolve("run"))) {
            assertMessage(" is no folder", assertThrows(ConfigException.class,
                    () -> TrainingRun.open(config().set("out", out), TrainListener.NONE)));
        }
        assertTrue(Files.notExists(folder.resolve("cache")));
    }

    @Test
    void aCacheThatCannotBeMadeIsNamed() throws IOException {
        Path file = Files.writeString(folder.resolve("notes"), "");
        assertMessage("choose another one", assertThrows(ConfigException.class,
                () -> TrainingRun.open(config().set("cache", file.resolve("cache")), TrainListener.NONE)));
    }

    @Test
    void aListenerIsAskedForBeforeAnythingIsMade() {
        assertThrows(NullPointerException.class, () -> TrainingRun.open(config(), null));
        assertTrue(Files.notExists(folder.resolve("run")) && Files.notExists(folder.resolve("cache")));
    }

    private TrainConfig config() {
        return new TrainConfig().set("hidden", 32).set("intermediate", 64).set("layers", 1).set("heads", 2).set("seq-len", 16)
                .set("batch", 2).set("steps", 2).set("warmup", 0).set("vocab", 280).set("threads", 1).set("holdout", 0.2)
                .set("data", folder).set("cache", folder.resolve("cache")).set("out", folder.resolve("run"));
    }

    private static void assertMessage(String part, Exception e) {
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }
}
