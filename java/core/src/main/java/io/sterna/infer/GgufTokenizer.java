package io.sterna.infer;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.io.GgufMetadata;
import io.sterna.io.GgufReader;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A byte-level BPE tokenizer as GGUF's keys and as {@code tokenizer.json}. llama.cpp's {@code gpt-2} cuts text into
 * words as Sterna does, and does not normalize it.
 */
final class GgufTokenizer {
    private static final String PREFIX = "tokenizer.ggml.";
    private static final String MODEL = "gpt2";
    private static final String WORDS = "gpt-2";
    private static final int NORMAL = 1;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;
    private static final String REMEDY = "name a tokenizer.json with --tokenizer";

    private GgufTokenizer() {}

    /**
     * Adds the keys of a tokenizer; a text begins with its end token, as a document does in training.
     *
     * @throws ModelException for a tokenizer that llama.cpp would not follow
     */
    static void write(BpeTokenizer tokenizer, GgufMetadata metadata) throws IOException {
        Map<String, Object> root = Json.asObject(Json.parse(tokenizer.toJson()), "the tokenizer");
        if (root.get("normalizer") != null) {
            throw new ModelException("tokenizer: normalizes its text, which llama.cpp does not; export to hf instead");
        }
        String[] tokens = new String[tokenizer.vocabSize()];
        int[] types = new int[tokens.length];
        Map<String, Object> model = Json.object(root, "model");
        Map<String, Object> vocab = Json.object(model, "vocab");
        for (String token : vocab.keySet()) {
            int id = (int) Json.integer(vocab, token);
            tokens[id] = token;
            types[id] = token.equals(hole(id)) ? UNUSED : NORMAL;
        }
        for (Object item : root.get("added_tokens") == null ? List.of() : Json.list(root, "added_tokens")) {
            Map<String, Object> added = Json.asObject(item, "added token");
            int id = (int) Json.integer(added, "id");
            tokens[id] = Json.string(added, "content");
            types[id] = Boolean.TRUE.equals(added.get("special")) ? CONTROL : USER_DEFINED;
        }
        fillHoles(tokens, types);
        int end = tokenizer.endToken();
        metadata.string(PREFIX + "model", MODEL).string(PREFIX + "pre", WORDS)
                .strings(PREFIX + "tokens", List.of(tokens)).i32s(PREFIX + "token_type", types)
                .strings(PREFIX + "merges", merges(model))
                .u32(PREFIX + "bos_token_id", end).u32(PREFIX + "eos_token_id", end)
                .bool(PREFIX + "add_bos_token", true).bool(PREFIX + "add_eos_token", false);
    }

    /** Ids without a token get a text of their own, which no text is cut into; all texts must differ. */
    private static void fillHoles(String[] tokens, int[] types) throws ModelException {
        Set<String> seen = new HashSet<>();
        for (int id = 0; id < tokens.length; id++) {
            if (tokens[id] == null) {
                tokens[id] = hole(id);
                types[id] = UNUSED;
            }
            if (!seen.add(tokens[id])) {
                throw new ModelException("tokenizer: token \"" + tokens[id] + "\" has two ids, which llama.cpp cannot hold;"
                        + " export to hf instead");
            }
        }
    }

    private static String hole(int id) {
        return "[PAD" + id + "]";
    }

    private static List<String> merges(Map<String, Object> model) throws JsonException {
        List<String> merges = new ArrayList<>();
        for (Object merge : Json.list(model, "merges")) {
            merges.add(merge instanceof List<?> pair ? pair.get(0) + " " + pair.get(1) : String.valueOf(merge));
        }
        return merges;
    }

    /**
     * The {@code tokenizer.json} of a file's tokenizer.
     *
     * @throws ModelException for a tokenizer of another kind
     */
    static BpeTokenizer read(GgufReader reader, Path file) throws IOException {
        expect(reader, file, PREFIX + "model", MODEL);
        expect(reader, file, PREFIX + "pre", WORDS);
        List<String> tokens = reader.strings(PREFIX + "tokens");
        int[] types = reader.metadata().containsKey(PREFIX + "token_type") ? reader.i32s(PREFIX + "token_type") : null;
        if (types != null && types.length != tokens.size()) {
            throw fault(file, "key " + PREFIX + "token_type: " + types.length + " types of " + tokens.size() + " tokens", REMEDY);
        }
        Map<String, Object> vocab = new LinkedHashMap<>();
        List<Map<String, Object>> added = new ArrayList<>();
        for (int id = 0; id < tokens.size(); id++) {
            int type = types == null ? NORMAL : types[id];
            if (type == CONTROL || type == USER_DEFINED) {
                added.add(BpeTokenizer.addedToken(id, tokens.get(id), type == CONTROL));
            } else if (vocab.put(tokens.get(id), (long) id) != null) {
                throw fault(file, "token \"" + tokens.get(id) + "\" is there twice", REMEDY);
            }
        }
        byte[] json = BpeTokenizer.tokenizerJson(vocab, reader.strings(PREFIX + "merges"), added);
        return withEnd(json, reader, file);
    }

    private static BpeTokenizer withEnd(byte[] json, GgufReader reader, Path file) throws IOException {
        try {
            BpeTokenizer tokenizer = BpeTokenizer.parse(json, null);
            long end = reader.integer(PREFIX + "eos_token_id");
            if (tokenizer.endToken() != end) {
                throw fault(file, "key " + PREFIX + "eos_token_id: " + end + ", but documents end with "
                        + tokenizer.endToken(), REMEDY);
            }
            return tokenizer;
        } catch (TokenizerException e) {
            throw new ModelException("model " + file + ": tokenizer: " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    private static void expect(GgufReader reader, Path file, String key, String value) throws IOException {
        Object found = reader.metadata().get(key);
        if (!value.equals(found)) {
            throw fault(file, "key " + key + (found == null ? " is missing" : ": " + found) + ", only byte-level BPE that cuts words as gpt-2"
                    + " is read (" + value + ")", REMEDY);
        }
    }

    private static ModelException fault(Path file, String what, String remedy) {
        return new ModelException("model " + file + ": " + what + "; " + remedy);
    }
}
