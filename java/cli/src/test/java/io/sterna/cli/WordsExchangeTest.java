package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.ByteAlphabet;
import io.sterna.data.Tokenizer;
import io.sterna.infer.GgufExport;
import io.sterna.infer.GgufImport;
import io.sterna.infer.HuggingFaceExport;
import io.sterna.infer.HuggingFaceImport;
import io.sterna.infer.Model;
import io.sterna.infer.ModelException;
import io.sterna.io.GgufMetadata;
import io.sterna.io.GgufReader;
import io.sterna.io.GgufType;
import io.sterna.io.GgufWriter;
import io.sterna.io.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Byte-level BPE whose words are cut otherwise than GPT-2's, in a GGUF file and on the way back. */
class WordsExchangeTest {
    /** "axb" is a token that merges do not reach. */
    private static final List<String> MERGES = List.of("1 2", "12 3", "123 4", "' s", "' S", "a b", "ab c", "\u010a \u010a", "\u010a\u010a c",
            "ab A", "! \u010a", "! ab", "ab 's");
    private static final String BYTE_LEVEL = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": %s}";
    private static final Map<String, String> PRE_TOKENIZERS = Map.of(
            "gpt-2", BYTE_LEVEL.formatted("true"),
            "smollm", "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, " + BYTE_LEVEL.formatted("true") + "]}",
            "llama-bpe", "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \""
                    + "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+"
                    + "|\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": \"Isolated\", \"invert\": false}, " + BYTE_LEVEL.formatted("false") + "]}");

    @TempDir
    private Path folder;

    /** The pieces say where words end: merges would go on. */
    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '"', value = {
        "gpt-2; false; 12341; 1234 1",
        "gpt-2; false; axb; a x b",
        "smollm; false; 12341; 1 2 3 4 1",
        "smollm; false; 12abc; 1 2 abc",
        "llama-bpe; true; 12341; 123 4 1",
        "llama-bpe; true; axb; axb",
        "llama-bpe; true; ab'Sab; ab 'S ab",
        "gpt-2; false; ab'Sab; ab ' S ab"})
    void aFileCutsWordsAsTheTokenizerDoes(String pre, boolean ignoreMerges, String text, String pieces) throws IOException {
        Path file = folder.resolve("words.gguf");
        try (Model model = Model.load(train(json(pre, ignoreMerges)), Tokenizers::load)) {
            assertEquals(pieces, pieces(model.tokenizer(), text));
            GgufExport.write(model, GgufType.F32, file);
            try (GgufReader reader = new GgufReader(file)) {
                assertEquals("gpt2", reader.string("tokenizer.ggml.model"));
                assertEquals(pre, reader.string("tokenizer.ggml.pre"));
            }
            GgufImport.read(file, Tokenizers::load, folder.resolve("back"));
            try (Model back = Model.load(folder.resolve("back"), Tokenizers::load)) {
                assertEquals(pieces, pieces(back.tokenizer(), text));
                for (String other : new String[] {"", "ab12 1234\n\nc\r\n  ab'sab  x", "\u00e9\u0663\u00bd \ud83d\ude00"}) {
                    assertArrayEquals(model.tokenizer().encode(other), back.tokenizer().encode(other), other);
                }
                Path again = folder.resolve("again.gguf");
                GgufExport.write(back, GgufType.F32, again);
                assertEquals(-1, Files.mismatch(file, again));
            }
        }
    }

    /** By the expressions of llama.cpp, worked out by hand: a text, then its pieces; each merge would go on. */
    @Test
    void llamaCppsOtherWordsAreRead() throws IOException {
        Path file = folder.resolve("gpt-2.gguf");
        try (Model model = Model.load(train(json("gpt-2", false)), Tokenizers::load)) {
            GgufExport.write(model, GgufType.F32, file);
        }
        String[][] words = {
            {"gpt-2", "abAab abA ab", "12341 1234 1", "ab's ab 's"}, {"olmo", "12341 1234 1", "axb a x b"},
            {"starcoder", "12341 1 2 3 4 1", "axb a x b"}, {"falcon3", "12341 123 4 1", "axb axb"},
            {"dbrx", "12341 123 4 1", "axb a x b", "ab'S ab 'S"},
            {"qwen2", "123 1 2 3", "abAab abA ab", "!\\n !\\n", "\\n\\nc \\n\\n c", "ab's ab 's"},
            {"seed-coder", "123 1 2 3", "!\\n ! \\n", "\\n\\nc \\n\\n c"}, {"minicpm5", "12341 123 4 1", "axb axb", "abAab abA ab"},
            {"tekken", "123 1 2 3", "axb axb", "abAab ab A ab", "ab's ab 's", "!\\n !\\n"},
            {"gpt-4o", "12341 123 4 1", "axb a x b", "abAab ab A ab", "ab's ab's", "AabA A ab A"},
            {"deepseek-coder", "123 1 2 3", "\\n\\nc \\n \\n c", "!ab ! ab"},
            {"deepseek-v3", "12341 123 4 1", "!ab !ab", "\\n\\nc \\n\\n c", "!\\n !\\n"},
            {"falcon", "12341 123 4 1", "12 12", "!ab ! ab", "!\\n ! \\n"}, {"viking", "ab's ab's", "12 1 2", "!ab ! ab", "!12 ! 1 2"}};
        for (String[] row : words) {
            Path out = folder.resolve("of-" + row[0]);
            GgufImport.read(named(file, row[0]), Tokenizers::load, out);
            try (Model model = Model.load(out, Tokenizers::load)) {
                for (String text : Arrays.copyOfRange(row, 1, row.length)) {
                    String[] parts = text.replace("\\n", "\n").split(" ", 2);
                    assertEquals(parts[1], pieces(model.tokenizer(), parts[0]), row[0]);
                }
                assertEquals(List.of("falcon3", "tekken").contains(row[0]), model.tokenizer().addsBeginToken(), row[0]);
            }
        }
    }

    /** The file with another name of its words and no weights, not saying whether texts begin with the begin token. */
    private Path named(Path from, String words) throws IOException {
        Path file = folder.resolve(words + "-words.gguf");
        try (GgufReader reader = new GgufReader(from)) {
            GgufMetadata metadata = new GgufMetadata();
            for (Map.Entry<String, Object> entry : reader.metadata().entrySet()) {
                String key = entry.getKey();
                switch (entry.getValue()) {
                    case String text -> metadata.string(key, key.equals("tokenizer.ggml.pre") ? words : text);
                    case Long number -> metadata.u32(key, Math.toIntExact(number));
                    case Float number -> metadata.f32(key, number);
                    case Boolean truth -> { }
                    default -> {
                        if (key.endsWith("token_type")) {
                            metadata.i32s(key, reader.i32s(key));
                        } else {
                            metadata.strings(key, reader.strings(key));
                        }
                    }
                }
            }
            List<GgufReader.Tensor> tensors = List.copyOf(reader.tensors().values());
            try (GgufWriter writer = new GgufWriter(file, metadata,
                    tensors.stream().map(t -> new GgufWriter.Entry(t.name(), t.type(), t.shape())).toList())) {
                for (GgufReader.Tensor tensor : tensors) {
                    writer.write(ByteBuffer.allocate((int) tensor.type().bytes(tensor.size())));
                }
                writer.commit();
            }
        }
        return file;
    }

    @Test
    void whatLlamaCppDoesOtherwiseIsRefused() throws IOException {
        refused(json("llama-bpe", false), "ignore_merges is false, which llama.cpp does otherwise for llama-bpe");
        refused(json("smollm", true), "ignore_merges is true, which llama.cpp does otherwise for smollm");
        refused(json("smollm", false).replace("\"individual_digits\": true", "\"individual_digits\": false"), "neither byte-level BPE that cuts words as gpt-2, llama-bpe, smollm");
        refused(json("smollm", false).replace("\"end_of_word_suffix\": null", "\"end_of_word_suffix\": \"!\""), "not all of it can be said in gguf: ");
        refused(json("smollm", false).replace("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}"), "normalizes its text");
    }

    /** A special token that a fine-tuning added without a row of the embedding; this tokenizer is the library's. */
    @Test
    void specialTokensWithoutARowAreLeftOut() throws IOException {
        Path hf = folder.resolve("hf");
        Path run = train(json("llama-bpe", true));
        try (Model model = Model.load(run, Tokenizers::load)) {
            HuggingFaceExport.write(model, HuggingFaceExport.Form.F32, hf);
            int rows = model.config().vocab();
            Map<String, Object> root = Json.readObject(hf.resolve("tokenizer.json"), 1 << 24);
            List<Object> added = new ArrayList<>(Json.list(root, "added_tokens"));
            added.add(BpeTokenizer.addedToken(rows, "[PAD]", true));
            root.put("added_tokens", added);
            Files.writeString(hf.resolve("tokenizer.json"), Json.writePretty(root));
            assertEquals(rows + 1, Tokenizers.load(hf.resolve("tokenizer.json")).vocabSize());
            HuggingFaceImport.read(hf, Tokenizers::load, folder.resolve("back"));
            try (Model back = Model.load(folder.resolve("back"), Tokenizers::load)) {
                assertEquals(rows, back.tokenizer().vocabSize());
                assertArrayEquals(model.tokenizer().encode("ab [PAD] 12"), back.tokenizer().encode("ab [PAD] 12"));
            }
        }
    }

    private void refused(String json, String part) throws IOException {
        try (Model model = Model.load(train(json), Tokenizers::load)) {
            String message = assertThrows(ModelException.class, () -> GgufExport.write(model, GgufType.F32, folder.resolve("never.gguf"))).getMessage();
            assertTrue(message.contains(part) && message.contains("export to hf"), message);
        }
    }

    private static String pieces(Tokenizer tokenizer, String text) {
        return Arrays.stream(tokenizer.encode(text)).mapToObj(id -> new String(tokenizer.bytes(id), StandardCharsets.UTF_8)).collect(Collectors.joining(" "));
    }

    private static String json(String pre, boolean ignoreMerges) throws IOException {
        Map<String, Object> vocab = new LinkedHashMap<>();
        for (int c = 0; c < 0x144; c++) { // the stand-ins for bytes
            if (ByteAlphabet.read(Character.toString(c)) != null) {
                vocab.put(Character.toString(c), (long) vocab.size());
            }
        }
        for (String merge : MERGES) {
            vocab.put(merge.replace(" ", ""), (long) vocab.size());
        }
        vocab.put("axb", (long) vocab.size());
        byte[] plain = BpeTokenizer.tokenizerJson(vocab, MERGES, List.of(BpeTokenizer.addedToken(vocab.size(), "<|end_of_text|>", true)));
        Map<String, Object> root = Json.asObject(Json.parse(plain), "tokenizer");
        root.put("pre_tokenizer", Json.parse(PRE_TOKENIZERS.get(pre).getBytes(StandardCharsets.UTF_8)));
        Json.object(root, "model").put("ignore_merges", ignoreMerges);
        return Json.writePretty(root);
    }

    private Path train(String json) throws IOException {
        return TinyRun.train(folder, "abc 12 ab\n\nc 1234 'S ab\n\n".repeat(200), json);
    }
}
