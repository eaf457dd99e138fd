package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.PieceKind;
import io.sterna.data.PieceScores;
import io.sterna.data.SentencePiece;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.data.Tokens;
import io.sterna.infer.GgufExport;
import io.sterna.infer.GgufImport;
import io.sterna.infer.HuggingFaceExport;
import io.sterna.infer.HuggingFaceImport;
import io.sterna.infer.Model;
import io.sterna.infer.ModelException;
import io.sterna.io.GgufReader;
import io.sterna.io.GgufType;
import io.sterna.io.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A tokenizer of SentencePiece's kind in a GGUF file: its tokens by llama.cpp's own rule, and the way back. */
class PieceExchangeTest {
    private static final List<String> MERGED =
            List.of("\u2581t", "he", "\u2581the", "in", "\u2581\u2581", "\u2581in", "aa", "aaa", "er", "\u2581theer");
    private static final List<String> CHARACTERS = List.of("\u2581", "t", "h", "e", "i", "n", "a", "b", "r", "<", "/", "s", ">", "\u00e9");
    private static final String[] TEXTS = {"", "the tern", "in the  inn", " aaaaa aaaaaaaa", "theer in", "\u00e9 \ud83d\ude00\n\t", "</s> <0x0A>",
        "   ", "then \u2581the"};

    @TempDir
    private Path folder;

    private static Stream<String> tokenizers() throws IOException {
        List<String> ofOneWord = MERGED.stream().filter(piece -> piece.indexOf('\u2581', 1) < 0).toList();
        return Stream.of(json(MERGED, true), json(MERGED, false), metaspace(MERGED, "never", false), metaspace(ofOneWord, "never", true));
    }

    /** The same without a prefix, as newer files say it. */
    private static String metaspace(List<String> merged, String scheme, boolean split) throws IOException {
        Map<String, Object> root = Json.asObject(Json.parse(json(merged, false).getBytes(StandardCharsets.UTF_8)), "tokenizer");
        root.put("normalizer", null);
        root.put("pre_tokenizer", Map.of("type", "Metaspace", "replacement", "\u2581", "prepend_scheme", scheme, "split", split));
        return Json.write(root);
    }

    @ParameterizedTest
    @MethodSource("tokenizers")
    void theFileMakesTheSameTokensAndComesBack(String tokenizer) throws IOException {
        Path run = train(tokenizer);
        Path file = folder.resolve("pieces.gguf");
        try (Model model = Model.load(run, Tokenizers::load); GgufReader reader = written(model, file)) {
            assertEquals("llama", reader.string("tokenizer.ggml.model"));
            assertEquals(2, reader.integer("tokenizer.ggml.eos_token_id"));
            assertEquals(0, reader.integer("tokenizer.ggml.unknown_token_id"));
            int[] types = reader.i32s("tokenizer.ggml.token_type");
            assertArrayEquals(new int[] {2, 3, 3, 6}, new int[] {types[0], types[1], types[2], types[3]});
            for (String text : TEXTS) {
                assertArrayEquals(ours(model.tokenizer(), text), theirs(reader, text), text);
            }
            GgufImport.read(file, Tokenizers::load, folder.resolve("back"));
            try (Model back = Model.load(folder.resolve("back"), Tokenizers::load)) {
                assertEquals(model.tokenizer().vocabSize(), back.tokenizer().vocabSize());
                for (String text : TEXTS) {
                    assertArrayEquals(ours(model.tokenizer(), text), ours(back.tokenizer(), text), text);
                }
                Path again = folder.resolve("again.gguf");
                GgufExport.write(back, GgufType.F32, again);
                assertEquals(-1, Files.mismatch(file, again));
            }
        }
    }

    @Test
    void whatScoresCannotSayIsRefused() throws IOException {
        String good = json(MERGED, true);
        refused(good.replaceFirst("\"vocab\": \\{", "\"vocab\": {\"s>\": 290,").replaceFirst("\"merges\": \\[", "\"merges\": [\"s >\","),
                "\"<\" and \"s>\" are not merged, though a token has their text");
        refused(good.replace("\"e r\"", "\"e r r\""), "is not of two tokens");
        refused(good.replaceFirst("\"i n\",", ""), "\"i\" and \"n\" are not merged");
        refused(good.replaceFirst("\"i n\",", "").replaceFirst("\"aa a\"", "\"aa a\", \"i n\""), "merges that make \"aaa\" and \"in\" cannot be said by scores");
        refused(good.replaceFirst("\"i n\"", "\"i n\", \"i r\""), "a merge makes \"ir\" of what are not all ordinary tokens");
        refused(good.replace("\"pre_tokenizer\": null", "\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}"), "cuts text before it is merged");
        refused(good.replace("\"prepend\": \"\u2581\"", "\"prepend\": \"x\""), "normalizes text otherwise");
        for (String scheme : List.of("always", "first")) {
            refused(metaspace(MERGED, scheme, false), "puts a space only before a text that begins with none");
        }
        refused(metaspace(MERGED, "never", true), "token \"\u2581\u2581\" has one within");
        refused(metaspace(MERGED, "never", false).replace("\"replacement\":\"\u2581\"", "\"replacement\":\"_\""), "spaces otherwise than as");
        refused(good.replace("\"byte_fallback\": true", "\"byte_fallback\": false"), "do not become bytes");
        refused(good.replace("\"id\": 2,", "\"id\": 1,"), "token \"</s>\" has two ids");
        refused(good.replaceFirst("\"he\": \\d+", "\"he\": 261"), "two tokens have one id");
        refused(good.replace("\"<0x41>\"", "\"<0x4g>\""), "has no token <0x41>");
        refused(good.replaceFirst("\"a a\"", "\"a a\", \"a a\""), "merge \"a a\" is there twice");
        refused(good.replace("\"i\": ", "\"I\": ").replaceFirst("\"i n\",", ""), "\"i\" and \"n\" are not merged, though a token has their text");
        refused(good.replace("\"added_tokens\": [", "\"added_tokens\": [{\"id\": 400, \"content\": \"<x>\", \"lstrip\": true},"), "added token \"<x>\" has lstrip");
    }

    private static void refused(String json, String part) throws IOException {
        Map<String, Object> root = Json.asObject(Json.parse(json.getBytes(StandardCharsets.UTF_8)), "tokenizer");
        String message = assertThrows(TokenizerException.class, () -> new PieceScores(root, 1000)).getMessage();
        assertTrue(message.contains(part), message);
    }

    /** Of equal scores llama.cpp makes the leftmost, which a list of merges does not say. */
    @Test
    void piecesThatTieAreRefusedUnlessTheyAreRuns() throws IOException {
        String message = assertThrows(TokenizerException.class, () -> tied(List.of("ab", "ba"), -1000)).getMessage();
        assertTrue(message.contains("merges that make \"ab\" and \"ba\" cannot be said by scores")
                || message.contains("merges that make \"ba\" and \"ab\" cannot be said by scores"), message);
        tied(List.of("\u2581\u2581", "\u2581\u2581\u2581\u2581", "\u2581\u2581\u2581"), -1000);
        message = assertThrows(TokenizerException.class, () -> tied(List.of("z", "zz", "zzz"), -1000)).getMessage();
        assertTrue(message.contains("runs of \"z\" are merged in an order"), message);
        message = assertThrows(TokenizerException.class, () -> json(List.of("s>"), true)).getMessage();
        assertTrue(message.contains("\"<\" and \"s>\" are not merged"), "llama.cpp would make a control token of them: " + message);
        message = assertThrows(TokenizerException.class, () -> tied(List.of("xy"), -1)).getMessage();
        assertTrue(message.contains("\"x\" and \"y\" are not merged"), "a character without a token: " + message);
        message = assertThrows(TokenizerException.class, () -> tied(List.of("a".repeat(2000)), -1)).getMessage();
        assertTrue(message.contains("has a text of 2000 characters"), message);
        List<String> runs = new ArrayList<>();
        for (char letter = 'A'; letter <= 'Z'; letter++) {
            for (int length = 1; length <= 128; length++) {
                runs.add(String.valueOf(letter).repeat(length));
            }
        }
        message = assertThrows(TokenizerException.class, () -> tied(runs, -1)).getMessage();
        assertTrue(message.contains("merges of more than 8388608 characters"), message);
    }

    private static void tied(List<String> merged, float score) throws IOException {
        json(merged, Collections.nCopies(merged.size(), score), true);
    }

    /** Ids that are padding there are none here, so that they are never drawn. */
    @Test
    void unusedIdsStayFree() throws IOException {
        List<String> texts = new ArrayList<>(List.of("<unk>", "</s>", "[PAD2]"));
        List<PieceKind> kinds = new ArrayList<>(List.of(PieceKind.UNKNOWN, PieceKind.CONTROL, PieceKind.UNUSED));
        addBytes(texts, kinds);
        texts.addAll(List.of("a", "b", "ab", "[PAD262]"));
        kinds.addAll(List.of(PieceKind.NORMAL, PieceKind.NORMAL, PieceKind.NORMAL, PieceKind.UNUSED));
        byte[] json = SentencePiece.tokenizerJson(texts, new float[texts.size()], kinds, false);
        Tokenizer tokenizer = Tokenizers.load(Files.write(folder.resolve("free.json"), json));
        assertEquals(262, tokenizer.vocabSize());
        assertArrayEquals(new int[] {261, 259}, ours(tokenizer, "aba"));
    }

    /** The name of prepared data is a hash of it. */
    @Test
    void theFileIsTheSameInEveryProcess() throws IOException {
        String json = json(MERGED, true);
        for (String object : new String[] {"{ \"type\": \"Prepend\", \"prepend\": \"\u2581\" }",
            "{ \"type\": \"Replace\", \"pattern\": { \"String\": \" \" }, \"content\": \"\u2581\" }",
            "{ \"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0 }"}) {
            assertTrue(json.replaceAll("\\s+", " ").replace("\" \"", "\" \"").contains(object), object);
        }
    }

    @Test
    void aFolderOfTransformersMayHoldSentencePiecesFileAlone() throws IOException {
        Path run = train(json(MERGED, true));
        Path hf = folder.resolve("hf");
        try (Model model = Model.load(run, Tokenizers::load)) {
            HuggingFaceExport.write(model, HuggingFaceExport.Form.F32, hf);
        }
        Files.delete(hf.resolve("tokenizer.json"));
        Files.write(hf.resolve("tokenizer.model"), SentencePieceTest.model(2, 0, 1, 0));
        Files.writeString(hf.resolve("config.json"), Files.readString(hf.resolve("config.json")).replaceFirst("\"bos_token_id\": 2", "\"bos_token_id\": 1"));
        HuggingFaceImport.read(hf, Tokenizers::load, folder.resolve("of-pieces"));
        try (Model model = Model.load(folder.resolve("of-pieces"), Tokenizers::load)) {
            assertEquals(1, model.tokenizer().beginToken());
            assertEquals(2, model.tokenizer().endToken());
            assertArrayEquals(new int[] {261, 259, 267, 275}, ours(model.tokenizer(), "the tern"));
        }
    }

    /** One that puts another text before each is neither kind. */
    @Test
    void aTokenizerOfNeitherKindIsRefused() throws IOException {
        Path run = train(json(MERGED, true).replace("\"prepend\": \"\u2581\"", "\"prepend\": \"x\""));
        try (Model model = Model.load(run, Tokenizers::load)) {
            String message = assertThrows(ModelException.class, () -> GgufExport.write(model, GgufType.F32, folder.resolve("never.gguf"))).getMessage();
            assertTrue(message.contains("nor SentencePiece's BPE") && message.contains("export to hf"), message);
        }
    }

    private static GgufReader written(Model model, Path file) throws IOException {
        GgufExport.write(model, GgufType.F32, file);
        return new GgufReader(file);
    }

    private static int[] ours(Tokenizer tokenizer, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        Tokens tokens = new Tokens();
        tokenizer.encoder(false).encode(utf8, 0, utf8.length, tokens);
        return tokens.toArray();
    }

    /** As llama.cpp tokenizes: of all neighbours whose text is a token, those with the best score, the first of equals, become one. */
    private static int[] theirs(GgufReader reader, String text) throws IOException {
        List<String> vocabulary = reader.strings("tokenizer.ggml.tokens");
        float[] scores = reader.f32s("tokenizer.ggml.scores");
        boolean prefix = Boolean.TRUE.equals(reader.metadata().get("tokenizer.ggml.add_space_prefix"));
        String escaped = (text.isEmpty() || !prefix ? text : " " + text).replace(' ', '\u2581');
        List<String> symbols = escaped.codePoints().mapToObj(Character::toString).collect(Collectors.toCollection(ArrayList::new));
        while (true) {
            int best = -1;
            float highest = Float.NEGATIVE_INFINITY;
            for (int i = 0; i + 1 < symbols.size(); i++) {
                int id = vocabulary.indexOf(symbols.get(i) + symbols.get(i + 1));
                if (id >= 0 && scores[id] > highest) {
                    best = i;
                    highest = scores[id];
                }
            }
            if (best < 0) {
                break;
            }
            symbols.set(best, symbols.get(best) + symbols.remove(best + 1));
        }
        List<Integer> ids = new ArrayList<>();
        for (String symbol : symbols) {
            if (vocabulary.contains(symbol)) {
                ids.add(vocabulary.indexOf(symbol));
            } else {
                for (byte b : symbol.getBytes(StandardCharsets.UTF_8)) {
                    ids.add(vocabulary.indexOf("<0x%02X>".formatted(b & 0xff)));
                }
            }
        }
        return ids.stream().mapToInt(i -> i).toArray();
    }

    /** A tokenizer.json with these tokens above the characters. */
    private static String json(List<String> merged, boolean prefix) throws IOException {
        return json(merged, IntStream.range(0, merged.size()).mapToObj(i -> -(float) i).toList(), prefix);
    }

    private static void addBytes(List<String> texts, List<PieceKind> kinds) {
        for (int b = 0; b < 256; b++) {
            texts.add("<0x%02X>".formatted(b));
            kinds.add(PieceKind.BYTE);
        }
    }

    private static String json(List<String> merged, List<Float> mergedScores, boolean prefix) throws IOException {
        List<String> texts = new ArrayList<>(List.of("<unk>", "<s>", "</s>"));
        List<PieceKind> kinds = new ArrayList<>(List.of(PieceKind.UNKNOWN, PieceKind.CONTROL, PieceKind.CONTROL));
        addBytes(texts, kinds);
        texts.addAll(merged);
        texts.addAll(CHARACTERS);
        kinds.addAll(Collections.nCopies(merged.size() + CHARACTERS.size(), PieceKind.NORMAL));
        float[] scores = new float[texts.size()];
        for (int i = 0; i < merged.size(); i++) {
            scores[3 + 256 + i] = mergedScores.get(i);
        }
        Arrays.fill(scores, 3 + 256 + merged.size(), scores.length, -5000);
        return new String(SentencePiece.tokenizerJson(texts, scores, kinds, prefix), StandardCharsets.UTF_8);
    }

    private Path train(String json) throws IOException {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 400; i++) {
            text.append("the tern flies north in the ice ").append(i).append("\n\n");
        }
        return TinyRun.train(folder, text.toString(), json);
    }
}
