package io.sterna.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.io.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Trainer and encoder of byte-level BPE, each against a plain definition. */
class BpeTest {
    private static final int VOCAB = 500;

    @TempDir
    static Path folder;

    private static List<String> documents;
    private static Path file;
    private static BpeTokenizer tokenizer;

    @BeforeAll
    static void train() throws IOException {
        documents = new ArrayList<>();
        for (int i = 0; i < 60; i++) {
            documents.add(Texts.prose(400, i));
        }
        documents.add("aaaa aaaaaaa aa aaa\n\n\n\n        \n                x\n      y bbabab ababab");
        file = Texts.jsonLines(folder.resolve("train.jsonl"), documents);
        tokenizer = train(file, VOCAB, 1);
    }

    private static BpeTokenizer train(Path file, int vocabSize, int threads) throws DataException {
        return BpeTrainer.train(
                Texts.corpus(Texts.ALL, file), BpeTrainer.Options.of(vocabSize, threads), DataProgress.NONE);
    }

    private static int[] encode(Tokenizer tokenizer, boolean parseSpecial, byte[] b) {
        Tokens out = new Tokens();
        tokenizer.encoder(parseSpecial).encode(b, 0, b.length, out);
        return out.toArray();
    }

    @Test
    void trainerFollowsTheDefinition() throws IOException {
        assertEquals(naiveMerges(documents, VOCAB), merges(tokenizer));
        List<String> runs = List.of("aaaa aaaaaaa aa aaa aaaaa", "ababab babab abab", "  x   y     z        w", "aaaa");
        Path small = Texts.jsonLines(folder.resolve("runs.jsonl"), runs);
        assertEquals(naiveMerges(runs, 264), merges(train(small, 264, 2)));
    }

    private static List<Object> merges(BpeTokenizer tokenizer) throws IOException {
        Map<String, Object> root = Json.asObject(Json.parse(tokenizer.toJson()), "tokenizer");
        return Json.list(Json.object(root, "model"), "merges");
    }

    private static String standIns(byte[] bytes) {
        StringBuilder out = new StringBuilder(bytes.length);
        for (byte b : bytes) {
            out.append(ByteAlphabet.charOf(b));
        }
        return out.toString();
    }

    /** Counts all pairs anew for every merge. */
    private static List<Object> naiveMerges(List<String> documents, int vocabSize) {
        List<String> tokens = new ArrayList<>(List.of(BpeTrainer.END_TOKEN));
        IntStream.range(0, 256).mapToObj(b -> String.valueOf(ByteAlphabet.charOf(b))).sorted().forEach(tokens::add);
        Map<String, Integer> counts = new TreeMap<>();
        for (String document : documents) {
            byte[] b = document.getBytes(StandardCharsets.UTF_8);
            for (int i = 0; i < b.length; ) {
                int end = PreTokenizer.wordEnd(b, i, b.length);
                counts.merge(standIns(Arrays.copyOfRange(b, i, end)), 1, Integer::sum);
                i = end;
            }
        }
        Map<List<String>, Integer> words = new HashMap<>();
        counts.forEach((word, n) -> words.put(new ArrayList<>(List.of(word.split(""))), n));
        List<Object> merges = new ArrayList<>();
        while (tokens.size() < vocabSize) {
            Map<List<String>, Integer> pairs = new HashMap<>();
            words.forEach((word, n) -> {
                for (int i = 0; i + 1 < word.size(); i++) {
                    pairs.merge(List.of(word.get(i), word.get(i + 1)), n, Integer::sum);
                }
            });
            List<String> best = pairs.keySet().stream()
                    .min((a, b) -> {
                        int byCount = pairs.get(b) - pairs.get(a);
                        int byLeft = tokens.indexOf(a.get(0)) - tokens.indexOf(b.get(0));
                        int byRight = tokens.indexOf(a.get(1)) - tokens.indexOf(b.get(1));
                        return byCount != 0 ? byCount : byLeft != 0 ? byLeft : byRight;
                    })
                    .orElseThrow();
            String merged = best.get(0) + best.get(1);
            if (!tokens.contains(merged)) {
                tokens.add(merged);
            }
            merges.add(best.get(0) + " " + best.get(1));
            Map<List<String>, Integer> next = new HashMap<>();
            words.forEach((word, n) -> next.put(merge(word, best, merged), n));
            words.clear();
            words.putAll(next);
        }
        return merges;
    }

    private static List<String> merge(List<String> word, List<String> pair, String merged) {
        List<String> out = new ArrayList<>();
        for (int i = 0; i < word.size(); i++) {
            if (i + 1 < word.size() && word.subList(i, i + 2).equals(pair)) {
                out.add(merged);
                i++;
            } else {
                out.add(word.get(i));
            }
        }
        return out;
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 5})
    void trainerGivesTheSameForAnyNumberOfThreads(int threads) throws IOException {
        List<String> many = new ArrayList<>();
        for (int i = 0; i < 400; i++) {
            many.add(Texts.prose(3000, i)); // several chunks
        }
        Path large = Texts.jsonLines(folder.resolve("large.jsonl"), many);
        assertArrayEquals(train(large, 1000, 1).toJson(), train(large, 1000, threads).toJson());
    }

    @Test
    void trainerTakesASmallSampleFromTheWholeCorpus() throws IOException {
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            texts.add("half" + (i < 500 ? "first" : "second") + " " + Texts.prose(200, i));
        }
        Path large = Texts.jsonLines(folder.resolve("halves.jsonl"), texts);
        long[] sampled = {0};
        BpeTokenizer trained = BpeTrainer.train(
                Texts.corpus(Texts.ALL, large),
                new BpeTrainer.Options(300, 1, 600_000, 2),
                (phase, fraction, bytes) -> sampled[0] = Math.max(sampled[0], bytes));
        assertTrue(sampled[0] > 400_000 && sampled[0] < 620_000, "sampled " + sampled[0]);
        assertEquals(300, trained.vocabSize());
    }

    @Test
    void aVocabularyLargerThanTheDataSupportsIsAnError() throws IOException {
        Path tiny = Files.writeString(folder.resolve("tiny.txt"), "abc abc abd");
        String message = assertThrows(TokenizerException.class, () -> train(tiny, 4096, 1)).getMessage();
        assertTrue(message.startsWith("vocabulary of 4096 tokens is more than the data supports: ask for at most 2"), message);
        Path blank = Files.writeString(folder.resolve("blank.txt"), " \n");
        assertThrows(CorpusException.class, () -> train(blank, 300, 1));
        assertThrows(IllegalArgumentException.class, () -> BpeTrainer.Options.of(256, 1));
    }

    @Test
    void everyByteSequenceComesBack() {
        Random random = new Random(4);
        for (int round = 0; round < 3000; round++) {
            byte[] b = new byte[random.nextInt(200)];
            random.nextBytes(b);
            int[] tokens = encode(tokenizer, false, b);
            assertArrayEquals(b, tokenizer.decode(tokens, 0, tokens.length));
            int[] bytes = encode(new ByteTokenizer(), false, b);
            assertArrayEquals(b, new ByteTokenizer().decode(bytes, 0, bytes.length));
        }
        byte[] oneWord = new byte[3 << 19];
        Arrays.fill(oneWord, (byte) 'a');
        int[] runs = encode(tokenizer, false, oneWord);
        assertArrayEquals(oneWord, tokenizer.decode(runs, 0, runs.length));
        String text = Texts.prose(5000, 99);
        assertEquals(text, tokenizer.decode(tokenizer.encode(text)));
    }

    @Test
    void encoderFollowsTheDefinition() throws IOException {
        List<Object> merges = merges(tokenizer);
        Map<String, Integer> ranks = new HashMap<>();
        for (int rank = 0; rank < merges.size(); rank++) {
            ranks.put((String) merges.get(rank), rank);
        }
        String text = Texts.prose(3000, 7) + " aaaaaaaaaaa" + "a".repeat(500) + " " + "abab".repeat(100) + " ".repeat(300);
        byte[] b = text.getBytes(StandardCharsets.UTF_8);
        List<String> expected = new ArrayList<>();
        for (int i = 0; i < b.length; ) {
            int end = PreTokenizer.wordEnd(b, i, b.length);
            expected.addAll(naiveWord(standIns(Arrays.copyOfRange(b, i, end)), ranks));
            i = end;
        }
        List<String> actual = Arrays.stream(encode(tokenizer, false, b))
                .mapToObj(token -> standIns(tokenizer.bytes(token)))
                .toList();
        assertEquals(expected, actual);
    }

    private static List<String> naiveWord(String word, Map<String, Integer> ranks) {
        List<String> parts = new ArrayList<>(List.of(word.split("")));
        while (true) {
            int best = -1;
            int bestRank = Integer.MAX_VALUE;
            for (int i = 0; i + 1 < parts.size(); i++) {
                int rank = ranks.getOrDefault(parts.get(i) + " " + parts.get(i + 1), Integer.MAX_VALUE);
                if (rank < bestRank) {
                    best = i;
                    bestRank = rank;
                }
            }
            if (best < 0) {
                return parts;
            }
            parts.set(best, parts.get(best) + parts.remove(best + 1));
        }
    }

    @Test
    void aFullCacheChangesNothing() {
        Tokenizer.Encoder encoder = tokenizer.encoder(false);
        Tokens cached = new Tokens();
        Tokens fresh = new Tokens();
        byte[] probe = " lomiter".getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < 200_000; i++) {
            byte[] word = (" w" + Integer.toString(i, 36)).getBytes(StandardCharsets.UTF_8);
            cached.clear();
            encoder.encode(word, 0, word.length, cached);
            assertArrayEquals(word, tokenizer.decode(cached.toArray(), 0, cached.size()));
        }
        cached.clear();
        encoder.encode(probe, 0, probe.length, cached);
        tokenizer.encoder(false).encode(probe, 0, probe.length, fresh);
        assertArrayEquals(fresh.toArray(), cached.toArray());
    }

    @Test
    void specialTokensAreParsedOnlyOnRequest() {
        byte[] text = "ka<|end|>lo".getBytes(StandardCharsets.UTF_8);
        int[] parsed = encode(tokenizer, true, text);
        int[] plain = encode(tokenizer, false, text);
        assertTrue(Arrays.stream(parsed).anyMatch(t -> t == tokenizer.endToken()));
        assertTrue(Arrays.stream(plain).noneMatch(t -> t == tokenizer.endToken()));
        assertEquals("kalo", tokenizer.decode(parsed));
        assertEquals("ka<|end|>lo", tokenizer.decode(plain));
    }

    @Test
    void decodesNoTokenOutsideTheVocabulary() {
        assertThrows(IndexOutOfBoundsException.class, () -> tokenizer.decode(new int[] {VOCAB}));
        assertThrows(IndexOutOfBoundsException.class, () -> tokenizer.decode(new int[] {-1}));
        assertThrows(IndexOutOfBoundsException.class, () -> new ByteTokenizer().decode(new int[] {257}));
    }

    @Test
    void savesAndLoadsItself() throws IOException {
        Path json = Files.write(folder.resolve("tokenizer.json"), tokenizer.toJson());
        BpeTokenizer loaded = BpeTokenizer.load(json);
        assertEquals(tokenizer.fingerprint(), loaded.fingerprint());
        assertArrayEquals(tokenizer.encode(documents.get(0)), loaded.encode(documents.get(0)));
    }

    private static Map<String, Object> root() throws IOException {
        return new LinkedHashMap<>(Json.asObject(Json.parse(tokenizer.toJson()), "tokenizer"));
    }

    private static BpeTokenizer parse(Map<String, Object> root) throws TokenizerException {
        return BpeTokenizer.parse(Json.write(root).getBytes(StandardCharsets.UTF_8), null);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "normalizer | {\"type\":\"Lowercase\"} | normalizer Lowercase",
        "pre_tokenizer | {\"type\":\"Metaspace\"} | pre_tokenizer Metaspace",
        "pre_tokenizer | {\"type\":\"ByteLevel\",\"add_prefix_space\":true} | ByteLevel with add_prefix_space",
        "pre_tokenizer | {\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false} | ByteLevel without use_regex",
        "post_processor | {\"type\":\"BertProcessing\"} | post_processor BertProcessing",
        "decoder | {\"type\":\"WordPiece\"} | decoder WordPiece",
        "truncation | {\"max_length\":5} | truncation",
        "added_tokens | [{\"id\":0,\"content\":\"x\",\"lstrip\":true}] | added token \"x\" with lstrip",
        "model | {\"type\":\"Unigram\"} | model Unigram",
        "model | {\"type\":\"BPE\",\"dropout\":0.1} | BPE dropout",
        "model | {\"type\":\"BPE\",\"byte_fallback\":true} | byte_fallback",
        "model | {\"type\":\"BPE\",\"ignore_merges\":true} | ignore_merges",
        "model | {\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\"} | end_of_word_suffix",
        "model | {\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]} | a vocabulary without byte 0x00"
    })
    void namesTheFeatureItDoesNotSupport(String field, String json, String feature) throws IOException {
        Map<String, Object> root = root();
        root.put(field, Json.parse(json.getBytes(StandardCharsets.UTF_8)));
        assertEquals(feature, assertThrows(TokenizerException.class, () -> parse(root)).unsupportedFeature());
    }

    /** As transformers writes it into each tokenizer that it saves. */
    @Test
    void aTemplateAroundTextsDoesNotChangeTheirTokens() throws IOException {
        Map<String, Object> root = root();
        root.put("post_processor", Json.parse("""
                {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {}}"""
                .getBytes(StandardCharsets.UTF_8)));
        assertArrayEquals(tokenizer.encode("a text, "), parse(root).encode("a text, "));
    }

    /** Text is looked up in stand-ins for its bytes, of which a space is none. */
    @Test
    void aTokenThatIsNoStandInIsNeverMet() throws IOException {
        Map<String, Object> root = root();
        Json.object(Json.object(root, "model"), "vocab").put(" ", VOCAB);
        BpeTokenizer more = parse(root);
        assertEquals(VOCAB + 1, more.vocabSize());
        assertArrayEquals(tokenizer.encode("a  b "), more.encode("a  b "));
        assertEquals(" ", more.decode(new int[] {VOCAB}));
    }

    @Test
    void damagedTokenizersAreErrorsOfOneLine() throws IOException {
        Map<String, Object> noModel = root();
        noModel.remove("model");
        Map<String, Object> badMerge = root();
        Map<String, Object> model = new LinkedHashMap<>(Json.object(badMerge, "model"));
        model.put("merges", List.of("zz qq"));
        badMerge.put("model", model);
        for (Map<String, Object> root : List.of(noModel, badMerge)) {
            TokenizerException e = assertThrows(TokenizerException.class, () -> parse(root));
            assertNull(e.unsupportedFeature());
        }
        byte[] json = tokenizer.toJson();
        for (int n = 0; n < json.length; n += 97) {
            byte[] part = Arrays.copyOf(json, n);
            assertThrows(TokenizerException.class, () -> BpeTokenizer.parse(part, null));
        }
        Path missing = folder.resolve("missing.json");
        assertEquals("no such file: " + missing,
                assertThrows(TokenizerException.class, () -> BpeTokenizer.load(missing)).getMessage().replace(missing + ": no", "no"));
    }

    @Test
    void normalizesToNfcWhenTheTokenizerAsksForIt() throws IOException {
        Map<String, Object> root = root();
        root.put("normalizer", Map.of("type", "NFC"));
        BpeTokenizer nfc = parse(root);
        assertArrayEquals(tokenizer.encode("caf\u00E9 x"), nfc.encode("cafe\u0301 x"));
        assertArrayEquals(tokenizer.encode("plain é"), nfc.encode("plain é"));
    }
}
