package io.sterna.eval;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.eval.Question.Choice;
import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.infer.SessionGroup;
import io.sterna.infer.SessionOptions;
import io.sterna.infer.TinyModel;
import io.sterna.kernel.Tier;
import io.sterna.tensor.FloatType;
import io.sterna.train.ConfigException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TaskTest {
    private static final int END = 256;
    /** AMX rounds products of many rows to bf16. */
    private static final double BOUND = Tier.best() == Tier.AMX ? 5e-2 : 1e-4;

    @TempDir
    private static Path folder;

    private static Question question(String... contextsAndContinuations) {
        List<Choice> choices = new ArrayList<>();
        for (int i = 0; i < contextsAndContinuations.length; i += 2) {
            choices.add(new Choice(contextsAndContinuations[i], contextsAndContinuations[i + 1], 1));
        }
        return new Question(choices, 0, true, "here");
    }

    @Test
    void answersWithoutALikelihoodAreNotScored() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "method", "fp32")); SessionGroup group = group(model, 2, TinyModel.CONTEXT)) {
            TinyModel.damage(model);
            ChoiceScorer scorer = new ChoiceScorer(group, model.tokenizer());
            scorer.logLikelihoods(question("the tern", " flies", "the tern", " ice."));
            TaskException e = assertThrows(TaskException.class, () -> scorer.logLikelihoods(question("the tern", " flies", "the ~", " ice.")));
            assertEquals("here answer 1: its log-likelihood is NaN: the weights are damaged", e.getMessage());
        }
    }

    /** Bytes are tokens, so the split of text into tokens is plain to see; logits are those of the training's forward pass. */
    @ParameterizedTest
    @ValueSource(strings = {"bits 1.58", "method fp32", "bits 8 forward ternary"})
    void logLikelihoodsAreSumsOverTheContinuation(String settings) throws IOException {
        Path run = TinyModel.train(folder, settings.split(" "));
        double[] expected = {byHand(run, "the tern", " flies"), byHand(run, "the tern", " ice."), byHand(run, "the tern", " over it")};
        try (Model model = Model.load(run); SessionGroup group = group(model, 4, TinyModel.CONTEXT)) {
            ChoiceScorer scorer = new ChoiceScorer(group, model.tokenizer());
            assertArrayEquals(expected, scorer.logLikelihoods(question("the tern", " flies", "the tern", " ice.", "the tern", " over it")), BOUND);
            assertEquals(byHand(run, "the tern", "  over it"), scorer.logLikelihoods(question("the tern  ", "over it", "a", "b"))[0], BOUND,
                    "spaces at the end of a context are scored");
        }
    }

    /** A text begins with its own first token where the tokenizer adds none, an empty context with the begin token all the same. */
    @Test
    void contextsBeginAsTheTokenizerHasIt() throws IOException {
        Path run = TinyModel.train(folder, "bits", "1.58", "add-begin-token", "false");
        try (Model model = Model.load(run); SessionGroup group = group(model, 2, TinyModel.CONTEXT)) {
            double[] nats = new ChoiceScorer(group, model.tokenizer()).logLikelihoods(question("the tern", " flies", " ", "ice"));
            assertEquals(byHand(run, tokens(false, "the tern flies"), 8), nats[0], BOUND);
            assertEquals(byHand(run, tokens(true, " ice"), 1), nats[1], BOUND);
        }
    }

    /** Contexts differ, continuations are the same: partial scoring; the first tokens that differ end what is shared. */
    @Test
    void contextsMayDiffer() throws IOException {
        Path run = TinyModel.train(folder, "bits", "1.58");
        try (Model model = Model.load(run); SessionGroup group = group(model, 2, TinyModel.CONTEXT)) {
            double[] nats = new ChoiceScorer(group, model.tokenizer()).logLikelihoods(question("the ice", " flies", "the tern", " flies"));
            assertArrayEquals(new double[] {byHand(run, "the ice", " flies"), byHand(run, "the tern", " flies")}, nats, BOUND);
        }
    }

    /** The window is moved so that the last token of the continuation is predicted from a full context. */
    @Test
    void whatIsLongerThanTheContextLosesItsBeginning() throws IOException {
        Path run = TinyModel.train(folder, "bits", "1.58");
        String context = "north over the sea and the";
        try (Model model = Model.load(run); SessionGroup group = group(model, 2, 16)) {
            ChoiceScorer scorer = new ChoiceScorer(group, model.tokenizer());
            double[] nats = scorer.logLikelihoods(question(context, " ice.", context, " tern flies"));
            assertEquals(byHand(run, tokens(false, context.substring(context.length() - 12) + " ice."), 12), nats[0], BOUND);
            assertEquals(byHand(run, tokens(false, context.substring(context.length() - 6) + " tern flies"), 6), nats[1], BOUND);
        }
    }

    @Test
    void whatIsLongerAloneIsScoredInPieces() throws IOException {
        Path run = TinyModel.train(folder, "bits", "1.58");
        String text = " north over the sea and the ice, and south"; // 42 letters: 16, 16 and 10 are predicted
        try (Model model = Model.load(run); SessionGroup group = group(model, 2, 16)) {
            double[] nats = new ChoiceScorer(group, model.tokenizer()).logLikelihoods(question("the tern", text, "the tern", "s"));
            String all = "the tern" + text;
            double expected = byHand(run, tokens(false, "n" + text.substring(0, 16)), 1)
                    + byHand(run, tokens(false, all.substring(23, 40)), 1) + byHand(run, tokens(false, all.substring(33)), 7);
            assertEquals(expected, nats[0], BOUND * 10);
            assertEquals(byHand(run, "the tern", "s"), nats[1], BOUND);
        }
    }

    /** One sequence after the other, nothing shared. */
    @ParameterizedTest
    @ValueSource(strings = {"bits 1.58", "bits 4", "method fp32", "method bf16"})
    void sharingTheContextChangesNothing(String settings) throws IOException {
        String[] answers = {" north", " flies over the", " s", " and the ice. "};
        String[] question = Arrays.stream(answers).flatMap(a -> java.util.stream.Stream.of("the tern flies", a)).toArray(String[]::new);
        try (Model model = Model.load(TinyModel.train(folder, settings.split(" ")));
                SessionGroup group = group(model, 5, TinyModel.CONTEXT);
                Session session = model.session(SessionOptions.of(model).withCacheType(FloatType.F32))) {
            double[] shared = new ChoiceScorer(group, model.tokenizer()).logLikelihoods(question(question));
            for (int i = 0; i < answers.length; i++) {
                int[] all = tokens(true, "the tern flies" + answers[i]);
                int[] next = Arrays.copyOfRange(all, 1, all.length);
                Arrays.fill(next, 0, "the tern flies".length(), -1);
                session.truncate(0);
                assertEquals(-session.score(Arrays.copyOf(all, all.length - 1), next), shared[i], BOUND * Math.abs(shared[i]));
            }
        }
    }

    /** Three questions by hand: which answer is the likeliest, as it is and by its length. */
    @Test
    void accuraciesAreSharesOfQuestions() throws IOException {
        Path run = TinyModel.train(folder, "bits", "8", "steps", "60", "seq-len", "64");
        String[][] asked = {{"the tern", "flies north over the sea", "x"}, {"over the", "sea", "qqqqqqqq"}, {"and the", "zz", "ice. the tern"}};
        int[] gold = {0, 1, 1};
        StringBuilder lines = new StringBuilder();
        int right = 0;
        int rightByLength = 0;
        for (int q = 0; q < 3; q++) {
            String context = "Question: " + asked[q][0];
            double a = byHand(run, context + "\nAnswer:", " " + asked[q][1]);
            double b = byHand(run, context + "\nAnswer:", " " + asked[q][2]);
            right += (a >= b ? 0 : 1) == gold[q] ? 1 : 0;
            rightByLength += (a / asked[q][1].length() >= b / asked[q][2].length() ? 0 : 1) == gold[q] ? 1 : 0;
            lines.append("{\"query\": \"").append(context).append(q == 1 ? "\\n" : "").append("\", \"choices\": [\"").append(asked[q][1])
                    .append("\", \"").append(asked[q][2]).append("\"], \"gold\": ").append(gold[q]).append("}\n");
        }
        Files.writeString(folder.resolve("by_hand.jsonl"), lines + "\n");
        try (Model model = Model.load(run)) {
            Task task = Task.read(folder, "by_hand", 10);
            assertEquals(2, task.mostAnswers());
            int longest = ("Question: over the\nAnswer: qqqqqqqq").length(); // with a token before it, but for the last
            assertEquals(longest, ChoiceScorer.longest(new Task("one", task.questions().subList(1, 2)), model.tokenizer()));
            TaskResult result = answer(model, task);
            assertEquals(3, result.questions());
            assertEquals(right / 3.0, result.accuracy().value(), 1e-12);
            assertEquals(rightByLength / 3.0, result.normalized().orElseThrow().value(), 1e-12);
            assertTrue(rightByLength > right, "the two differ here, or this proves little");
            assertEquals(1, answer(model, Task.read(folder, "by_hand", 1)).questions());
        }
    }

    /** In no more context than its longest answer takes. */
    private static TaskResult answer(Model model, Task task) throws TaskException {
        try (SessionGroup group = group(model, task.mostAnswers(), ChoiceScorer.longest(task, model.tokenizer()))) {
            return TaskResult.of(group, model.tokenizer(), task, share -> { });
        }
    }

    @Test
    void standardErrorsAreThoseOfTheMean() {
        double[] sample = {1, 0, 0, 1, 1, 1, 0};
        double mean = Arrays.stream(sample).average().orElseThrow();
        double variance = Arrays.stream(sample).map(x -> (x - mean) * (x - mean)).sum() / 6;
        assertEquals(mean, TaskResult.Score.of(4, 7).value(), 1e-15);
        assertEquals(Math.sqrt(variance / 7), TaskResult.Score.of(4, 7).standardError(), 1e-15);
        assertTrue(Double.isNaN(TaskResult.Score.of(1, 1).standardError()));
    }

    @Test
    void theThreeFormsOfQuestions() throws IOException {
        write("a.jsonl", "{\"query\": \"Question: Why?\\n\", \"choices\": [\"Because.\", \"\u00c9t\u00e9\"], \"gold\": 1}\r\n");
        Question plain = TaskFile.read(folder, "a", 9).getFirst();
        assertEquals(new Choice("Question: Why?\nAnswer:", " Because.", 8), plain.choices().get(0));
        assertEquals(new Choice("Question: Why?\nAnswer:", " \u00c9t\u00e9", 5), plain.choices().get(1));
        assertEquals(1, plain.gold());

        write("b.jsonl", "{\"context_options\": [\"so Ann\", \"so Bo\"], \"continuation\": \"left. \", \"gold\": 0}");
        Question partial = TaskFile.read(folder, "b", 9).getFirst();
        assertEquals(List.of(new Choice("so Ann", " left.", 5), new Choice("so Bo", " left.", 5)), partial.choices());
        assertTrue(plain.normalized() && !partial.normalized());

        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(bytes)) {
            gzip.write((request(0, 0, 1, "Question: A\nAnswer:", " x") + request(0, 1, 1, "Question: A\nAnswer:", " yy")
                    + request(1, 0, 0, "Question: B\nAnswer:", " z") + request(1, 1, 0, "Question: B\nAnswer:", " w")
                    + request(9, 0, 1, "Answer:", " x")).getBytes(StandardCharsets.UTF_8));
        }
        Files.write(folder.resolve("c.requests.jsonl.gz"), bytes.toByteArray());
        bytes.write(1); // no second member, which the JDK's stream would pass over
        Files.write(folder.resolve("longer.jsonl.gz"), bytes.toByteArray());
        assertMessage(TaskException.class, "damaged gzip file", folder, "longer");
        List<Question> requests = TaskFile.read(folder, "c", 9);
        assertEquals(2, requests.size(), "requests without their question are left out");
        assertEquals(List.of(new Choice("Question: A\nAnswer:", " x", 1), new Choice("Question: A\nAnswer:", " yy", 2)), requests.get(0).choices());
        assertEquals(List.of(1, 0), requests.stream().map(Question::gold).toList());
        assertEquals(1, TaskFile.read(folder, "c", 1).size());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "[                                                                     | line 2: JSON ends early",
        "3                                                                     | line 2: the line is not an object",
        "{\"choices\": [\"a\", \"b\"], \"gold\": 0}                            | line 2: field \"query\" is missing",
        "{\"query\": 1, \"choices\": [\"a\", \"b\"], \"gold\": 0}              | line 2: field \"query\" is not a string",
        "{\"query\": \"q\", \"choices\": [\"a\"], \"gold\": 0}                 | line 2: field \"choices\" is 1 long: must hold 2 to 100 texts",
        "{\"query\": \"q\", \"choices\": [\"a\", 7], \"gold\": 0}              | line 2: field \"choices\" is 7: must hold texts alone",
        "{\"query\": \"q\", \"choices\": [\"a\", \" \"], \"gold\": 0}          | line 2: field \"choices\" is \"\": an answer must not be blank",
        "{\"query\": \"\", \"choices\": [\"a\", \"b\"], \"gold\": 0}           | line 2: field \"context\" is \"\": must not be blank",
        "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 2}          | line 2: field \"gold\" is 2: must lie in 0...1",
        "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": -1}         | line 2: field \"gold\" is -1: must lie in 0...1",
        "{\"context_options\": [\"a\", \"b\"], \"gold\": 0}                    | line 2: field \"continuation\" is missing",
        "{\"request\": 1}                                                      | line 2: field \"request\" is not an object",
        "{\"request\": {\"context\": \"c\", \"continuation\": \"d\"}, \"doc_id\": 1, \"idx\": 3, \"label\": 0} | line 2: field \"idx\" is 3: must be 0",
        "{\"request\": {\"context\": \"c\", \"continuation\": \"d\"}, \"doc_id\": 1, \"idx\": 0, \"label\": 0} | field \"doc_id\" ends question 1 after one",
    })
    void whatIsNoQuestionIsNamed(String line, String fault) throws IOException {
        write("bad.jsonl", "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 0}\n" + line + "\n");
        String message = assertThrows(TaskException.class, () -> TaskFile.read(folder, "bad", 9)).getMessage();
        assertTrue(message.startsWith(folder.resolve("bad.jsonl").toString()) && message.contains(fault), message);
        assertEquals(1, TaskFile.read(folder, "bad", 1).size(), "what is not asked is not read");
    }

    @Test
    void whatIsNoTaskIsNamed() throws IOException {
        write("empty.jsonl", "\n");
        write("cut.jsonl.gz", "\u001f");
        write("long.jsonl", "x".repeat((1 << 20) + 1));
        assertMessage(TaskException.class, "holds no question", folder, "empty");
        assertMessage(TaskException.class, "damaged gzip file", folder, "cut");
        assertMessage(TaskException.class, "line 1: longer than 1048576 bytes", folder, "long");
        assertMessage(ConfigException.class, "task \"nothing\": no nothing.jsonl", folder, "nothing");
        assertMessage(ConfigException.class, "task \"../a\"", folder, "../a");
        assertMessage(ConfigException.class, "it is no folder", folder.resolve("nowhere"), "a");
    }

    private static void assertMessage(Class<? extends Exception> type, String part, Path in, String task) {
        String message = assertThrows(type, () -> TaskFile.read(in, task, 9)).getMessage();
        assertTrue(message.contains(part), message);
    }

    private static void write(String file, String text) throws IOException {
        Files.writeString(folder.resolve(file), text);
    }

    private static String request(int doc, int index, int label, String context, String continuation) {
        return "{\"request\": {\"context\": \"%s\", \"continuation\": \"%s\"}, \"doc_id\": %d, \"idx\": %d, \"label\": %d}\n"
                .formatted(context.replace("\n", "\\n"), continuation, doc, index, label);
    }

    private static SessionOptions options(Model model, int context) {
        return SessionOptions.of(model).withContext(context).withCacheType(FloatType.F32);
    }

    private static SessionGroup group(Model model, int sequences, int context) {
        return model.group(options(model, context), sequences);
    }

    private static int[] tokens(boolean begins, String text) {
        int[] bytes = text.chars().toArray();
        int[] tokens = new int[bytes.length + (begins ? 1 : 0)];
        System.arraycopy(bytes, 0, tokens, tokens.length - bytes.length, bytes.length);
        if (begins) {
            tokens[0] = END;
        }
        return tokens;
    }

    private static double byHand(Path run, String context, String continuation) throws IOException {
        return byHand(run, tokens(true, context + continuation), 1 + context.length());
    }

    /** Sum of the log-probabilities of tokens from {@code scored} on, in float64 from the logits. */
    private static double byHand(Path run, int[] tokens, int scored) throws IOException {
        float[][] logits = TinyModel.trainingLogits(run, Arrays.copyOf(tokens, tokens.length - 1));
        double nats = 0;
        for (int t = scored; t < tokens.length; t++) {
            double sum = 0;
            for (float logit : logits[t - 1]) {
                sum += Math.exp(logit);
            }
            nats += logits[t - 1][tokens[t]] - Math.log(sum);
        }
        return nats;
    }
}
