package io.sterna.infer;

import io.sterna.data.SentencePiece;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.data.TokenizerTemplate;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.train.ConfigException;
import io.sterna.train.PreparedData;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** A tokenizer and its {@code tokenizer.json}. */
record TokenizerText(Tokenizer tokenizer, String json) {
    /** Bytes that a tokenizer.json may have. */
    static final long LARGEST = 1 << 28;

    /** The tokenizer of a {@code tokenizer.json}, or of Llama's {@code tokenizer.model}. */
    static TokenizerText of(Path file, PreparedData.TokenizerLoader loader) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new ConfigException("tokenizer " + file + ": no such file; expected a tokenizer.json or a tokenizer.model");
        }
        if (Files.size(file) > LARGEST) {
            throw new ModelException("tokenizer " + file + ": larger than " + LARGEST + " bytes; expected a tokenizer.json");
        }
        return SentencePiece.isNamedBy(file) ? of(SentencePiece.tokenizerJson(file), loader)
                : new TokenizerText(loader.load(file), Files.readString(file));
    }

    /**
     * The same without special tokens that have no row of an embedding, as one for padding that was added for a training
     * and never met. It is this one when every token has its row.
     *
     * @param rows  of the embedding
     * @param marks ids that begin and end the model's texts, which must have rows
     * @param said  names model and rows, in errors
     * @throws ModelException for any other token without a row; it says which
     */
    TokenizerText within(int rows, Set<Long> marks, String said, PreparedData.TokenizerLoader loader) throws IOException {
        if (tokenizer.vocabSize() <= rows) {
            return this;
        }
        String both = said + ", the tokenizer has " + tokenizer.vocabSize();
        try {
            Map<String, Object> root = Json.asObject(Json.parse(json.getBytes(StandardCharsets.UTF_8)), "the tokenizer");
            Map<Long, Object> needed = new TreeMap<>(tokensBeyond(rows, Json.object(root, "model").get("vocab")));
            List<Object> kept = new ArrayList<>();
            Set<Long> template = TokenizerTemplate.tokens(root);
            for (Object item : Json.listOrEmpty(root, "added_tokens")) {
                Map<String, Object> token = Json.asObject(item, "added token");
                long id = Json.integer(token, "id");
                if (id < rows) {
                    kept.add(item);
                } else if (!Boolean.TRUE.equals(token.get("special")) || marks.contains(id) || template.contains(id)) {
                    needed.put(id, token.get("content"));
                }
            }
            if (!needed.isEmpty()) {
                long id = needed.keySet().iterator().next();
                throw new ModelException(both + ", of which " + id + ", " + Json.brief(needed.get(id))
                        + ", cannot be left out; every token but unused special ones must have its row");
            }
            root.put("added_tokens", kept);
            return of(Json.writePretty(root).getBytes(StandardCharsets.UTF_8), loader);
        } catch (JsonException e) {
            throw new ModelException(both + ": " + e.getMessage() + "; every token must have its row", e);
        }
    }

    /** Those of a vocabulary of tokens with ids, or a list. */
    private static Map<Long, Object> tokensBeyond(int rows, Object vocab) {
        Map<Long, Object> beyond = new TreeMap<>();
        if (vocab instanceof Map<?, ?> ids) {
            ids.forEach((token, id) -> {
                if (id instanceof Long number && number >= rows) {
                    beyond.put(number, token);
                }
            });
        } else if (vocab instanceof List<?> pieces) {
            for (int id = rows; id < pieces.size(); id++) {
                beyond.put((long) id, pieces.get(id) instanceof List<?> piece && !piece.isEmpty() ? piece.getFirst() : pieces.get(id));
            }
        }
        return beyond;
    }

    /** The tokenizer of the bytes of a {@code tokenizer.json}. */
    static TokenizerText of(byte[] json, PreparedData.TokenizerLoader loader) throws IOException {
        Path file = Files.createTempFile("sterna-tokenizer", ".json"); // loaders read files
        try {
            return new TokenizerText(loader.load(Files.write(file, json)), new String(json, StandardCharsets.UTF_8));
        } catch (TokenizerException e) {
            throw new TokenizerException(e.getMessage().replace(file.toString(), "as tokenizer.json"), e);
        } finally {
            Files.delete(file);
        }
    }

    /** Ids as settings and files have them. */
    static List<Long> longs(List<Integer> ids) {
        return ids.stream().map(Long::valueOf).toList();
    }
}
