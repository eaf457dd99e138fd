package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.TokenizerException;
import io.sterna.train.ConfigException;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.function.Executable;

/** Broken files that the command line reads itself: settings in YAML, and tokenizers of other kinds. */
class HostileConfigTest {
    private static final Duration LIMIT = Duration.ofSeconds(20); // far above what any takes on a busy machine
    private static final int MUTATIONS = Integer.getInteger("sterna.mutations", 100);
    private static final String SETTINGS = "preset: 8m\nbits: 1.58\nlr: 1e-3\nrecompute: true\ndata:\n  - a.txt\n  - b.txt\nsteps: 100\n";
    private static final String WORDS = """
            {"version": "1.0", "truncation": null, "padding": null,
             "added_tokens": [{"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
                               "normalized": false, "special": true}],
             "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
             "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                       "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "</s>": 1, "the": 2}}}
            """;

    @TempDir
    private Path folder;

    @Test
    void settings() throws IOException {
        Map<String, String> kinds = new LinkedHashMap<>(); // text, and what the error says
        for (String setting : new String[] {"steps", "hidden", "threads", "seed", "batch"}) {
            for (String value : new String[] {"many", "1.5", "true", "[1, 2]", "{a: 1}", "99999999999999999999", "\"\"", "!!int x"}) {
                kinds.put(setting + ": " + value + "\n", "config");
            }
        }
        for (String value : new String[] {"much", "[1]", "{a: 1}", ".nan", ".inf", "1e999"}) {
            kinds.put("lr: " + value + "\n", value.startsWith(".") ? value : "lr");
        }
        for (String value : new String[] {"perhaps", "yes please", "1", "[true]"}) {
            kinds.put("recompute: " + value + "\n", "recompute");
        }
        kinds.put("step: 1\n", "did you mean \"steps\"");
        kinds.put("1: 1\n", "unknown setting");
        kinds.put("? [a]\n: 1\n", "config");
        kinds.put("s".repeat(100_000) + ": 1\n", "config");
        kinds.put("steps: " + "9".repeat(100_000) + "\n", "config");
        kinds.put("steps: 1\nsteps: 2\n", "line 2");
        kinds.put("steps: 1\n---\nsteps: 2\n", "config");
        kinds.put("steps: *nowhere\n", "config");
        kinds.put("a: &a [x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\n", "unknown setting");
        kinds.put("steps: [1\n", "config");
        kinds.put("\tsteps: 1\n", "config");
        kinds.put("steps: @1\n", "config");
        kinds.put("steps: !!javax.script.ScriptEngineManager [1]\n", "config");
        kinds.put("%YAML 9.9\n", "config");
        kinds.put("[".repeat(50_000), "config");
        kinds.put("{a: ".repeat(50_000), "config");
        kinds.put("- a\n", "expected lines of");
        kinds.put("text", "expected lines of");
        kinds.put("\u0000", "config");
        kinds.put("#".repeat(2 << 20), "has more bytes than");
        Path file = folder.resolve("config.yaml");
        kinds.forEach((text, part) -> {
            write(file, text.getBytes(StandardCharsets.UTF_8));
            refused(ConfigException.class, file, () -> YamlConfig.apply(file, new TrainConfig()), part);
        });
        for (byte[] bytes : new byte[][] {{(byte) 0xff, (byte) 0xfe}, {'a', ':', ' ', (byte) 0xc3}, new byte[1000]}) {
            write(file, bytes);
            refused(ConfigException.class, file, () -> YamlConfig.apply(file, new TrainConfig()), "config");
        }
        damage(file, SETTINGS, ConfigException.class, () -> YamlConfig.apply(file, new TrainConfig()));
    }

    @Test
    void tokenizersOfOtherKinds() throws IOException {
        Map<String, String> kinds = new LinkedHashMap<>();
        kinds.put(WORDS.replace("\"the\": 2", "\"the\": -2"), "tokenizer");
        kinds.put(WORDS.replace("\"the\": 2", "\"the\": 4294967296"), "integer overflow");
        kinds.put(WORDS.replace("\"the\": 2", "\"the\": \"2\""), "field \"the\" is not an integer");
        kinds.put(WORDS.replace("\"the\": 2", "\"the\": 2.5"), "field \"the\" is not an integer");
        kinds.put(WORDS.replace("{\"[UNK]\": 0, \"</s>\": 1, \"the\": 2}", "7"), "vocab is not an object but 7");
        kinds.put(WORDS.replace("{\"[UNK]\": 0, \"</s>\": 1, \"the\": 2}", "null"), "vocab is not an object but null");
        kinds.put(WORDS.replace("\"id\": 1", "\"id\": 2147483647"), "integer overflow");
        kinds.put(WORDS.replace("\"id\": 1", "\"id\": null"), "field \"id\" is not an integer");
        kinds.put(WORDS.replace("\"special\": true", "\"special\": 1"), "field \"special\" is not true or false");
        kinds.put(WORDS.replace("WordPiece", "WordPieces"), "model \"WordPieces\" is none of");
        kinds.put(WORDS.replace("WhitespaceSplit", "Nonsense"), "pre_tokenizer \"Nonsense\" is not supported");
        kinds.put(WORDS.replace("\"pre_tokenizer\": {", "\"pre_tokenizer\": {\"x\": 1, \"type\": \"Punctuation\", \"behavior\": \"no\"}, \"y\": {"), "the tokenizers library refuses it");
        Path file = folder.resolve("tokenizer.json");
        kinds.forEach((text, part) -> {
            write(file, text.getBytes(StandardCharsets.UTF_8));
            refused(TokenizerException.class, file, () -> Tokenizers.load(file), part);
        });
        damage(file, WORDS, TokenizerException.class, () -> Tokenizers.load(file));
    }

    private static void refused(Class<? extends Exception> type, Path file, Executable reader, String part) {
        Exception e = assertTimeoutPreemptively(LIMIT, () -> assertThrows(type, reader, () -> "expected to say " + part));
        assertTrue(e.getMessage().contains(file.toString()) && e.getMessage().contains(part) && e.getMessage().length() < 1000, e.getMessage());
    }

    /** Random damage of a good file is read, or refused with the reader's own exception. */
    private static void damage(Path file, String good, Class<? extends Exception> type, Executable reader) {
        Random random = new Random(1);
        for (int i = 0; i < MUTATIONS; i++) {
            byte[] bytes = good.getBytes(StandardCharsets.UTF_8);
            for (int n = random.nextInt(4); n >= 0; n--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            }
            write(file, bytes);
            assertTimeoutPreemptively(LIMIT, () -> {
                try {
                    reader.execute();
                } catch (Throwable e) {
                    assertTrue(type.isInstance(e), () -> new String(bytes, StandardCharsets.ISO_8859_1) + ": " + e);
                }
            });
        }
    }

    private static void write(Path file, byte[] bytes) {
        try {
            Files.write(file, bytes);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
