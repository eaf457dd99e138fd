package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.TokenizerException;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Most of these would end the process inside the tokenizers library; the rest would run or grow without end. */
class TokenizerLimitsTest {
    private static final String WORDS = """
            {"added_tokens": [{"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
             "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
             "model": {"type": "BPE", "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
                       "byte_fallback": true, "vocab": {"<unk>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, "merges": ["a b"]}}
            """;

    @TempDir
    private Path folder;

    @Test
    void theTokenizerItselfIsRead() throws IOException {
        assertTrue(Tokenizers.load(write(Map.of())).encode("ab").length == 1);
    }

    static List<Map<String, String>> beyond() {
        String nested = "(".repeat(5000) + "a" + ")".repeat(5000);
        String replace = "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"aaaaaaaaaa\"}";
        return List.of(
                Map.of("normalizer", charsMap(Base64.getEncoder().encodeToString(new byte[3]))),
                Map.of("normalizer", charsMap(map(1 << 31 | 255, 256))),
                Map.of("normalizer", charsMap(map(7 << 10, 4))),
                Map.of("normalizer", charsMap("not base64")),
                Map.of("normalizer", "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"ab\"}"),
                Map.of("normalizer", "{\"type\": \"Sequence\", \"normalizers\": [" + String.join(",", List.of(replace, replace, replace)) + "]}"),
                Map.of("normalizer", "{\"type\": \"Prepend\", \"prepend\": \"" + "a".repeat(100_000) + "\"}"),
                Map.of("normalizer", "{\"type\": \"Unheard\"}"),
                Map.of("pre_tokenizer", "{\"type\": \"FixedLength\", \"length\": 0}"),
                Map.of("pre_tokenizer", split(nested)), Map.of("pre_tokenizer", split("(a+)+$")), Map.of("pre_tokenizer", split("(a|aa)+$")),
                Map.of("pre_tokenizer", split("(?:(?:a*)b?)*$")), Map.of("pre_tokenizer", split("a*a*a*a*a*a*$")),
                Map.of("pre_tokenizer", split("a{1,100000}")), Map.of("pre_tokenizer", split("")),
                Map.of("decoder", "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(a+)+$\"}, \"content\": \"\"}"),
                Map.of("model.continuing_subword_prefix", "\"\u00e9\""), Map.of("model.dropout", "0.5"),
                Map.of("model.vocab", "{\"a\": 0, \"</s>\": 1, \"" + "a".repeat(100_000) + "\": 2}"),
                Map.of("model", "{\"type\": \"Unigram\", \"unk_id\": 9, \"vocab\": [[\"a\", -1.0], [\"</s>\", 0.0]]}"),
                Map.of("model", "{\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"vocab\": {\"a\": 0, \"</s>\": 1}}"));
    }

    @ParameterizedTest
    @MethodSource("beyond")
    void whatTheLibraryWouldNotBearIsRefused(Map<String, String> changes) {
        String message = assertThrows(TokenizerException.class, () -> Tokenizers.load(write(changes))).getMessage();
        assertTrue(message.contains("tokenizer.json: ") && message.length() < 400, message);
    }

    @Test
    void aWholeMapOfCharactersIsRead() throws IOException {
        Tokenizers.load(write(Map.of("normalizer", charsMap(map(0, 256)))));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        "\\d{1,3}(?=(?:\\d{3})*\\b)", "(?<=[^\\s])\\s{2,}", "[\\]\\[a-z]+", "[^[:space:]]+"
    })
    void patternsOfRealTokenizersAreTaken(String regex) {
        assertDoesNotThrow(() -> RegexLimits.check(regex));
    }

    /** A trie of one root and empty units. */
    private static String map(int root, int units) {
        ByteBuffer map = ByteBuffer.allocate(4 + 4 * units).order(ByteOrder.LITTLE_ENDIAN).putInt(4 * units).putInt(root);
        return Base64.getEncoder().encodeToString(map.array());
    }

    private static String charsMap(String base64) {
        return "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"" + base64 + "\"}";
    }

    private static String split(String regex) {
        return "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" + regex + "\"}, \"behavior\": \"Isolated\", \"invert\": false}";
    }

    /** @param changes JSON by field, of the model where it says so */
    private Path write(Map<String, String> changes) throws IOException {
        Map<String, Object> root = parse(WORDS);
        for (Map.Entry<String, String> change : changes.entrySet()) {
            boolean model = change.getKey().startsWith("model.");
            Map<String, Object> of = model ? Json.object(root, "model") : root;
            of.put(change.getKey().substring(model ? "model.".length() : 0), Json.parse(change.getValue().getBytes(StandardCharsets.UTF_8)));
        }
        return Files.writeString(folder.resolve("tokenizer.json"), Json.write(root));
    }

    private static Map<String, Object> parse(String json) throws JsonException {
        return Json.asObject(Json.parse(json.getBytes(StandardCharsets.UTF_8)), "test");
    }
}
