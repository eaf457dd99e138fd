package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.RunResult;
import io.sterna.train.TrainConfig;
import io.sterna.train.TrainListener;
import io.sterna.train.TrainingRun;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import java.util.function.IntToDoubleFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class CommandsTest {
    private static final String SPEEDS = "prompt [1-9]\\d* tokens, [\\d.]+ tokens/s; generation [1-9]\\d* tokens, [\\d.]+ tokens/s";
    private static final List<String> TINY = List.of("--hidden", "32", "--intermediate", "64", "--layers", "1", "--heads", "2",
            "--seq-len", "16", "--batch", "2", "--vocab", "270", "--holdout", "0.2", "--quiet");

    @TempDir
    private Path folder;

    /** What a command printed, and its exit code. */
    private record Outcome(int code, String out, String err) {}

    @BeforeEach
    void corpus() throws IOException {
        Random random = new Random(1);
        Files.createDirectories(folder.resolve("data"));
        for (int file = 0; file < 10; file++) {
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 500; i++) {
                text.append("int x").append(random.nextInt(9)).append(" = ").append(random.nextInt(9)).append(";\n");
            }
            Files.writeString(folder.resolve("data").resolve(file + ".java"), text);
        }
    }

    @Test
    void trainThenGenerate() throws IOException {
        Outcome trained = run(train("run", "--steps", "6"));
        assertEquals(0, trained.code, trained.err);
        assertTrue(trained.out.contains("held-out loss") && trained.out.contains("unigram entropy"), trained.out);
        assertEquals("", trained.err);
        assertTrue(Files.readString(folder.resolve("run/report.html")).contains("<pre>"), "samples are in the report");
        Outcome generated = run(List.of("generate", "--model", folder.resolve("run").toString(), "--prompt", "int x", "--max-tokens", "5"));
        assertEquals(0, generated.code, generated.err);
        assertTrue(generated.out.startsWith("int x"), generated.out);
        assertEquals(generated.out, run(List.of("generate", "--model", folder.resolve("run/model").toString(), "--prompt", "int x",
                "--max-tokens", "5")).out, "the same seed gives the same text");
    }

    /** A tokenizer whose end has none of the usual names is used once its id is given, with the same shards by both commands. */
    @Test
    void anEndOfAnotherNameIsGivenByItsId() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        String json = Files.readString(folder.resolve("run/model/tokenizer.json")).replace("<|end|>", "[EOS]");
        String tokenizer = Files.writeString(folder.resolve("unnamed.json"), json).toString();
        List<String> prepare = List.of("data", "prepare", "--data", folder.resolve("data").toString(), "--cache", folder.resolve("cache").toString(),
                "--holdout", "0.2", "--quiet", "--tokenizer", tokenizer);
        for (List<String> command : List.of(train("never", "--tokenizer", tokenizer), prepare)) {
            Outcome refused = run(command);
            assertEquals(2, refused.code);
            assertTrue(refused.err.startsWith("sterna: end-token: must be the id of the token that ends a document"), refused.err);
        }
        Outcome prepared = run(concat(prepare, "--end-token", "0"));
        assertEquals(0, prepared.code, prepared.err);
        assertEquals(0, run(train("unnamed", "--steps", "6", "--tokenizer", tokenizer, "--end-token", "0")).code);
        assertTrue(run(concat(prepare, "--end-token", "0")).out.contains("found prepared"));
        Outcome generated = run(List.of("generate", "--model", folder.resolve("unnamed").toString(), "--prompt", "int x", "--max-tokens", "5"));
        assertEquals(0, generated.code, generated.err);
    }

    @Test
    void trainSaysWhatItTokenizedAndSkipped() throws IOException {
        Files.writeString(folder.resolve("data/picture.png"), "no text");
        String line = "(?s).*tokenized 10 documents, 0\\.\\d MB, at [\\d.]+ MB/s; hidden or binary files skipped: 1\n.*";
        String first = progressOf(train("one", "--steps", "1"));
        assertTrue(first.matches(line), first);
        String second = progressOf(train("two", "--steps", "1"));
        assertFalse(second.contains("tokenized"), second);
    }

    /** What a command tells on standard error as it works. */
    private static String progressOf(List<String> args) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream before = System.err;
        System.setErr(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        try {
            Outcome done = run(args.stream().filter(arg -> !arg.equals("--quiet")).toList());
            assertEquals(0, done.code, done.err);
            return bytes.toString(StandardCharsets.UTF_8).replace("\r\n", "\n");
        } finally {
            System.setErr(before);
        }
    }

    @Test
    void aRunThatDivergesSaysSoAndWhatToDo() throws IOException {
        Outcome diverged = run(train("run", "--steps", "15", "--method", "bitnet", "--optimizer", "sgd", "--lr", "99", "--schedule", "constant",
                "--warmup", "0", "--weight-decay", "0"));
        assertEquals(1, diverged.code, diverged.out);
        assertEquals("", diverged.out);
        assertEquals("sterna: run " + folder.resolve("run") + ": diverged: the loss is not finite after step 15; start a new run with a lower lr"
                + " (now 99.0), a longer warmup (0) or a clip (none)\n", diverged.err);
        assertTrue(new ObjectMapper().readTree(folder.resolve("run/summary.json").toFile()).get("dev_loss").isNull());
    }

    @Test
    void withoutASampleARunIsFinishedAllTheSame() throws IOException {
        TrainConfig config = new TrainConfig().set("hidden", 32).set("intermediate", 64).set("layers", 1).set("heads", 2).set("seq-len", 16)
                .set("batch", 2).set("steps", 1).set("threads", 1).set("tokenizer", "bytes").set("holdout", 0.2)
                .set("data", folder.resolve("data")).set("cache", folder.resolve("cache")).set("out", folder.resolve("run"));
        StringWriter err = new StringWriter();
        CommandLine train = Main.commandLine().setErr(new PrintWriter(err, true)).getSubcommands().get("train");
        try (TrainingRun run = TrainingRun.open(config, TrainListener.NONE)) {
            RunResult result = run.train();
            run.close();
            Files.delete(folder.resolve("run/model/config.json"));
            ((TrainCommand) train.getCommand()).printSample(run, result);
        }
        assertTrue(err.toString().startsWith("sterna: no sample, but the run is finished: "), err.toString());
        assertEquals(1, err.toString().lines().count());
    }

    @Test
    void generateReadsStandardInputAndSaysHowItWent() {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        List<String> command = List.of("generate", "--model", folder.resolve("run").toString(), "--temperature", "0", "--max-tokens", "4");
        Outcome generated = runWith("int x\n", command);
        assertFalse(generated.out.startsWith("int x\n"), "the end of the line is not of the prompt");
        assertEquals(0, generated.code, generated.err);
        assertTrue(generated.out.startsWith("int x"), generated.out);
        assertTrue(generated.err.matches(SPEEDS + "; [a-z ]+\\s+"), generated.err);
        Outcome plain = run(concat(command, "--prompt", "<|end|>"));
        assertFalse(plain.err.startsWith("prompt 2 tokens"), plain.err);
        Outcome special = run(concat(command, "--prompt", "<|end|>", "--special"));
        assertTrue(special.err.startsWith("prompt 2 tokens"), special.err);
        List<String> tooLong = new ArrayList<>(command);
        tooLong.addAll(List.of("--prompt", "int ".repeat(50)));
        Outcome refused = run(tooLong);
        assertEquals(2, refused.code);
        assertTrue(refused.err.contains("the context holds 16; shorten the prompt"), refused.err);
        assertEquals(2, run(List.of("generate", "--model", folder.resolve("run").toString(), "--prompt", "", "--top-p", "2")).code);
    }

    @Test
    void manyPromptsGiveTheTextsOfEach() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        Path prompts = Files.writeString(folder.resolve("prompts.txt"), "int x\n\nint\nx = 3;\nint x\n");
        List<String> command = List.of("generate", "--model", folder.resolve("run").toString(), "--max-tokens", "5", "--prompts", prompts.toString());
        List<String> two = new ArrayList<>(command);
        two.addAll(List.of("--batch", "2", "--quiet"));
        Outcome many = run(two);
        assertEquals(0, many.code, many.err);
        List<JsonNode> texts = new ArrayList<>();
        for (String line : many.out.lines().toList()) {
            texts.add(new ObjectMapper().readTree(line));
        }
        assertEquals(List.of("int x", "", "int", "x = 3;", "int x"), texts.stream().map(t -> t.get("prompt").asText()).toList());
        assertEquals(texts.get(0).get("text"), texts.get(4).get("text"));
        String alone = run(List.of("generate", "--model", folder.resolve("run").toString(), "--max-tokens", "5", "--prompt", "int x")).out;
        assertEquals(alone.strip(), ("int x" + texts.get(0).get("text").asText()).strip());
        String speeds = run(command).err;
        assertTrue(speeds.matches("5 texts; " + SPEEDS + "\n"), speeds);
        int promptTokens = texts.stream().mapToInt(t -> t.get("prompt_tokens").asInt()).sum();
        int tokens = texts.stream().mapToInt(t -> t.get("tokens").asInt()).sum();
        assertTrue(speeds.contains("; prompt " + promptTokens + " tokens") && speeds.contains("; generation " + tokens + " tokens"), speeds);
        Files.writeString(prompts, "");
        assertEquals("0 texts; prompt 0 tokens, 0.0 tokens/s; generation 0 tokens, 0.0 tokens/s\n", run(command).err);
        Files.writeString(prompts, "int\n" + "int ".repeat(50));
        Outcome refused = run(command);
        assertEquals(2, refused.code);
        assertTrue(refused.err.contains("prompts.txt line 2: prompt of") && refused.err.contains("the context holds 16"), refused.err);
    }

    /** A model whose logits are infinite behind one token and finite behind all others: the first feature of the residual is of that token alone. */
    @Test
    void aTextWhoseLogitsAreNotFiniteEndsAlone() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2", "--method", "fp32")).code);
        Path hf = folder.resolve("hf");
        assertEquals(0, run(List.of("export", "--model", folder.resolve("run").toString(), "--format", "hf", "--out", hf.toString())).code);
        int bad = new ObjectMapper().readTree(hf.resolve("tokenizer.json").toFile()).get("model").get("vocab").get("~").asInt();
        fillColumn(hf.resolve("model.safetensors"), "model.embed_tokens.weight", 0, 32, row -> row == bad ? 100 : 0);
        fillColumn(hf.resolve("model.safetensors"), "lm_head.weight", 0, 32, row -> 3e38f);
        for (int column = 0; column < 64; column++) {
            fillColumn(hf.resolve("model.safetensors"), "model.layers.0.self_attn.o_proj.weight", column % 32, 32 * 32, row -> 0);
            fillColumn(hf.resolve("model.safetensors"), "model.layers.0.mlp.down_proj.weight", column, 32 * 64, row -> 0);
        }
        String model = folder.resolve("damaged").toString();
        assertEquals(0, run(List.of("import", hf.toString(), "--out", model)).code);
        Path prompts = Files.writeString(folder.resolve("prompts.txt"), "int x\nint ~\nx\n");
        Outcome many = run(List.of("generate", "--model", model, "--max-tokens", "5", "--temperature", "0", "--prompts", prompts.toString()));
        assertEquals(1, many.code);
        assertTrue(many.err.endsWith("prompts.txt line 2: logit of token 0 is Infinity: the weights are damaged; 1 of 3 texts ended so\n"), many.err);
        List<JsonNode> texts = new ArrayList<>();
        for (String line : many.out.lines().toList()) {
            texts.add(new ObjectMapper().readTree(line));
        }
        assertEquals(List.of("max tokens", "not finite", "max tokens"), texts.stream().map(t -> t.get("end").asText()).toList());
        assertEquals("logit of token 0 is Infinity: the weights are damaged", texts.get(1).get("error").asText());
        assertEquals(0, texts.get(1).get("tokens").asInt());
        assertFalse(texts.get(0).has("error"));
        Outcome evaluated = run(List.of("eval", "--model", model, "--data", prompts.toString(), "--quiet"));
        assertEquals(1, evaluated.code);
        assertTrue(evaluated.err.matches("sterna: the loss of the text is (Infinity|NaN): the model's weights are damaged\n"), evaluated.err);
        assertEquals("", evaluated.out);
    }

    /** Sets every {@code step}-th float of a tensor of a safetensors file, from the one at {@code first} on. */
    private static void fillColumn(Path file, String tensor, int first, int step, IntToDoubleFunction value) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int header = (int) bytes.getLong(0);
        JsonNode offsets = new ObjectMapper().readTree(bytes.array(), Long.BYTES, header).get(tensor).get("data_offsets");
        FloatBuffer floats = bytes.slice(Long.BYTES + header + offsets.get(0).asInt(), offsets.get(1).asInt() - offsets.get(0).asInt())
                .order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        for (int i = first; i < floats.capacity(); i += step) {
            floats.put(i, (float) value.applyAsDouble(i / step));
        }
        Files.write(file, bytes.array());
    }

    @Test
    void textsThatCannotBeReadAreNamed() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        String model = folder.resolve("run").toString();
        Path broken = Files.write(folder.resolve("broken.txt"), new byte[] {'i', 'n', 't', '\n', (byte) 0xff});
        for (List<String> command : List.of(List.of("generate", "--model", model, "--prompts"), List.of("eval", "--model", model, "--data"))) {
            Outcome refused = run(concat(command, folder.toString()));
            assertEquals(2, refused.code);
            assertEquals("sterna: " + folder + ": is a folder; name a file", refused.err.strip());
        }
        Outcome noText = run(List.of("eval", "--model", model, "--data", broken.toString()));
        assertEquals(2, noText.code);
        assertTrue(noText.err.contains("broken.txt: byte 4 is not UTF-8"), noText.err);
        assertEquals(2, run(List.of("convert", "--model", model, "--data", broken.toString(), "--out", folder.resolve("none").toString())).code);
        Outcome refused = run(List.of("generate", "--model", model, "--prompts", broken.toString()));
        assertEquals(2, refused.code);
        assertEquals("sterna: " + broken + ": byte 4 is not UTF-8; convert the text", refused.err.strip());
    }

    @Test
    void aContextThatMemoryDoesNotHoldIsRefused() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        Path config = folder.resolve("run/model/config.json");
        Files.writeString(config, Files.readString(config).replace("\"seq-len\": 16", "\"seq-len\": 1048576"));
        Path prompts = Files.writeString(folder.resolve("prompts.txt"), "int x\n".repeat(16384));
        Outcome refused = run(List.of("generate", "--model", folder.resolve("run").toString(), "--prompts", prompts.toString(), "--batch", "16384",
                "--context", "1048576"));
        assertEquals(2, refused.code);
        assertTrue(refused.err.startsWith("sterna: context 1048576 of 16384 sequences: needs "), refused.err);
    }

    /** Nobody waits for memory that the text does not need: a context as long as some models allow. */
    @Test
    void aLongContextIsTakenOnlyWhenItIsAskedFor() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        String model = folder.resolve("run").toString();
        String text = Files.writeString(folder.resolve("text.txt"), "int x = 1;\n".repeat(2000)).toString();
        List<String> generate = List.of("generate", "--model", model, "--prompt", "int x", "--max-tokens", "4");
        List<String> prompts = List.of("generate", "--model", model, "--quiet", "--max-tokens", "4", "--prompts",
                Files.writeString(folder.resolve("prompts.txt"), "int x\nint\n").toString());
        String alone = run(generate).out;
        String many = run(prompts).out;
        Path config = folder.resolve("run/model/config.json");
        Files.writeString(config, Files.readString(config).replace("\"seq-len\": 16", "\"seq-len\": 1048576"));
        assertEquals(alone, run(generate).out);
        Outcome sideBySide = run(concat(prompts, "--batch", "16384"));
        assertEquals(many, sideBySide.out, sideBySide.err);
        Outcome evaluated = run(List.of("eval", "--model", model, "--data", text));
        assertTrue(evaluated.out.contains("windows of 4096 tokens, 2048 apart"), evaluated.out + evaluated.err);
        assertEquals(0, runWith("int\n", List.of("chat", "--model", model, "--max-tokens", "3")).code);
    }

    @Test
    void faultsOfTasksAreFoundBeforeAnyIsAsked() throws IOException {
        String question = "{\"query\": \"Question: int x\", \"choices\": [\"1\", \"2\"], \"gold\": 0}\n";
        Files.writeString(folder.resolve("good.jsonl"), "\ufeff" + question);
        Files.writeString(folder.resolve("bad.jsonl"), question + "{\"query\": 1}\n");
        List<String> command = List.of("eval", "--task-data", folder.toString(), "--model");
        for (String tasks : List.of("good,bda", "good,bad")) {
            Outcome refused = run(concat(command, folder.resolve("nowhere").toString(), "--tasks", tasks));
            assertEquals(tasks.equals("good,bda") ? 2 : 1, refused.code, "not there, and damaged");
            assertTrue(refused.err.contains(tasks.equals("good,bda") ? "task \"bda\": no bda.jsonl" : "bad.jsonl line 2: field \"query\""), refused.err);
        }
        assertEquals(0, run(train("run", "--steps", "2")).code);
        Outcome asked = run(concat(command, folder.resolve("run").toString(), "--tasks", "good"));
        assertEquals(0, asked.code, asked.err);
        assertTrue(asked.out.startsWith("task ") && asked.out.contains("good "), asked.out);
    }

    /** Editors of some systems put a mark before a text; it is no part of it. */
    @Test
    void aByteOrderMarkIsNoText() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2")).code);
        String model = folder.resolve("run").toString();
        List<String> figures = new ArrayList<>();
        List<String> texts = new ArrayList<>();
        for (String mark : List.of("", "\ufeff")) {
            String text = Files.writeString(folder.resolve("text.txt"), mark + "int x = 1;\n").toString();
            JsonNode measured = new ObjectMapper().readTree(run(List.of("eval", "--model", model, "--json", "--data", text)).out);
            figures.add(measured.get("nats_per_token") + " " + measured.get("bytes"));
            texts.add(run(List.of("generate", "--model", model, "--quiet", "--max-tokens", "3", "--prompts", text)).out
                    + runWith(mark + "int x\n", List.of("generate", "--model", model, "--quiet", "--max-tokens", "3")).out);
        }
        assertEquals(figures.get(0), figures.get(1));
        assertEquals(texts.get(0), texts.get(1));
    }

    @Test
    void aFolderWithoutATokenizerIsGivenOne() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2")).code);
        Path hf = folder.resolve("hf");
        assertEquals(0, run(List.of("export", "--model", folder.resolve("run").toString(), "--format", "hf", "--out", hf.toString())).code);
        Path tokenizer = Files.move(hf.resolve("tokenizer.json"), folder.resolve("other.json"));
        List<String> command = List.of("import", hf.toString(), "--out", folder.resolve("back").toString());
        Outcome without = run(command);
        assertEquals(1, without.code);
        assertEquals("sterna: model " + hf + ": no tokenizer.json or tokenizer.model there; name one with --tokenizer", without.err.strip());
        Outcome nowhere = run(concat(command, "--tokenizer", "nowhere.json"));
        assertEquals(2, nowhere.code);
        assertTrue(nowhere.err.contains("tokenizer nowhere.json: no such file"), nowhere.err);
        Outcome supplied = run(concat(command, "--tokenizer", tokenizer.toString()));
        assertEquals(0, supplied.code, supplied.err);
        assertEquals(-1, Files.mismatch(tokenizer, folder.resolve("back/tokenizer.json")));
        assertEquals(0, run(List.of("generate", "--model", folder.resolve("back").toString(), "--prompt", "x", "--max-tokens", "2")).code);
    }

    @Test
    void generationEndsWhenNobodyReadsIt() {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        PrintStream before = System.out;
        System.setOut(new PrintStream(new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                throw new IOException("closed");
            }
        }));
        try {
            StringWriter err = new StringWriter();
            int code = Main.commandLine().setErr(new PrintWriter(err, true)).execute("generate", "--model",
                    folder.resolve("run").toString(), "--prompt", "int");
            assertEquals(1, code);
            assertEquals("sterna: " + Output.FAILED, err.toString().strip());
        } finally {
            System.setOut(before);
        }
    }

    @Test
    void aConversationGoesOnUntilTheEndOfInput() {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        Outcome chat = runWith("int\n/new\nint\nx\n/quit\nnever read", List.of("chat", "--model", folder.resolve("run").toString(),
                "--max-tokens", "3", "--user-label", "U", "--model-label", "M"));
        assertEquals(0, chat.code, chat.err);
        assertEquals(5, chat.out.split("U ", -1).length - 1, chat.out);
        assertTrue(chat.err.matches("(" + SPEEDS + "; [a-z ]+\n){3}"), chat.err);
        Outcome quiet = runWith("int\n", List.of("chat", "--model", folder.resolve("run").toString(), "--max-tokens", "3", "--quiet",
                "--user-label", "U", "--model-label", "M"));
        assertEquals("", quiet.err);
        assertFalse(quiet.out.contains("U ") || quiet.out.startsWith("M"), quiet.out);
        assertFalse(chat.out.contains("never"), chat.out);
    }

    @Test
    void aLineThatIsNoTextIsNamedAndNoPartOfTheConversation() {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        List<String> command = List.of("chat", "--model", folder.resolve("run").toString(), "--max-tokens", "3", "--user-label", "U", "--model-label", "M");
        Outcome chat = runWith("int\r\nx \u00ff\nx".getBytes(StandardCharsets.ISO_8859_1), command);
        assertEquals(0, chat.code, chat.err);
        String note = "(line: byte 2 is not UTF-8; convert the text; it is no part of the conversation)\nU ";
        assertTrue(chat.out.contains(note), chat.out);
        assertEquals(runWith("int\nx\n", command).out, chat.out.replace(note, ""));
    }

    /** A token that --max-tokens ends an answer with is seen before the next line: that fits 16 tokens, not 15. */
    @Test
    void anAnswerCutShortIsInTheConversation() {
        assertEquals(0, run(train("run", "--steps", "6", "--tokenizer", "bytes", "--vocab", "257")).code);
        for (int context : new int[] {15, 16}) {
            Outcome chat = runWith("int\nx\n", List.of("chat", "--model", folder.resolve("run").toString(), "--context", "" + context,
                    "--max-tokens", "2", "--temperature", "0", "--stop", "never", "--user-label", "U", "--model-label", "M"));
            assertEquals(0, chat.code, chat.err);
            assertEquals(context == 15, chat.out.contains("has no room for this line"), chat.out);
        }
    }

    @Test
    void aLineThatTheConversationHasNoRoomForBeginsANewOne() {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        Outcome chat = runWith("int x\nint y = 1;\n" + "int ".repeat(50) + "\n", List.of("chat", "--model", folder.resolve("run").toString(),
                "--max-tokens", "1", "--user-label", "U", "--model-label", "M"));
        assertEquals(0, chat.code, chat.err);
        assertEquals(List.of("has no room for this line", "has no room for this line", "shorten the prompt"),
                chat.out.lines().filter(line -> line.startsWith("(")).map(line -> line.replaceAll(".*(has no room for this line|shorten the prompt).*", "$1")).toList(),
                chat.out);
    }

    @Test
    void aModelGoesToHuggingFaceAndBack() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2")).code);
        Path out = folder.resolve("hf");
        List<String> command = List.of("export", "--model", folder.resolve("run").toString(), "--format", "hf", "--out", out.toString());
        Outcome exported = run(command);
        assertEquals(0, exported.code, exported.err);
        for (String file : List.of("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
            assertTrue(Files.size(out.resolve(file)) > 0, file);
        }
        Outcome again = run(command);
        assertEquals(2, again.code);
        assertTrue(again.err.contains("holds files already; choose another folder"), again.err);
        Outcome imported = run(List.of("import", out.toString(), "--out", folder.resolve("back").toString()));
        assertEquals(0, imported.code, imported.err);
        assertEquals(0, run(List.of("generate", "--model", folder.resolve("back").toString(), "--prompt", "x", "--max-tokens", "2")).code);
    }

    /** Packed weights of another's folder, imported, are what a training starts from. */
    @Test
    void anImportedModelIsTrainedOn() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2")).code);
        Path packed = folder.resolve("packed");
        Path imported = folder.resolve("imported");
        assertEquals(0, run(List.of("export", "--model", folder.resolve("run").toString(), "--format", "hf", "--type", "packed",
                "--shard-size", "20000", "--out", packed.toString())).code);
        assertTrue(Files.exists(packed.resolve("model.safetensors.index.json")));
        assertEquals(0, run(List.of("import", packed.toString(), "--out", imported.toString())).code);
        List<String> tuning = List.of("train", "--init", imported.toString(), "--data", folder.resolve("data").toString(), "--cache",
                folder.resolve("cache").toString(), "--seq-len", "16", "--batch", "2", "--holdout", "0.2", "--bits", "4", "--steps", "2", "--quiet");
        Outcome tuned = run(concat(tuning, "--out", folder.resolve("tuned").toString()));
        assertEquals(0, tuned.code, tuned.err);
        assertTrue(Files.readString(folder.resolve("tuned/model/config.json")).contains("\"scale\": \"row\""));
        Outcome planned = run(concat(tuning, "--dry-run"));
        assertTrue(planned.out.contains("from " + imported), planned.out + planned.err);
        Outcome contradicted = run(concat(tuning, "--hidden", "64"));
        assertEquals(2, contradicted.code, contradicted.out);
        assertTrue(contradicted.err.contains("hidden 64: the model " + imported + " has 32; leave it out"), contradicted.err);
    }

    private static List<String> concat(List<String> args, String... more) {
        List<String> all = new ArrayList<>(args);
        all.addAll(List.of(more));
        return all;
    }

    @Test
    void aModelGoesToLlamaCppAndBack() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2", "--method", "fp32")).code);
        Path out = folder.resolve("model.gguf");
        List<String> command = List.of("export", "--model", folder.resolve("run").toString(), "--format", "gguf", "--type", "q8_0",
                "--out", out.toString());
        Outcome exported = run(command);
        assertEquals(0, exported.code, exported.err);
        Outcome again = run(command);
        assertEquals(2, again.code);
        assertTrue(again.err.contains("exists already; choose another file"), again.err);
        for (List<String> tokenizer : List.of(List.<String>of(), List.of("--tokenizer", folder.resolve("run/model/tokenizer.json").toString()))) {
            Path back = folder.resolve("back" + tokenizer.size());
            List<String> importing = new ArrayList<>(List.of("import", out.toString(), "--out", back.toString()));
            importing.addAll(tokenizer);
            Outcome imported = run(importing);
            assertEquals(0, imported.code, imported.err);
            assertEquals(0, run(List.of("generate", "--model", back.toString(), "--prompt", "x", "--max-tokens", "2")).code);
        }
    }

    @Test
    void perplexityComesAsTextAndAsJson() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        String text = folder.resolve("data/0.java").toString();
        List<String> command = List.of("eval", "--model", folder.resolve("run").toString(), "--data", text, "--stride", "16");
        Outcome printed = run(command);
        assertEquals(0, printed.code, printed.err);
        assertTrue(printed.out.contains("token perplexity") && printed.out.contains("bits per byte"), printed.out);
        List<String> asJson = new ArrayList<>(command);
        asJson.add("--json");
        JsonNode figures = new ObjectMapper().readTree(run(asJson).out);
        assertEquals(Files.size(Path.of(text)), figures.get("bytes").asLong());
        assertEquals(4 * 500, figures.get("words").asLong());
        double nats = figures.get("nats_per_token").asDouble();
        assertTrue(nats > 0 && nats < Math.log(270) * 1.1, "no worse than chance: " + nats);
        assertEquals(Math.exp(nats), figures.get("token_perplexity").asDouble(), 1e-6 * Math.exp(nats));
        Path blank = Files.writeString(folder.resolve("blank.txt"), " \n ");
        JsonNode wordless = new ObjectMapper().readTree(run(List.of("eval", "--model", folder.resolve("run").toString(), "--data",
                blank.toString(), "--json")).out);
        assertTrue(wordless.get("word_perplexity").isNull() && wordless.get("bits_per_byte").isNumber(), wordless.toString());
    }

    @Test
    void aModelIsConvertedToTernary() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6", "--bits", "8")).code);
        Path out = folder.resolve("ternary");
        List<String> command = List.of("convert", "--model", folder.resolve("run").toString(), "--out", out.toString(), "--data",
                folder.resolve("data/0.java").toString(), "--threads", "1");
        Outcome converted = run(command);
        assertEquals(0, converted.code, converted.err);
        assertTrue(converted.out.contains("model " + out) && converted.out.matches("(?s).*token perplexity  [\\d.]+ before, [\\d.]+ after \\([+-][\\d.]+ %\\), on .*0.java\\s+"),
                converted.out);
        Path empty = Files.createFile(folder.resolve("empty.txt"));
        Outcome taken = run(concat(command.subList(0, 5), "--data", empty.toString()));
        assertEquals(2, taken.code, taken.out);
        assertTrue(taken.err.contains("holds files already"), "found before the text is measured: " + taken.err);
        Path unmeasured = folder.resolve("unmeasured");
        assertEquals(2, run(List.of("convert", "--model", folder.resolve("run").toString(), "--out", unmeasured.toString(), "--data",
                empty.toString())).code);
        assertFalse(Files.exists(unmeasured), "a text that cannot be measured leaves no model");
        assertEquals(0, run(List.of("generate", "--model", out.toString(), "--prompt", "x", "--max-tokens", "2", "--cache", "int8",
                "--float-type", "bf16")).code);
    }

    /** Without a text it is measured on what the run held out, which the run's own loss is of. */
    @Test
    void whatAConversionCostsIsMeasuredOnWhatTheRunHeldOut() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6", "--bits", "8", "--eval-sequences", "7")).code);
        Outcome measured = convert("run", "ternary");
        Matcher figures = Pattern.compile("token perplexity  ([\\d.]+) before, ([\\d.]+) after \\([+-][\\d.]+ %\\), on 7 windows of 16 tokens that the run held out")
                .matcher(measured.out);
        assertTrue(figures.find(), measured.out);
        double loss = new ObjectMapper().readTree(folder.resolve("run/summary.json").toFile()).get("dev_loss").asDouble();
        assertEquals(Math.exp(loss), Double.parseDouble(figures.group(1)), 1e-3 * Math.exp(loss));
        assertFalse(figures.group(1).equals(figures.group(2)), measured.out);

        Outcome noRun = convert("ternary", "again");
        assertTrue(noRun.out.contains("token perplexity  not measured: model " + folder.resolve("ternary") + ": comes from no run"), noRun.out);
        assertTrue(noRun.out.endsWith("; --data FILE measures it on a text\n"), noRun.out);

        Files.move(folder.resolve("cache"), folder.resolve("elsewhere"));
        Outcome gone = convert("run", "unmeasured");
        assertTrue(gone.out.contains("not measured: model " + folder.resolve("run/model") + ": the data of its run are no longer in "
                + folder.resolve("cache")), gone.out);
        assertTrue(Files.exists(folder.resolve("unmeasured/weights.sterna")));
    }

    private Outcome convert(String model, String out) {
        Outcome converted = run(List.of("convert", "--bits", "1.58", "--model", folder.resolve(model).toString(), "--out",
                folder.resolve(out).toString(), "--quiet"));
        assertEquals(0, converted.code, converted.err);
        return converted;
    }

    @Test
    void generationIsTimedBesideTheCeilings() throws IOException {
        Path json = folder.resolve("generate.json");
        Outcome bench = run(List.of("bench", "generate", "--hidden", "64", "--intermediate", "128", "--layers", "1", "--heads", "2", "--vocab", "300",
                "--seq-len", "32", "--prompt-tokens", "16", "--batch", "3", "--cache", "int8", "--threads", "1", "--seconds", "0.1", "--json", json.toString()));
        assertEquals(0, bench.code, bench.err);
        JsonNode figures = new ObjectMapper().readTree(json.toFile());
        for (String key : List.of("one_share_of_bandwidth", "batch_over_one", "prompt_share_of_int8_product")) {
            assertTrue(figures.get(key).asDouble() > 0, key);
        }
        assertEquals(2L * 2 * 17 * (64 + 4), figures.get("bytes_cache").asLong(), "two heads of 32 bytes, rounded up, and a scale");
        assertTrue(bench.out.contains("3 sequences"), bench.out);
    }

    @Test
    void trainingIsTimedBesideTheCeilingAndItsPlan() throws IOException {
        Path json = folder.resolve("train.json");
        List<String> command = new ArrayList<>(TINY.subList(0, TINY.indexOf("--holdout")));
        command.addAll(0, List.of("bench", "train", "--state", "int8", "--warm-up", "0", "--threads", "1", "--seconds", "0.001", "--json", json.toString()));
        Outcome bench = run(command);
        assertEquals(0, bench.code, bench.err);
        JsonNode figures = new ObjectMapper().readTree(json.toFile());
        for (String key : List.of("tokens_per_second", "flops_per_second", "share_of_ceiling", "peak_rss_bytes", "predicted_peak_bytes")) {
            assertTrue(figures.get(key).asDouble() > 0, key);
        }
        assertEquals(figures.get("ms_per_step").asDouble(), sum(figures.get("ms_by_operation")), 1e-6, figures.toString());
        assertEquals(figures.get("ms_per_step").asDouble(), sum(figures.get("ms_by_phase")), 1e-6, figures.toString());
        double beside = figures.get("predicted_peak_bytes").asDouble() - sum(figures.get("bytes_by_kind"));
        assertTrue(beside > 0 && beside < 100e6, figures.toString());
        assertEquals(32, figures.get("tokens_per_step").asInt());
    }

    private static double sum(JsonNode numbers) {
        double sum = 0;
        for (JsonNode number : numbers) {
            sum += number.asDouble();
        }
        return sum;
    }

    @Test
    void tasksComeAsTextAndAsJson() throws IOException {
        assertEquals(0, run(train("run", "--steps", "6")).code);
        Files.writeString(folder.resolve("piqa.jsonl"), "{\"query\": \"Question: x\\n\", \"choices\": [\"= 1\", \"= 2\"], \"gold\": 1}\n".repeat(3));
        Files.writeString(folder.resolve("winogrande.jsonl"), "{\"context_options\": [\"int x\", \"int y\"], \"continuation\": \"= 2;\", \"gold\": 0}\n");
        List<String> command = List.of("eval", "--model", folder.resolve("run").toString(), "--tasks", "piqa,winogrande", "--task-data",
                folder.toString(), "--limit", "2", "--quiet");
        Outcome printed = run(command);
        assertEquals(0, printed.code, printed.err);
        assertTrue(printed.out.lines().anyMatch(l -> l.matches("piqa +2 +[01]\\.0000 +0\\.0000 +[01]\\.0000 +0\\.0000")), printed.out);
        List<String> asJson = new ArrayList<>(command);
        asJson.add("--json");
        JsonNode figures = new ObjectMapper().readTree(run(asJson).out).get("tasks");
        assertEquals(2, figures.get("piqa").get("questions").asInt());
        assertTrue(figures.get("piqa").has("acc_norm_stderr"));
        assertFalse(figures.get("winogrande").has("acc_norm"), "all answers share one continuation");
        assertTrue(figures.get("winogrande").get("acc_stderr").isNull(), "one question has no standard error");
    }

    /** An answer that becomes one token with its context cannot be scored, which shows when its turn comes. */
    @Test
    void whatWasMeasuredIsToldWhenALaterTaskFails() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2")).code);
        Files.writeString(folder.resolve("good.jsonl"), "{\"query\": \"Question: x\", \"choices\": [\"1\", \"2\"], \"gold\": 0}\n");
        String answer = "{\"request\": {\"context\": \"i\", \"continuation\": \"nt\"}, \"doc_id\": 0, \"idx\": %d, \"label\": 0}\n";
        Files.writeString(folder.resolve("bad.requests.jsonl"), answer.formatted(0) + answer.formatted(1));
        List<String> command = List.of("eval", "--model", folder.resolve("run").toString(), "--task-data", folder.toString(), "--quiet");
        Outcome text = run(concat(command, "--tasks", "good,bad"));
        assertEquals(1, text.code);
        assertTrue(text.err.contains("adds no token to its context"), text.err);
        assertTrue(text.out.contains("good ") && !text.out.contains("bad"), text.out);
        Outcome json = run(concat(command, "--tasks", "good,bad", "--json"));
        assertEquals(1, json.code);
        assertEquals(text.err, json.err);
        JsonNode figures = new ObjectMapper().readTree(json.out);
        assertEquals(1, figures.get("tasks").size());
        assertEquals(1, figures.get("tasks").get("good").get("questions").asInt());
        assertEquals("", run(concat(command, "--tasks", "bad", "--json")).out, "nothing was measured");
        Outcome context = run(concat(command, "--tasks", "good", "--context", "0"));
        assertEquals(2, context.code, context.err);
    }

    @Test
    void aYamlFileAndOptionsThatOverrideIt() throws IOException {
        Path yaml = Files.writeString(folder.resolve("c.yaml"), "steps: 3\nseed: 7\nbits: 4\n");
        Outcome trained = run(train("run", "--config", yaml.toString(), "--steps", "2"));
        assertEquals(0, trained.code, trained.err);
        JsonNode summary = new ObjectMapper().readTree(folder.resolve("run/summary.json").toFile());
        assertEquals(2, summary.get("steps").asInt());
        assertEquals(7, summary.get("seed").asInt());
        assertEquals("4", summary.get("bits").asText());
        assertEquals(YamlConfig.read(folder.resolve("run/config.yaml")).get("steps"), 2, "what is written can be read");
    }

    @Test
    void preparedDataIsFoundAgain() {
        List<String> prepare = List.of("data", "prepare", "--quiet", "--data", folder.resolve("data").toString(), "--vocab", "270",
                "--cache", folder.resolve("cache").toString(), "--holdout", "0.2");
        Outcome first = run(prepare);
        assertEquals(0, first.code, first.err);
        assertTrue(first.out.contains("tokenized at"), first.out);
        assertTrue(run(prepare).out.contains("found prepared"));
    }

    @Test
    void whatIsPreparedIsWhatTrainLooksFor() throws IOException {
        Path config = Files.writeString(folder.resolve("tiny.yaml"), """
                vocab: 270
                holdout: 0.2
                hidden: 32
                intermediate: 64
                layers: 1
                heads: 2
                seq-len: 16
                batch: 2
                """);
        assertPreparedForTrain("configured", List.of("--config", config.toString()), List.of());
        assertPreparedForTrain("tuned", List.of("--init", folder.resolve("configured").toString(), "--holdout", "0.2"), List.of("--seq-len", "16"));
        assertPreparedForTrain("ended", List.of("--tokenizer", "bytes", "--end-token", "10", "--holdout", "0.2"),
                List.of("--hidden", "32", "--intermediate", "64", "--layers", "1", "--heads", "2", "--seq-len", "16", "--batch", "2"));
        List<String> prepare = List.of("data", "prepare", "--quiet", "--data", folder.resolve("data").toString(), "--cache",
                folder.resolve("cache").toString(), "--preset", "8m");
        int vocab = new TrainConfig().set("preset", "8m").resolved().vocab;
        Outcome tooMuch = run(prepare);
        assertTrue(tooMuch.err.contains("vocabulary of " + vocab + " tokens is more than the data supports"), tooMuch.err);
        assertEquals(2, run(concat(prepare, "--begin-token", "1")).code, "as train has it");
    }

    private void assertPreparedForTrain(String out, List<String> settings, List<String> more) throws IOException {
        Path cache = folder.resolve("cache-" + out);
        List<String> data = concat(settings, "--quiet", "--data", folder.resolve("data").toString(), "--cache", cache.toString());
        Outcome prepared = run(Stream.concat(Stream.of("data", "prepare"), data.stream()).toList());
        assertEquals(0, prepared.code, prepared.err);
        Path manifest;
        try (Stream<Path> files = Files.walk(cache)) {
            manifest = files.filter(file -> file.endsWith("manifest.json")).findFirst().orElseThrow();
        }
        FileTime made = Files.getLastModifiedTime(manifest);
        List<String> train = new ArrayList<>(List.of("train", "--steps", "1", "--out", folder.resolve(out).toString()));
        train.addAll(data);
        train.addAll(more);
        Outcome trained = run(train);
        assertEquals(0, trained.code, trained.err);
        assertEquals(made, Files.getLastModifiedTime(manifest), "found");
        try (Stream<Path> folders = Files.list(cache)) {
            assertEquals(1, folders.count(), "and nothing else made");
        }
    }

    /** As with {@code --data .}, where runs and prepared data go below the current folder. */
    @Test
    void aFolderThatHoldsItsRunsRemainsTheSameCorpus() throws IOException {
        for (String out : List.of("runs/one", "runs/two")) {
            List<String> args = new ArrayList<>(List.of("train", "--data", folder.toString(), "--cache",
                    folder.resolve("runs/data").toString(), "--out", folder.resolve(out).toString(), "--steps", "1"));
            args.addAll(TINY);
            Outcome trained = run(args);
            assertEquals(0, trained.code, trained.err);
        }
        try (Stream<Path> prepared = Files.list(folder.resolve("runs/data"))) {
            assertEquals(1, prepared.count());
        }
    }

    @Test
    void aDryRunMakesNothing() {
        Outcome plan = run(train("run", "--dry-run"));
        assertEquals(0, plan.code, plan.err);
        assertTrue(plan.out.contains("predicted peak memory") && plan.out.contains("FLOP a token"), plan.out);
        assertFalse(Files.exists(folder.resolve("run")));
        assertEquals(2, run(train("data", "--dry-run")).code, "a folder that is taken");
        assertTrue(plan.out.contains("vocabulary 270") && plan.out.contains("steps "), plan.out);
        Outcome bytes = run(train("run", "--dry-run", "--tokenizer", "bytes", "--vocab", "257"));
        assertTrue(bytes.out.contains("vocabulary 257"), bytes.out + bytes.err);
    }

    @Test
    void everyCommandHasHelpAndAVersion() {
        for (List<String> command : List.of(List.<String>of(), List.of("train"), List.of("data", "prepare"), List.of("bench", "kernels"))) {
            assertTrue(run(concat(command, "--version")).out.startsWith("sterna "), command.toString());
            String help = run(concat(command, "--help")).out;
            assertTrue(help.startsWith("Usage: sterna") && !help.contains("\\s"), help);
        }
        Outcome help = run(List.of("help", "convert"));
        assertEquals(0, help.code, help.err);
        assertTrue(help.out.startsWith("Usage: sterna convert"), help.out);
    }

    @Test
    void exitCodesAreListed() {
        String help = run(List.of("--help")).out;
        assertTrue(help.matches("(?s).*Exit codes:\\n +0 +done\\n +1 +failed\\n +2 +used wrongly, as with a file that is not there\\n +"
                + Errors.INTERRUPTED + " +stopped with nothing to keep\\n.*"), help);
    }

    /** As for one that is not there. */
    @Test
    void aFileThatMayNotBeReadIsUsedWrongly() {
        StringWriter err = new StringWriter();
        CommandLine commands = Main.commandLine().setErr(new PrintWriter(err, true));
        assertEquals(2, new Errors(() -> false).handleExecutionException(new AccessDeniedException("text.txt"), commands, null));
        assertEquals("sterna: text.txt: permission denied\n", err.toString());
    }

    @Test
    void whatIsInterruptedIsNotKept() {
        CancellationException stopped = assertThrows(CancellationException.class, () -> Shutdown.wholly(Path.of("out"), () -> {
            throw new InterruptedIOException("interrupted while writing out/model");
        }));
        assertEquals("stopped; nothing was kept of out", stopped.getMessage());
    }

    @Test
    void theDoctorFindsThisMachineWell() throws IOException {
        Outcome doctor = run(List.of("doctor", "--json"));
        assertEquals(0, doctor.code, doctor.out);
        JsonNode findings = new ObjectMapper().readTree(doctor.out);
        for (String key : List.of("system", "jdk", "memory", "sterna", "openblas", "self_test")) {
            assertTrue(findings.has(key), key);
        }
        assertTrue(findings.get("well").asBoolean());
    }

    @Test
    void kernelsAreTimedBesideTheCeilings() throws IOException {
        Path json = folder.resolve("kernels.json");
        Outcome bench = run(List.of("bench", "kernels", "--tier", "reference", "--bits", "1.58", "--shape", "64x64",
                "--tokens", "1,16", "--seconds", "0.01", "--threads", "1", "--json", json.toString()));
        assertEquals(0, bench.code, bench.err);
        JsonNode rows = new ObjectMapper().readTree(json.toFile()).get("rows");
        assertEquals(List.of("gemv", "linear", "input_gradient", "weight_gradient", "quantize_gradient",
                "input_gradient_int8", "weight_gradient_int8",
                "adamw_packed_f32", "adamw_packed_bf16", "adamw_packed_int8"), rows.findValuesAsText("kernel"));
        JsonNode ceilings = new ObjectMapper().readTree(json.toFile()).get("ceilings").get("reference");
        rows.forEach(row -> assertTrue(row.get("share_of_ceiling").asDouble() > 0, row.toString()));
        rows.forEach(row -> assertEquals((row.has("gops") ? row.get("gops") : row.get("gbs")).asDouble() * 1e9,
                row.get("share_of_ceiling").asDouble() * (row.has("gops") ? ceilings.get(row.get("ceiling").asText()).asDouble()
                        : row.get("ceiling_gbs").asDouble() * 1e9), 1, row.toString()));
    }

    /** A matrix of one weight has no more copies than can be gone through. */
    @Test
    void tinyMatricesHaveNoMoreCopiesThanCanBeTimed() {
        assertEquals(1 << 16, KernelBench.copies(1));
        assertEquals(256, KernelBench.copies(1 << 20));
        assertEquals(1, KernelBench.copies(1L << 40));
    }

    @Test
    void aJsonFileThatCannotBeWrittenIsNamed() {
        assumeTrue(Files.isWritable(Path.of("/dev/full")), "no /dev/full here");
        JsonFile full = CommandLine.populateCommand(new JsonFile(), "--json", "/dev/full");
        String message = assertThrows(IOException.class, () -> full.write(List.of())).getMessage();
        assertTrue(message.startsWith("json /dev/full: cannot be written (No space left on device"), message);
    }

    @Test
    void aBenchNamesTheModelWhoseShapeItTakes() throws IOException {
        assertEquals(0, run(train("run", "--steps", "2")).code);
        String model = folder.resolve("run").toString();
        Path json = folder.resolve("figures.json");
        Outcome timed = run(List.of("bench", "generate", "--init", model, "--threads", "1", "--seconds", "0.01", "--json", json.toString()));
        assertEquals(0, timed.code, timed.err);
        assertTrue(timed.out.startsWith(model + " dqt 1.58"), timed.out);
        JsonNode figures = new ObjectMapper().readTree(json.toFile());
        assertEquals(model, figures.get("init").asText());
        assertFalse(figures.has("preset"), figures.toString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "train --hiden 3                    | 2 | Unknown options: '--hiden', '3'",
        "train --data d --hiden 3           | 2 | Unknown option: '--hiden'",
        "train --hidden x                   | 2 | sterna: hidden is \"x\"; it takes a whole number up to 2147483647",
        "train --config nowhere.yaml        | 2 | sterna: config nowhere.yaml: no such file",
        "train --data nowhere.txt           | 2 | sterna: data: no such file or folder: nowhere.txt",
        "train --tokenizer nowhere.json     | 2 | sterna: tokenizer nowhere.json: no such file",
        "train --resume nowhere             | 2 | sterna: run folder nowhere: no such folder",
        "train --method dtq                 | 2 | did you mean dqt?",
        "export --model m --format x --out o | 2 | sterna: format \"x\": expected hf",
        "export --model m --format gguf --type q5_0 --out o | 2 | sterna: type \"q5_0\": expected one of f32, f16",
        "import / --tokenizer t --out o     | 2 | sterna: model /: no config.json there",
        "import / --out o                   | 2 | sterna: model /: no config.json there",
        "generate                           | 2 | Missing required option: '--model=DIR'",
        "eval --model nowhere --data no.txt | 2 | sterna: no.txt: no such file",
        "eval --model m                     | 2 | sterna: nothing to measure: give a text with --data, or --tasks",
        "eval --model m --tasks piqa        | 2 | sterna: tasks piqa: name the folder of their files with --task-data",
        "eval --model m --tasks a --task-data d --limit 0 | 2 | sterna: limit 0: must be at least 1",
        "convert --model nowhere --out o    | 2 | sterna: model nowhere: no config.json there",
        "convert --model m --out o --bits 9 | 2 | sterna: bits",
        "train --method fp32 --gradients int8 --dry-run | 2 | sterna: gradients int8: need method dqt or bitnet, and scale tensor or row",
        "bench generate --prompt-tokens 0   | 2 | sterna: prompt-tokens 0: must be at least 1 and leave",
        "bench generate --batch 0           | 2 | sterna: batch 0: must",
        "bench train --seconds -1           | 2 | sterna: seconds -1.0: must be above 0",
        "bench kernels --seconds 0          | 2 | sterna: seconds 0.0: must be above 0",
        "bench kernels --seconds 1e10       | 2 | sterna: seconds 1.0E10: must be above 0 and at most 86,400",
        "bench train --seconds Infinity     | 2 | sterna: seconds Infinity: must be above 0 and at most 86,400",
        "bench generate --seconds NaN       | 2 | sterna: seconds NaN: must be above 0 and at most 86,400",
        "train --dry-run --vocab 10         | 2 | sterna: vocab 10: vocabulary of 10 tokens, must be 257",
        "train --dry-run --data nowhere     | 2 | sterna: data: no such file or folder: nowhere",
        "train --dry-run --data *.nowhere   | 2 | sterna: data: no file matches *.nowhere",
        "data prepare --data nowhere        | 2 | sterna: data: no such file or folder: nowhere",
        "train --config nowhere             | 2 | sterna: config nowhere: no such file",
        "train --init nowhere               | 2 | sterna: init nowhere: no such folder",
        "train --tokenizer nowhere          | 2 | sterna: tokenizer nowhere: no such file",
        "eval --model m --data nowhere      | 2 | sterna: nowhere: no such file",
        "convert --model m --out o --data nowhere | 2 | sterna: nowhere: no such file",
        "train --dry-run --end-token 5      | 2 | sterna: end-token [5]: a trained tokenizer has its own",
        "train --dry-run --tokenizer bytes --end-token 999 | 2 | sterna: end-token 999: the tokenizer has tokens 0 to 256",
        "train --dry-run --tokenizer bytes --end-token abc | 2 | sterna: end-token [abc]: expected ids of tokens",
        "train --begin-token 1 --dry-run    | 2 | sterna: begin-token 1: a model trained from nothing never meets it",
        "import nowhere.gguf --out o        | 2 | sterna: nowhere.gguf: no such folder or file",
        "chat --model nowhere               | 2 | sterna: model nowhere: no config.json there",
        "generate --model nowhere --prompt @src | 2 | sterna: model nowhere: no config.json there",
        "generate --model nowhere --prompt -x | 2 | A value that begins with - needs = before it",
        "export --model nowhere --format hf --out src | 2 | sterna: out src: holds files already",
        "export --model nowhere --format hf --out pom.xml | 2 | sterna: out pom.xml: is a file",
        "export --model nowhere --format hf --out o --shard-size 0 | 2 | sterna: shard size 0: must be at least 1",
        "export --model nowhere --format gguf --out o --shard-size 9 | 2 | sterna: shard-size 9: a GGUF file is one",
        "export --model nowhere --format gguf --out pom.xml | 2 | sterna: out pom.xml: exists already",
        "generate --model m --prompt x --prompts f | 2 | sterna: prompt and prompts: give one of them",
        "generate --model nowhere           | 2 | sterna: model nowhere: no config.json there",
        "bench kernels --bits 9             | 2 | sterna: bits \"9\"",
        "bench kernels --tier avx2,avx1024  | 2 | sterna: tier \"avx1024\": expected one of reference, avx2",
        "bench kernels --json nowhere/k.json| 2 | sterna: json nowhere/k.json: cannot be written",
        "bench kernels --shape 3            | 2 | sterna: shape \"3\"",
        "bench kernels --shape 64x70000     | 2 | sterna: shape \"64x70000\": IN must lie between 1 and 65,536",
        "bench kernels --shape 0x64         | 2 | sterna: shape \"0x64\": OUT must lie between 1 and 1,048,576",
        "bench kernels --tokens 16 --shape 70000x64 | 2 | sterna: shape \"70000x64\": OUT must lie between 1 and 65,536",
        "bench kernels --threads 1025       | 2 | sterna: threads 1025: must lie between 1 and 1024",
        "bench train --momentum 0.5         | 2 | sterna: momentum 0.5: only sgd has it",
        "bench train --method fp32 --rounding nearest | 2 | sterna: rounding nearest: only method dqt's weights",
        "bench train --lr-second 0.5        | 2 | sterna: lr-second 0.5: only two-stage has it; leave it out for cosine",
        "train --activations int8 --dry-run | 2 | sterna: activations \"int8\": expected one of f32, bf16",
        "bench train --state int4           | 2 | sterna: state \"int4\": expected one of f32, bf16, int8",
        "bench generate --preset 1b --batch 65536 --seq-len 4096 --prompt-tokens 4000 | 2 | available; lower batch or prompt-tokens, or choose a smaller model",
        "bench train --begin-token 1        | 2 | Unknown option",
        "bench generate --end-token 1       | 2 | Unknown option",
        "trian                              | 2 | sterna: unknown command \"trian\"",
        "data prepair                       | 2 | sterna: unknown command \"prepair\"",
        "train --lr-second 0.5 --dry-run    | 2 | sterna: lr-second 0.5: only two-stage has it; leave it out for cosine",
        "train --optimizer sgd --dry-run    | 2 | sterna: lr: sgd",
        "eval --model m --data pom.xml --limit 3 | 2 | sterna: limit 3: is about --tasks",
        "eval --model m --data pom.xml --task-data . | 2 | sterna: task-data .: is about --tasks",
        "eval --model m --tasks a --task-data . --stride 3 | 2 | sterna: stride 3: is about the text of --data",
        "eval --model m --tasks a --task-data nowhere | 2 | in nowhere; there are no files: it is no folder",
        "generate --model m --prompt x --batch 4 | 2 | sterna: batch 4: is about the texts of --prompts",
        "generate --model m --prompts nowhere | 2 | sterna: nowhere: no such file",
    })
    void errorsAreOneLine(String command, int code, String message) {
        Outcome outcome = run(List.of(command.split(" ")));
        assertEquals(code, outcome.code, outcome.err);
        assertTrue(outcome.err.contains(message), outcome.err);
        assertFalse(outcome.err.contains("\tat "), "no stack trace");
    }

    @Test
    void memoryThatTheSystemDoesNotGiveIsNotTheHeaps() {
        try (Workspace workspace = new Workspace()) {
            OutOfMemoryError system = assertThrows(OutOfMemoryError.class, () -> workspace.section(MemoryKind.SCRATCH).allocate(1L << 52));
            assertTrue(Errors.line(system).endsWith(" bytes outside the Java heap, where the machine has no such room"), Errors.line(system));
        }
        assertEquals("out of memory: Java heap space; STERNA_JAVA_OPTS=-Xmx2g gives the JVM more",
                Errors.line(new OutOfMemoryError("Java heap space")));
        assertEquals("the system grants no more threads; ask for fewer by --threads, or raise its limit of processes or of memory",
                Errors.line(new OutOfMemoryError("unable to create native thread: possibly out of memory or process/resource limits reached")));
    }

    @Test
    void theStackTraceComesOnRequest() {
        assertTrue(run(List.of("train", "--data", "nowhere.txt", "--stacktrace")).err.contains("\tat "));
    }

    @Test
    void aDamagedShardIsNamedAndItsRemedyWorks() throws IOException {
        assertEquals(0, run(train("run", "--steps", "4", "--stop-after", "2")).code);
        Path shard;
        try (Stream<Path> files = Files.walk(folder.resolve("cache"))) {
            shard = files.filter(file -> file.getFileName().toString().startsWith("train-")).findFirst().orElseThrow();
        }
        byte[] bytes = Files.readAllBytes(shard);
        bytes[bytes.length / 2] ^= 1;
        Files.write(shard, bytes);
        List<String> resume = List.of("train", "--resume", folder.resolve("run").toString(), "--quiet");
        for (List<String> command : List.of(resume, train("other", "--steps", "2"))) {
            Outcome refused = run(command);
            assertEquals(1, refused.code);
            assertTrue(refused.err.startsWith("sterna: " + shard + " is damaged: CRC-32C")
                    && refused.err.endsWith("delete its folder and prepare the same data again\n"), refused.err);
        }
        for (Path file : List.of(shard, shard.resolveSibling("manifest.json"))) {
            Files.delete(file);
        }
        assertEquals(0, run(train("third", "--steps", "2")).code, "prepares the data again");
        assertEquals(0, run(resume).code);
    }

    @Test
    void aSignalEndsTheRunWithACheckpoint() throws IOException, InterruptedException {
        Outcome stopped = signalled("step 1/", train("run", "--steps", "1000000"));
        assertEquals(0, stopped.code, stopped.out);
        assertTrue(stopped.out.endsWith("go on with: sterna train --resume " + folder.resolve("run") + "\n"), stopped.out);
        int step = Integer.parseInt(stopped.out.replaceAll("(?s).*stopped after step (\\d+).*", "$1"));
        List<String> resume = List.of("train", "--resume", folder.resolve("run").toString(), "--quiet", "--stop-after");
        assertEquals(2, run(concat(resume, "" + step)).code);
        Outcome resumed = run(concat(resume, "" + (step + 1)));
        assertEquals(0, resumed.code, resumed.err);
    }

    @Test
    void aSignalEndsThePreparationOfDataAndLeavesNothingHalf() throws IOException, InterruptedException {
        String line = "public static final int NUMBER = 42; // and some more text of this line\n";
        for (int file = 0; file < 20; file++) {
            Files.writeString(folder.resolve("data").resolve("large" + file + ".java"), line.repeat(30_000) + file);
        }
        Outcome stopped = signalled("count words", train("run", "--steps", "1"));
        assertEquals(Errors.INTERRUPTED, stopped.code, stopped.out);
        assertTrue(stopped.out.contains("sterna: stopped at ") && stopped.out.contains("prepares the data anew"), stopped.out);
        assertFalse(Files.exists(folder.resolve("run")), "no run began");
        try (Stream<Path> files = Files.walk(folder.resolve("cache"))) {
            assertEquals(List.of(), files.filter(file -> Files.isRegularFile(file) && !file.endsWith(".tokenizer.lock")).toList());
        }
    }

    /** A process of its own that gets SIGTERM once a line of its output starts with {@code when}. */
    private static Outcome signalled(String when, List<String> args) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED", "-Xmx256m", "-cp", System.getProperty("java.class.path")));
        String library = System.getProperty("sterna.library.path");
        if (library != null) {
            command.add("-Dsterna.library.path=" + library);
        }
        command.add(Main.class.getName());
        command.addAll(args);
        command.remove("--quiet");
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try (BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            StringBuilder lines = new StringBuilder();
            for (String line = out.readLine(); line != null; line = out.readLine()) {
                lines.append(line).append('\n');
                if (line.startsWith(when)) {
                    process.toHandle().destroy();
                }
            }
            assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the process ended");
            return new Outcome(process.exitValue(), lines.toString(), "");
        } finally {
            process.destroyForcibly();
        }
    }

    private List<String> train(String out, String... more) {
        List<String> args = new ArrayList<>(List.of("train", "--data", folder.resolve("data").toString(), "--cache",
                folder.resolve("cache").toString(), "--out", folder.resolve(out).toString()));
        args.addAll(TINY);
        args.addAll(List.of(more));
        return args;
    }

    /** A command that reads standard input. */
    private static Outcome runWith(String input, List<String> args) {
        return runWith(input.getBytes(StandardCharsets.UTF_8), args);
    }

    private static Outcome runWith(byte[] input, List<String> args) {
        InputStream before = System.in;
        System.setIn(new ByteArrayInputStream(input));
        try {
            return run(args);
        } finally {
            System.setIn(before);
        }
    }

    private static Outcome run(List<String> args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine commands = Main.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
        int code = commands.execute(args.toArray(String[]::new));
        return new Outcome(code, out.toString(), err.toString());
    }
}
