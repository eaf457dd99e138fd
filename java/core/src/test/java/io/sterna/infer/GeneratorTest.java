package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.infer.Generation.End;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GeneratorTest {
    private static final Consumer<String> NOBODY = piece -> { };

    @TempDir
    private static Path folder;

    private Model model;
    private Session session;
    private Generator generator;

    @BeforeEach
    void open() throws IOException {
        model = Model.load(TinyModel.train(folder, "bits", "4", "steps", "60"));
        session = model.session(SessionOptions.of(model));
        generator = new Generator(session, model.tokenizer());
    }

    @AfterEach
    void close() {
        model.close();
    }

    @Test
    void theTextStreamsAndCounts() {
        StringBuilder streamed = new StringBuilder();
        Generation g = generator.generate("the tern", greedy(10), streamed::append);
        assertEquals(g.text(), streamed.toString());
        assertEquals(End.MAX_TOKENS, g.end());
        assertEquals(10, g.tokens());
        assertEquals(9, g.promptTokens(), "eight letters behind the end of another document");
        assertEquals(10, g.text().length());
        assertTrue(g.promptSeconds() > 0 && g.generationSeconds() > 0);
    }

    @Test
    void specialTokensOfAPromptArePlainTextUnlessAskedFor() throws IOException {
        GenerationOptions special = greedy(1).withParseSpecial(true).withStops("never").withSampling(Sampling.greedy());
        try (Model words = Model.load(TinyModel.train(folder, "tokenizer", "train", "vocab", "270", "method", "fp32"));
                Session one = words.session(SessionOptions.of(words)); SessionGroup group = words.group(SessionOptions.of(words), 1)) {
            int end = words.tokenizer().endToken();
            Generator turns = new Generator(one, words.tokenizer());
            assertEquals(2, turns.generate("<|end|>", special, NOBODY).promptTokens(), "behind the begin token");
            assertEquals(end, one.tokens()[1]);
            assertEquals(2, turns.generate("<|end|>", special, NOBODY).promptTokens(), "behind the token that was chosen");
            assertEquals(end, one.tokens()[3]);
            one.truncate(0);
            assertTrue(turns.generate("<|end|>", greedy(1), NOBODY).promptTokens() > 2);
            BatchGenerator batch = new BatchGenerator(group, words.tokenizer());
            batch.check("<|end|>".repeat(20), special);
            assertThrows(ContextException.class, () -> batch.check("<|end|>".repeat(20), greedy(1)));
            batch.add("<|end|>", special, NOBODY);
            assertEquals(2, group.tokens(0).length);
        }
    }

    @Test
    void theContextMayFillUp() {
        Generation g = generator.generate("the tern", greedy(1000), NOBODY);
        assertEquals(End.CONTEXT_FULL, g.end());
        assertEquals(session.context() - 9 + 1, g.tokens(), "the last one needs no place");
        assertThrows(ContextException.class, () -> generator.generate("x", greedy(1), NOBODY));
    }

    @Test
    void aPromptThatDoesNotFitIsRefused() {
        String message = assertThrows(ContextException.class, () -> generator.generate("x".repeat(32), greedy(1), NOBODY)).getMessage();
        assertTrue(message.contains("prompt of 33 tokens behind 0: the context holds 32; shorten the prompt"), message);
        assertEquals(1, generator.generate("x".repeat(31), greedy(5), NOBODY).tokens());
    }

    @Test
    void aStopStringEndsIt() {
        String text = generator.generate("the tern", greedy(20), NOBODY).text();
        String stop = text.substring(6, 9);
        session.truncate(0);
        Generation g = generator.generate("the tern", greedy(20).withStops(stop, "nowhere"), NOBODY);
        assertEquals(End.STOP_STRING, g.end());
        assertEquals(text.substring(0, text.indexOf(stop)), g.text());
    }

    @Test
    void aConversationGoesOnWhereItEnded() {
        String whole = generator.generate("the tern", greedy(12), NOBODY).text();
        session.truncate(0);
        String parts = generator.generate("the tern", greedy(5), NOBODY).text() + generator.generate("", greedy(7), NOBODY).text();
        assertEquals(whole, parts);
    }

    @Test
    void aTextBehindAKeptBeginningHoldsNothingOfTheOneBefore() {
        generator.generate("the tern", greedy(3), NOBODY);
        session.truncate(4);
        assertFalse(generator.endsWith(""), "its last token is gone with it");
        assertThrows(IllegalStateException.class, () -> generator.generate("", greedy(1), NOBODY));
        Generation g = generator.generate("x", greedy(1), NOBODY);
        assertEquals(1, g.promptTokens());
        assertArrayEquals(new int[] {256, 't', 'h', 'e', 'x'}, session.tokens());
    }

    @Test
    void aTextFollowsTokensThatTheCallerAppended() {
        String whole = generator.generate("the tern", greedy(5), NOBODY).text();
        session.truncate(0);
        session.append(256, 't', 'h', 'e', ' ', 't', 'e', 'r', 'n');
        Generation g = generator.generate("", greedy(5), NOBODY);
        assertEquals(whole, g.text());
        assertEquals(0, g.promptTokens());
    }

    @Test
    void aSinkThatThrowsEndsTheTextAndAnotherCallGoesOn() {
        String whole = generator.generate("the tern", greedy(12), NOBODY).text();
        session.truncate(0);
        StringBuilder parts = new StringBuilder();
        RuntimeException gone = new RuntimeException("reader gone");
        assertSame(gone, assertThrows(RuntimeException.class, () -> generator.generate("the tern", greedy(12), piece -> {
            parts.append(piece);
            if (parts.length() == 5) {
                throw gone;
            }
        })));
        parts.append(generator.generate("", greedy(7), NOBODY).text());
        assertEquals(whole, parts.toString());
    }

    @Test
    void chanceDependsOnTheSeedAlone() {
        String first = sample(1);
        assertEquals(first, sample(1));
        assertFalse(first.equals(sample(2)) && first.equals(sample(3)), "seeds matter");
    }

    private String sample(long seed) {
        session.truncate(0);
        return generator.generate("", GenerationOptions.of(30).withSampling(Sampling.of(seed).withTemperature(1.5)), NOBODY).text();
    }

    @Test
    void optionsThatCannotBeAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> GenerationOptions.of(0));
        assertThrows(IllegalArgumentException.class, () -> GenerationOptions.of(1).withStops(""));
    }

    private static GenerationOptions greedy(int tokens) {
        return GenerationOptions.of(tokens).withSampling(Sampling.greedy());
    }
}
