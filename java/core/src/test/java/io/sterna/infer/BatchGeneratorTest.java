package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BatchGeneratorTest {
    private static final List<String> PROMPTS = List.of("the tern", "", "over the sea", "ice", "the", "north over", "and", "s", "t", "fl", "a ");

    @TempDir
    private static Path folder;

    /** Eleven texts of different lengths and samplings in 1, 3 and 11 places, against a session for each. */
    @ParameterizedTest
    @ValueSource(strings = {"bits 1.58", "bits 8", "bits 4 scale row", "method fp32", "method bf16", "bits 1.58 float-type bf16"})
    void eachTextIsAsAlone(String settings) throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, settings.split(" ")))) {
            List<Generation> alone = new ArrayList<>();
            for (int i = 0; i < PROMPTS.size(); i++) {
                try (Session session = model.session(SessionOptions.of(model))) {
                    alone.add(new Generator(session, model.tokenizer()).generate(PROMPTS.get(i), options(i), piece -> { }));
                }
            }
            for (int places : new int[] {1, 3, 11}) {
                List<Generation> together = generate(model, places);
                for (int i = 0; i < PROMPTS.size(); i++) {
                    assertEquals(alone.get(i).text(), together.get(i).text(), i + " of " + places);
                    assertEquals(alone.get(i).end(), together.get(i).end());
                    assertEquals(alone.get(i).tokens(), together.get(i).tokens());
                    assertEquals(alone.get(i).promptTokens(), together.get(i).promptTokens());
                }
            }
        }
    }

    private static GenerationOptions options(int i) {
        Sampling sampling = i % 2 == 0 ? Sampling.greedy() : Sampling.of(i).withTemperature(1.3);
        return GenerationOptions.of(5 + 3 * i).withStops(i == 3 ? "e" : "never").withSampling(sampling);
    }

    private static List<Generation> generate(Model model, int places) {
        Generation[] results = new Generation[PROMPTS.size()];
        Map<Integer, Integer> textOf = new HashMap<>();
        try (SessionGroup group = model.group(SessionOptions.of(model).withThreads(2), places)) {
            BatchGenerator generator = new BatchGenerator(group, model.tokenizer());
            int next = 0;
            while (next < PROMPTS.size() || generator.active() > 0) {
                if (next < PROMPTS.size() && !generator.isFull()) { // one a step: some begin while others go on
                    textOf.put(generator.add(PROMPTS.get(next), options(next), piece -> { }), next);
                    next++;
                }
                generator.step().forEach((place, generation) -> results[textOf.get(place)] = generation);
            }
        }
        return List.of(results);
    }

    /** Not only the same tokens: the same bits, for more sequences than a product takes at once, and prompts of many tokens. */
    @ParameterizedTest
    @ValueSource(strings = {"bits 1.58", "method fp32", "method bf16"})
    void logitsAreThoseOfOneSequence(String settings) throws IOException {
        int count = 20;
        try (Model model = Model.load(TinyModel.train(folder, settings.split(" ")));
                SessionGroup group = model.group(SessionOptions.of(model), count);
                Session session = model.session(SessionOptions.of(model))) {
            float[][] together = new float[count][model.config().vocab()];
            float[] alone = new float[model.config().vocab()];
            for (int step = 0; step < 6; step++) {
                int[][] more = new int[count][];
                for (int i = 0; i < count; i++) {
                    more[i] = text(i, step);
                }
                group.append(more);
            }
            group.logits(IntStream.range(0, count).toArray(), together);
            for (int i = 0; i < count; i++) {
                session.truncate(0);
                for (int step = 0; step < 6; step++) {
                    for (int token : text(i, step)) {
                        session.append(token);
                    }
                }
                session.logits(alone);
                assertArrayEquals(alone, together[i], "sequence " + i);
            }
        }
    }

    /** What a sequence gets in a step: several tokens first, then one at a time. */
    private static int[] text(int sequence, int step) {
        return IntStream.range(0, step == 0 ? 1 + sequence : 1).map(t -> "the tern".charAt((step + sequence + t) % 8)).toArray();
    }

    @Test
    void aPlaceIsFreeWhenItsTextEndsOrIsGivenUp() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58")); SessionGroup group = model.group(SessionOptions.of(model), 2)) {
            BatchGenerator generator = new BatchGenerator(group, model.tokenizer());
            assertTrue(generator.step().isEmpty());
            int first = generator.add("the", GenerationOptions.of(2), piece -> { });
            int second = generator.add("tern", GenerationOptions.of(30).withSampling(Sampling.greedy()), piece -> { });
            assertThrows(IllegalStateException.class, () -> generator.add("x", GenerationOptions.of(1), piece -> { }));
            assertTrue(generator.step().isEmpty());
            assertEquals(2, generator.step().get(first).tokens());
            assertFalse(generator.isFull());
            generator.cancel(second);
            assertEquals(0, generator.active());
            String message = assertThrows(ContextException.class,
                    () -> generator.add("x".repeat(32), GenerationOptions.of(1), piece -> { })).getMessage();
            assertTrue(message.contains("prompt of 33 tokens behind 0: the context holds 32"), message);
            assertEquals(0, generator.active());
        }
    }

    /** Of three texts the second one's sink throws once, in the step that the first one ends in. */
    @Test
    void aSinkThatThrowsEndsItsTextAlone() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58")); SessionGroup group = model.group(SessionOptions.of(model), 3)) {
            List<Generation> undisturbed = new ArrayList<>();
            for (int tokens : new int[] {4, 9}) {
                try (Session session = model.session(SessionOptions.of(model))) {
                    undisturbed.add(new Generator(session, model.tokenizer()).generate("the tern", sampled(tokens), piece -> { }));
                }
            }
            BatchGenerator generator = new BatchGenerator(group, model.tokenizer());
            Error gone = new Error("reader gone");
            StringBuilder streamed = new StringBuilder();
            int first = generator.add("the tern", sampled(4), piece -> { });
            StringBuilder seen = new StringBuilder();
            int second = generator.add("the tern", sampled(20), piece -> {
                seen.append(piece);
                if (seen.length() == 4) {
                    throw gone;
                }
            });
            int third = generator.add("the tern", sampled(9), streamed::append);
            Map<Integer, Generation> ended = new HashMap<>();
            for (int step = 1; step <= 9; step++) {
                ended.putAll(generator.step());
                assertEquals(step < 4 ? 3 : step < 9 ? 1 : 0, generator.active(), "after step " + step);
            }
            assertEquals(undisturbed.get(0).text(), ended.get(first).text());
            assertEquals(Generation.End.SINK_FAILED, ended.get(second).end());
            assertSame(gone, ended.get(second).failure());
            assertEquals(seen.toString(), ended.get(second).text());
            assertEquals(4, ended.get(second).tokens());
            assertEquals(undisturbed.get(1).text(), ended.get(third).text());
            assertEquals(undisturbed.get(1).text(), streamed.toString());
        }
    }

    @Test
    void aTextWhoseLogitsAreNotFiniteEndsAlone() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "method", "fp32")); SessionGroup group = model.group(SessionOptions.of(model), 3)) {
            TinyModel.damage(model);
            List<Generation> undisturbed = new ArrayList<>();
            for (int tokens : new int[] {4, 9}) {
                try (Session session = model.session(SessionOptions.of(model))) {
                    undisturbed.add(new Generator(session, model.tokenizer()).generate("the tern", sampled(tokens), piece -> { }));
                }
            }
            BatchGenerator generator = new BatchGenerator(group, model.tokenizer());
            int first = generator.add("the tern", sampled(4), piece -> { });
            int bad = generator.add("the ~", sampled(20), piece -> fail("no token can be chosen"));
            int third = generator.add("the tern", sampled(9), piece -> { });
            Map<Integer, Generation> ended = generator.step();
            assertEquals(Generation.End.NOT_FINITE, ended.get(bad).end());
            assertEquals("logit of token 0 is Infinity: the weights are damaged", ended.get(bad).failure().getMessage());
            assertEquals(0, ended.get(bad).tokens());
            assertEquals(bad, generator.add("the tern", sampled(4), piece -> { }), "its place is free");
            ended = new HashMap<>();
            for (int step = 2; step <= 9; step++) {
                ended.putAll(generator.step());
            }
            assertEquals(undisturbed.get(0).text(), ended.get(first).text());
            assertEquals(undisturbed.get(0).text(), ended.get(bad).text());
            assertEquals(undisturbed.get(1).text(), ended.get(third).text());
        }
    }

    private static GenerationOptions sampled(int tokens) {
        return GenerationOptions.of(tokens).withSampling(Sampling.of(7).withTemperature(0.5));
    }

    @Test
    void aSinkMayGiveTextsUpAndBeginOthers() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58")); SessionGroup group = model.group(SessionOptions.of(model), 3)) {
            BatchGenerator generator = new BatchGenerator(group, model.tokenizer());
            List<String> begun = new ArrayList<>();
            generator.add("the", sampled(30), piece -> {
                generator.cancel(0);
                generator.cancel(1);
                generator.add("tern", sampled(3), begun::add);
            });
            generator.add("the", sampled(1), piece -> fail("given up"));
            int third = generator.add("the", sampled(30), piece -> { });
            Map<Integer, Generation> ended = generator.step();
            for (int step = 0; step < 3; step++) {
                assertTrue(ended.isEmpty());
                ended = generator.step();
            }
            assertEquals(Map.of(0, String.join("", begun)), Map.of(0, ended.get(0).text()));
            assertEquals(1, generator.active());
            generator.cancel(third);
            String message = assertThrows(IndexOutOfBoundsException.class, () -> generator.cancel(7)).getMessage();
            assertEquals("place 7: the group has 3, from 0 on", message);
        }
    }

    @Test
    void aSequenceBeginsAsAnother() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58")); SessionGroup group = model.group(SessionOptions.of(model), 3)) {
            float[][] logits = new float[2][model.config().vocab()];
            group.append(new int[][] {{256, 't', 'h', 'e', ' '}, {}, {'x'}});
            group.copy(0, 1, 4);
            assertArrayEquals(new int[] {256, 't', 'h', 'e'}, group.tokens(1));
            assertThrows(IllegalStateException.class, () -> group.logits(new int[] {1}, logits));
            group.append(new int[][] {{}, {' '}, {}});
            group.append(new int[][] {{'t'}, {'t'}, {}});
            group.logits(new int[] {0, 1}, logits);
            assertArrayEquals(logits[0], logits[1], 1e-3f); // tiles round what many tokens attend to to bf16, and not what one does
            assertThrows(IllegalArgumentException.class, () -> group.copy(0, 1, 7));
            group.copy(0, 0, 4);
            assertArrayEquals(new int[] {256, 't', 'h', 'e'}, group.tokens(0));
            assertThrows(IllegalArgumentException.class, () -> group.append(new int[][] {{1}}));
            assertThrows(IllegalArgumentException.class, () -> group.append(new int[3][0]));
            assertEquals(1, group.length(2));
            assertThrows(IllegalArgumentException.class, () -> model.group(SessionOptions.of(model), 0));
        }
    }
}
