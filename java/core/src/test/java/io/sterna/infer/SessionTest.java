package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.io.CheckpointException;
import io.sterna.kernel.Tier;
import io.sterna.nn.CacheType;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class SessionTest {
    /**
     * Of the largest logit, where training multiplies floats: its sums go in another order, and AMX rounds what may be
     * rounded to bf16. Positions that are wrong by one make a hundred times more.
     */
    private static final double BOUND = Tier.best() == Tier.AMX ? 3e-2 : 5e-6;

    @TempDir
    private static Path folder;

    @ParameterizedTest
    @ValueSource(strings = {
        "bits 1", "bits 1.58", "bits 2", "bits 3", "bits 4", "bits 5", "bits 6", "bits 7", "bits 8", "bits 8 forward ternary",
        "bits 4 scale row", "bits 4 scale group:64", "method bitnet", "method fp32", "method bf16",
        "method fp32 tie-embeddings true", "bits 1.58 float-type bf16", "method fp32 head-dim 20", "bits 1.58 head-dim 6", "method bitnet head-dim 40"})
    void cachedIsAsTrainedTokenForToken(String settings) throws IOException {
        Path run = TinyModel.train(folder, settings.split(" "));
        try (Model model = Model.load(run);
                Session session = model.session(SessionOptions.of(model).withCacheType(FloatType.F32))) {
            float[] logits = new float[model.config().vocab()];
            int[] tokens = {256};
            session.append(tokens);
            while (tokens.length < TinyModel.CONTEXT) {
                session.logits(logits);
                float[] uncached = TinyModel.trainingLogits(run, tokens)[tokens.length - 1];
                if (model.method().quantized()) {
                    assertArrayEquals(uncached, logits, "after " + tokens.length);
                } else {
                    assertArrayEquals(uncached, logits, (float) (BOUND * amplitude(uncached)), "after " + tokens.length);
                }
                int next = argmax(logits);
                assertEquals(argmax(uncached), next, "after " + tokens.length);
                tokens = append(tokens, next);
                session.append(next);
            }
            assertArrayEquals(tokens, session.tokens());
        }
    }

    /** To the last bit, whatever the cache: what was read one by one, some at a time, or all anew for each token. */
    @ParameterizedTest
    @CsvSource({"bits 1.58, F32", "bits 1.58, BF16", "bits 1.58, INT8", "bits 8 forward ternary, BF16", "bits 4 scale row, BF16",
        "method bitnet, BF16", "method bf16, BF16", "method fp32, F32", "method fp32, INT8", "bits 8 kv-heads 1 head-dim 20, INT8"})
    void cachedIsUncachedTokenForToken(String settings, CacheType cache) throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, settings.split(" ")));
                Session cached = model.session(SessionOptions.of(model).withCacheType(cache));
                Session pieces = model.session(SessionOptions.of(model).withCacheType(cache).withThreads(2));
                Session uncached = model.session(SessionOptions.of(model).withCacheType(cache).withThreads(2))) {
            int[] tokens = {256};
            while (true) {
                cached.append(tokens[tokens.length - 1]);
                uncached.truncate(0);
                uncached.append(tokens);
                float[] logits = logits(model, cached);
                assertArrayEquals(logits, logits(model, uncached), "after " + tokens.length);
                if (tokens.length % 5 == 0 || tokens.length == TinyModel.CONTEXT) {
                    pieces.append(Arrays.copyOfRange(tokens, pieces.length(), tokens.length));
                    assertArrayEquals(logits, logits(model, pieces), "after " + tokens.length);
                }
                if (tokens.length == TinyModel.CONTEXT) {
                    return;
                }
                tokens = append(tokens, argmax(logits));
            }
        }
    }

    @Test
    void aTernaryForwardModelIsDeployedTernary() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "8", "forward", "ternary"));
                Model stored = Model.load(TinyModel.train(folder, "bits", "8"))) {
            assertEquals(Grid.TERNARY, model.method().grid());
            assertTrue(model.bytes().get(MemoryKind.PACKED_WEIGHTS) * 3 < stored.bytes().get(MemoryKind.PACKED_WEIGHTS));
            assertEquals(14, model.llama().parameters().stream().filter(p -> p instanceof Parameter.Packed).count());
            assertTrue(model.bytes().get(MemoryKind.SCRATCH) < 1 << 20, "tiles of threads are the sessions'");
        }
    }

    @Test
    void threadsThatLoadAreTheCallersChoice() throws IOException {
        Path run = TinyModel.train(folder, "bits", "8", "forward", "ternary");
        try (Model one = Model.load(run); Model three = Model.load(run, 3)) {
            for (int i = 0; i < one.llama().parameters().size(); i++) {
                if (one.llama().parameters().get(i) instanceof Parameter.Packed(_, String name, _, PackedMatrix w)) {
                    PackedMatrix other = ((Parameter.Packed) three.llama().parameters().get(i)).weight();
                    assertEquals(-1, w.codes().mismatch(other.codes()), name);
                    assertEquals(-1, w.scales().mismatch(other.scales()), name);
                }
            }
        }
        Path asStored = TinyModel.train(folder, "bits", "8");
        assertThrows(IllegalArgumentException.class, () -> Model.load(asStored, 0));
        assertThrows(IllegalArgumentException.class, () -> Model.load(asStored, 1025));
    }

    /** Of numbers within 2^-9 or within 1/254 of a head's largest. */
    @ParameterizedTest
    @EnumSource(names = {"BF16", "INT8"})
    void aSmallerCacheDiffersLittle(CacheType type) throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58"));
                Session exact = model.session(SessionOptions.of(model).withCacheType(FloatType.F32));
                Session small = model.session(SessionOptions.of(model).withCacheType(type))) {
            exact.append(tokens(20));
            small.append(tokens(20));
            float[] a = logits(model, exact);
            assertArrayEquals(a, logits(model, small), (float) (5e-2 * amplitude(a)));
            for (int token : tokens(10)) { // one by one over what is cached
                exact.append(token);
                small.append(token);
            }
            a = logits(model, exact);
            assertArrayEquals(a, logits(model, small), (float) (5e-2 * amplitude(a)));
            boolean same = type == CacheType.BF16 && Tier.best() == Tier.AMX; // attention rounds to bf16 there
            assertEquals(same, Arrays.equals(a, logits(model, small)), "it is another cache");
        }
    }

    @Test
    void truncateGoesBackInTime() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58"));
                Session session = model.session(SessionOptions.of(model))) {
            session.append(tokens(10));
            float[] before = logits(model, session);
            session.append(1, 2, 3);
            session.truncate(9);
            assertThrows(IllegalStateException.class, () -> logits(model, session));
            session.append(tokens(10)[9]);
            float[] after = logits(model, session);
            assertArrayEquals(before, after);
            assertEquals(10, session.length());
        }
    }

    @Test
    void whatDoesNotFitIsRefusedAndChangesNothing() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58"));
                Session session = model.session(SessionOptions.of(model).withContext(12))) {
            session.append(tokens(10));
            String message = assertThrows(ContextException.class, () -> session.append(1, 2, 3)).getMessage();
            assertTrue(message.contains("3 tokens behind 10: the context holds 12"), message);
            assertThrows(IllegalArgumentException.class, () -> session.append(257));
            assertThrows(IllegalArgumentException.class, session::append);
            assertThrows(IllegalArgumentException.class, () -> session.truncate(11));
            assertEquals(10, session.length());
            session.append(1, 2);
            assertThrows(IllegalArgumentException.class, () -> model.session(SessionOptions.of(model).withContext(33)));
            assertThrows(IllegalArgumentException.class, () -> model.session(SessionOptions.of(model).withThreads(0)));
        }
    }

    @Test
    void sessionsOfOneModelWorkSideBySide() throws Exception {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58"));
                ExecutorService pool = Executors.newFixedThreadPool(2)) {
            String alone = generate(model, 1);
            Future<String> a = pool.submit(() -> generateOften(model, 1));
            Future<String> b = pool.submit(() -> generateOften(model, 2));
            assertEquals(alone, a.get(60, TimeUnit.SECONDS));
            assertEquals(generate(model, 2), b.get(60, TimeUnit.SECONDS));
        }
    }

    private static String generateOften(Model model, long seed) {
        String first = generate(model, seed);
        for (int i = 0; i < 10; i++) {
            assertEquals(first, generate(model, seed));
        }
        return first;
    }

    private static String generate(Model model, long seed) {
        try (Session session = model.session(SessionOptions.of(model))) {
            return new Generator(session, model.tokenizer())
                    .generate("the ", GenerationOptions.of(20).withSampling(Sampling.of(seed)), piece -> { }).text();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void closingFromAnotherThreadEndsTheWork(boolean wholeModel) throws Exception {
        Model model = Model.load(TinyModel.train(folder, "bits", "1.58"));
        Session session = model.session(SessionOptions.of(model));
        CountDownLatch working = new CountDownLatch(1);
        AtomicReference<Throwable> end = new AtomicReference<>();
        Thread thread = Thread.ofPlatform().start(() -> {
            try {
                while (true) {
                    session.truncate(0);
                    session.append(tokens(TinyModel.CONTEXT));
                    working.countDown();
                }
            } catch (RuntimeException e) {
                end.set(e);
            }
        });
        assertTrue(working.await(60, TimeUnit.SECONDS));
        if (wholeModel) {
            model.close();
            assertThrows(IllegalStateException.class, () -> model.session(new SessionOptions(8, CacheType.F32, 1)));
        }
        session.close();
        thread.join(60_000);
        assertInstanceOf(SessionClosedException.class, end.get());
        assertThrows(SessionClosedException.class, () -> session.append(1));
        session.close();
        model.close();
    }

    /** As exports read them, on another thread than the one that closes. */
    @Test
    void closingUnderAReaderOfWeightsReturnsTheMemory() throws Exception {
        Path run = TinyModel.train(folder, "bits", "1.58", "hidden", "512", "layers", "1", "steps", "1");
        for (int round = 0; round < 10; round++) {
            Model model = Model.load(run);
            CountDownLatch reading = new CountDownLatch(1);
            AtomicReference<Throwable> end = new AtomicReference<>();
            Thread reader = Thread.ofPlatform().start(() -> {
                try (Workspace workspace = new Workspace()) {
                    readWeights(model, workspace, reading);
                } catch (RuntimeException e) {
                    end.set(e);
                }
            });
            assertTrue(reading.await(60, TimeUnit.SECONDS));
            model.close();
            reader.join(60_000);
            assertInstanceOf(IllegalStateException.class, end.get());
            assertEquals("model: already closed", end.get().getMessage());
        }
    }

    private static void readWeights(Model model, Workspace workspace, CountDownLatch reading) {
        Parameter weights = model.llama().parameters().stream().filter(p -> p instanceof Parameter.Packed).findFirst().orElseThrow();
        FloatMatrix copy = FloatMatrix.allocate(workspace.section(MemoryKind.SCRATCH), FloatType.F32, weights.rows(), weights.cols());
        while (true) {
            model.decode(weights, 0, copy);
            reading.countDown();
        }
    }

    @Test
    void whatIsNoModelIsNamed() throws IOException {
        assertMessage(ConfigException.class, "nowhere: no config.json there", folder.resolve("nowhere"));
        Path whole = TinyModel.train(folder, "bits", "2").resolve("model");

        Path noWeights = copy(whole, "no-weights");
        Files.delete(noWeights.resolve("weights.sterna"));
        assertMessage(CheckpointException.class, "weights.sterna: no such file", noWeights);

        Path cut = copy(whole, "cut");
        byte[] bytes = Files.readAllBytes(cut.resolve("weights.sterna"));
        Files.write(cut.resolve("weights.sterna"), Arrays.copyOf(bytes, bytes.length - 100));
        assertMessage(CheckpointException.class, "weights.sterna", cut);

        Path flipped = copy(whole, "flipped");
        bytes[bytes.length / 2] ^= 1;
        Files.write(flipped.resolve("weights.sterna"), bytes);
        assertMessage(CheckpointException.class, "checksum", flipped);

        Path wider = copy(whole, "wider");
        edit(wider, "\"hidden\": 48", "\"hidden\": 64");
        assertMessage(CheckpointException.class, "the model's is", wider);

        Path huge = copy(whole, "huge");
        edit(huge, "\"layers\": 2", "\"layers\": 1000");
        edit(huge, "\"hidden\": 48", "\"hidden\": 65536");
        edit(huge, "\"heads\": 4", "\"heads\": 512");
        assertMessage(CheckpointException.class, "the model's is", huge);

        Path other = copy(whole, "other");
        edit(other, "\"vocab\": 257", "\"vocab\": 300");
        assertMessage(CheckpointException.class, "the model's is", other);

        Path garbage = copy(whole, "garbage");
        Files.writeString(garbage.resolve("tokenizer.json"), "{}");
        assertMessage(IOException.class, "tokenizer", garbage);
        Files.writeString(garbage.resolve("config.json"), "[");
        assertMessage(ConfigException.class, "config.json", garbage);
    }

    private static void assertMessage(Class<? extends Exception> type, String part, Path model) {
        String message = assertThrows(type, () -> Model.load(model).close()).getMessage();
        assertNotNull(message);
        assertTrue(message.contains(part), message);
    }

    private static void edit(Path model, String from, String to) throws IOException {
        String config = Files.readString(model.resolve("config.json"));
        assertTrue(config.contains(from), config);
        Files.writeString(model.resolve("config.json"), config.replace(from, to));
    }

    private static Path copy(Path model, String name) throws IOException {
        Path target = Files.createDirectories(folder.resolve(name));
        try (var files = Files.list(model)) {
            for (Path file : files.toList()) {
                Files.copy(file, target.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
            }
        }
        return target;
    }

    private static float[] logits(Model model, Session session) {
        float[] logits = new float[model.config().vocab()];
        session.logits(logits);
        return logits;
    }

    private static int[] tokens(int count) {
        return IntStream.range(0, count).map(i -> i == 0 ? 256 : "the tern flies".charAt(i % 14)).toArray();
    }

    private static int[] append(int[] tokens, int next) {
        int[] more = Arrays.copyOf(tokens, tokens.length + 1);
        more[tokens.length] = next;
        return more;
    }

    private static int argmax(float[] x) {
        return IntStream.range(0, x.length).reduce(0, (a, b) -> x[b] > x[a] ? b : a);
    }

    private static double amplitude(float[] x) {
        return IntStream.range(0, x.length).mapToDouble(i -> Math.abs(x[i])).max().orElseThrow();
    }
}
