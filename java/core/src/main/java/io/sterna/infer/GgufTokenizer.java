package io.sterna.infer;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.PieceKind;
import io.sterna.data.PieceScores;
import io.sterna.data.SentencePiece;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.data.TokenizerTemplate;
import io.sterna.io.GgufMetadata;
import io.sterna.io.GgufReader;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.train.ConfigException;
import io.sterna.train.PreparedData;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A tokenizer as GGUF's keys and as {@code tokenizer.json}: byte-level BPE, which is {@code gpt2} there, with one of
 * {@link GgufWords}, or BPE of SentencePiece's kind, which is {@code llama}.
 */
final class GgufTokenizer {
    private static final String PREFIX = "tokenizer.ggml.";
    static final String CHAT_TEMPLATE = "tokenizer.chat_template";
    private static final String BYTE_LEVEL = "gpt2";
    private static final String SENTENCE_PIECE = "llama";
    private static final String NO_WORDS = "default";
    private static final List<String> MORE_ENDS = List.of("eot_token_id", "eom_token_id");
    private static final int USUAL_BEGIN = 1; // of SentencePiece's kind, in llama.cpp
    private static final int USUAL_END = 2;
    private static final String REMEDY = "name a tokenizer.json with --tokenizer";

    private GgufTokenizer() {}

    /**
     * Adds the keys of a tokenizer, and whether a text begins with its begin token.
     *
     * @param file  its tokenizer.json
     * @param vocab tokens of the model; those that the tokenizer lacks are marked as unused
     * @throws ModelException for a tokenizer that llama.cpp would not follow
     */
    static void write(Path file, Tokenizer tokenizer, int vocab, GgufMetadata metadata) throws IOException {
        if (!Files.exists(file)) {
            throw new ModelException("model: its tokens are bytes, which llama.cpp has no tokenizer for; export a model that was trained"
                    + " with tokenizer train or a tokenizer.json");
        }
        Map<String, Object> root = Json.readObject(file, TokenizerText.LARGEST);
        Optional<GgufWords> words = GgufWords.of(root);
        if (words.isPresent()) {
            requireFollowed(root, words.get());
            writeByteLevel(root, words.get(), vocab, metadata);
        } else {
            writeSentencePiece(scores(root, tokenizer.vocabSize(), file), vocab, metadata);
        }
        writeMoreEnds(tokenizer.endTokens(), metadata);
        metadata.u32(PREFIX + "bos_token_id", tokenizer.beginToken()).u32(PREFIX + "eos_token_id", tokenizer.endToken())
                .bool(PREFIX + "add_bos_token", tokenizer.addsBeginToken()).bool(PREFIX + "add_eos_token", false);
    }

    /** Beside the end of a text, which is the first, llama.cpp stops at the end of a turn and of a message. */
    private static void writeMoreEnds(List<Integer> ends, GgufMetadata metadata) throws ModelException {
        if (ends.size() > 1 + MORE_ENDS.size()) {
            throw new ModelException("model: has " + ends.size() + " end tokens, " + ends + ", and gguf places for " + (1 + MORE_ENDS.size())
                    + "; export to hf");
        }
        for (int i = 1; i < ends.size(); i++) {
            metadata.u32(PREFIX + MORE_ENDS.get(i - 1), ends.get(i));
        }
    }

    /** Whatever else a tokenizer.json may ask for. */
    private static void requireFollowed(Map<String, Object> root, GgufWords words) throws IOException {
        if (root.get("normalizer") != null) {
            throw new ModelException("tokenizer: normalizes its text, which llama.cpp does not; export to hf instead");
        }
        if (!words.mergesAs(root)) {
            throw new ModelException("tokenizer: ignore_merges is " + Json.object(root, "model").get("ignore_merges")
                    + ", which llama.cpp does otherwise for " + words + "; export to hf instead");
        }
        Map<String, Object> plain = new LinkedHashMap<>(root);
        plain.put("model", new LinkedHashMap<>(Json.object(root, "model")));
        GgufWords.GPT2.setOn(plain);
        try {
            BpeTokenizer.parse(Json.write(plain).getBytes(StandardCharsets.UTF_8), null); // refuses what it does not follow
        } catch (TokenizerException e) {
            throw new ModelException("tokenizer: not all of it can be said in gguf: " + e.getMessage() + "; export to hf instead", e);
        }
    }

    private static void writeByteLevel(Map<String, Object> root, GgufWords words, int size, GgufMetadata metadata) throws IOException {
        String[] tokens = new String[size];
        PieceKind[] kinds = new PieceKind[size];
        Map<String, Object> model = Json.object(root, "model");
        Map<String, Object> vocab = Json.object(model, "vocab");
        for (String token : vocab.keySet()) {
            int id = (int) Json.integer(vocab, token);
            tokens[id] = token;
            kinds[id] = token.equals(hole(id)) ? PieceKind.UNUSED : PieceKind.NORMAL;
        }
        for (Object item : Json.listOrEmpty(root, "added_tokens")) {
            Map<String, Object> added = Json.asObject(item, "added token");
            int id = (int) Json.integer(added, "id");
            tokens[id] = Json.string(added, "content");
            kinds[id] = Boolean.TRUE.equals(added.get("special")) ? PieceKind.CONTROL : PieceKind.USER_DEFINED;
        }
        metadata.string(PREFIX + "model", BYTE_LEVEL).string(PREFIX + "pre", words.toString());
        writeTokens(tokens, kinds, metadata);
        metadata.strings(PREFIX + "merges", merges(model));
    }

    private static PieceScores scores(Map<String, Object> root, int size, Path file) throws ModelException {
        try {
            return new PieceScores(root, size);
        } catch (TokenizerException e) {
            throw new ModelException("tokenizer " + file + ": neither byte-level BPE that cuts words as " + GgufWords.written()
                    + ", nor SentencePiece's BPE, which are exported to gguf: " + e.getMessage() + "; export to hf, or train with another one", e);
        }
    }

    private static void writeSentencePiece(PieceScores pieces, int size, GgufMetadata metadata) throws ModelException {
        String[] tokens = new String[size];
        PieceKind[] kinds = new PieceKind[size];
        pieces.ids().forEach((token, id) -> {
            tokens[id] = token;
            kinds[id] = token.equals(hole(id)) ? PieceKind.UNUSED : pieces.kind(token);
        });
        metadata.string(PREFIX + "model", SENTENCE_PIECE).string(PREFIX + "pre", NO_WORDS);
        writeTokens(tokens, kinds, metadata);
        metadata.f32s(PREFIX + "scores", Arrays.copyOf(pieces.scores(), size)).bool(PREFIX + "add_space_prefix", pieces.prefixed());
        int unknown = List.of(kinds).indexOf(PieceKind.UNKNOWN);
        if (unknown >= 0) {
            metadata.u32(PREFIX + "unknown_token_id", unknown);
        }
    }

    /** Ids without a token get a text of their own, which no text is cut into; all texts must differ. */
    private static void writeTokens(String[] tokens, PieceKind[] kinds, GgufMetadata metadata) throws ModelException {
        Set<String> seen = new HashSet<>();
        for (int id = 0; id < tokens.length; id++) {
            if (tokens[id] == null) {
                tokens[id] = hole(id);
                kinds[id] = PieceKind.UNUSED;
            }
            if (!seen.add(tokens[id])) {
                throw new ModelException("tokenizer: token " + Json.brief(tokens[id]) + " has two ids, which llama.cpp cannot hold;"
                        + " export to hf instead");
            }
        }
        metadata.strings(PREFIX + "tokens", List.of(tokens))
                .i32s(PREFIX + "token_type", Arrays.stream(kinds).mapToInt(PieceKind::number).toArray());
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
     * The tokenizer of a file.
     *
     * @param loader reads its {@code tokenizer.json} if it is not GPT-2's kind
     * @throws ModelException for a tokenizer of another kind
     */
    static TokenizerText read(GgufReader reader, Path file, PreparedData.TokenizerLoader loader) throws IOException {
        if (!reader.metadata().containsKey(PREFIX + "model")) {
            throw fault(file, reader.brief(PREFIX + "model") + ": no tokenizer there");
        }
        String model = reader.string(PREFIX + "model");
        try {
            return switch (model) {
                case BYTE_LEVEL -> byteLevel(reader, file, loader);
                case SENTENCE_PIECE -> sentencePiece(reader, file, loader);
                default -> throw fault(file, reader.brief(PREFIX + "model") + ", only " + BYTE_LEVEL + " and " + SENTENCE_PIECE + " are read");
            };
        } catch (TokenizerException e) {
            throw new ModelException("model " + file + ": tokenizer: " + e.getMessage() + "; " + REMEDY, e);
        }
    }

    /**
     * Sets the tokens that texts begin and end with, where they are not the tokenizer's own. What the file does not say of the
     * beginning is as llama.cpp has it, or as the template of a tokenizer that is used instead of the file's own.
     *
     * @param given ids that end a text; empty for those of the file
     */
    static void setMarks(GgufReader reader, Path file, TokenizerText text, List<Integer> given, TrainConfig settings) throws IOException {
        Tokenizer tokenizer = text.tokenizer();
        boolean sentencePiece = isSentencePiece(reader);
        Optional<Integer> template = beginOfTemplate(file, text);
        boolean begins = sentencePiece || template.isPresent()
                || GgufWords.named(reader.metadata().get(PREFIX + "pre")).filter(GgufWords::begins).isPresent();
        List<Long> ends = ends(reader, file, tokenizer, given);
        long end = ends.getFirst();
        boolean adds = truth(reader, file, "add_bos_token", begins);
        long begin = integer(reader, "bos_token_id", sentencePiece ? USUAL_BEGIN : template.map(Integer::longValue).orElse(end));
        try {
            settings.set("end-token", ends.equals(TokenizerText.longs(tokenizer.endTokens())) ? null : ends)
                    .set("add-begin-token", adds ? null : false)
                    .set("begin-token", begin == end || !adds && begin >= tokenizer.vocabSize() ? null : begin);
            PreparedData.marked(tokenizer, settings);
        } catch (ConfigException e) {
            throw given.isEmpty() ? fault(file, "keys " + PREFIX + "bos_token_id and eos_token_id: " + e.getMessage())
                    : new ModelException("model " + file + ": " + e.getMessage() + "; give ids that it has", e);
        }
    }

    private static Optional<Integer> beginOfTemplate(Path file, TokenizerText text) throws ModelException {
        try {
            return TokenizerTemplate.beginToken(Json.asObject(Json.parse(text.json().getBytes(StandardCharsets.UTF_8)), "tokenizer"));
        } catch (JsonException e) {
            throw fault(file, "tokenizer: " + e.getMessage());
        }
    }

    private static boolean isSentencePiece(GgufReader reader) {
        return SENTENCE_PIECE.equals(reader.metadata().get(PREFIX + "model"));
    }

    /** Those that are given, or else the keys', or else what is usual. */
    private static List<Long> ends(GgufReader reader, Path file, Tokenizer tokenizer, List<Integer> given) throws IOException {
        if (!given.isEmpty()) {
            return TokenizerText.longs(given);
        }
        String key = PREFIX + "eos_token_id";
        List<Long> usual = isSentencePiece(reader) ? List.of((long) USUAL_END) : TokenizerText.longs(tokenizer.endTokens());
        if (usual.isEmpty() && !reader.metadata().containsKey(key)) {
            throw new ModelException("model " + file + ": key " + key + " is missing, and the tokenizer has none of " + Tokenizer.END_TOKENS
                    + "; give the id of its token that ends a text: --end-token ID");
        }
        List<Long> ends = new ArrayList<>();
        ends.add(reader.metadata().containsKey(key) ? reader.integer(key) : usual.getFirst());
        for (String another : MORE_ENDS) {
            long more = integer(reader, another, ends.getFirst());
            if (!ends.contains(more)) {
                ends.add(more);
            }
        }
        return ends;
    }

    /** The ids that texts end with and the begin token. */
    static Set<Long> marks(GgufReader reader, Path file, Tokenizer tokenizer, List<Integer> given) throws IOException {
        Set<Long> marks = new HashSet<>(ends(reader, file, tokenizer, given));
        if (reader.metadata().containsKey(PREFIX + "bos_token_id")) {
            marks.add(reader.integer(PREFIX + "bos_token_id"));
        }
        return marks;
    }

    private static long integer(GgufReader reader, String key, long otherwise) throws IOException {
        return reader.metadata().containsKey(PREFIX + key) ? reader.integer(PREFIX + key) : otherwise;
    }

    private static boolean truth(GgufReader reader, Path file, String key, boolean otherwise) throws ModelException {
        Object value = reader.metadata().getOrDefault(PREFIX + key, otherwise);
        if (!(value instanceof Boolean truth)) {
            throw fault(file, reader.brief(PREFIX + key) + " is not true or false");
        }
        return truth;
    }

    private static TokenizerText byteLevel(GgufReader reader, Path file, PreparedData.TokenizerLoader loader) throws IOException {
        GgufWords words = GgufWords.named(reader.metadata().get(PREFIX + "pre")).orElseThrow(() -> fault(file, reader.brief(PREFIX + "pre")
                + ", of byte-level BPE only that which cuts words as " + GgufWords.read() + " is read"));
        List<String> tokens = reader.strings(PREFIX + "tokens");
        List<PieceKind> kinds = kinds(reader, file, tokens.size());
        Map<String, Object> vocab = new LinkedHashMap<>();
        List<Map<String, Object>> added = new ArrayList<>();
        for (int id = 0; id < tokens.size(); id++) {
            PieceKind kind = kinds.get(id);
            if (kind == PieceKind.CONTROL || kind == PieceKind.USER_DEFINED) {
                added.add(BpeTokenizer.addedToken(id, tokens.get(id), kind == PieceKind.CONTROL));
            } else if (kind != PieceKind.UNUSED && vocab.put(tokens.get(id), (long) id) != null) {
                throw fault(file, "token " + Json.brief(tokens.get(id)) + " is there twice");
            }
        }
        byte[] json = BpeTokenizer.tokenizerJson(vocab, reader.strings(PREFIX + "merges"), added);
        if (words == GgufWords.GPT2) {
            return new TokenizerText(BpeTokenizer.parse(json, null), new String(json, StandardCharsets.UTF_8));
        }
        Map<String, Object> root = Json.asObject(Json.parse(json), "tokenizer");
        words.setOn(root);
        return TokenizerText.of(Json.writePretty(root).getBytes(StandardCharsets.UTF_8), loader);
    }

    private static TokenizerText sentencePiece(GgufReader reader, Path file, PreparedData.TokenizerLoader loader) throws IOException {
        List<String> tokens = reader.strings(PREFIX + "tokens");
        float[] scores = reader.f32s(PREFIX + "scores");
        if (scores.length != tokens.size()) {
            throw fault(file, "key " + PREFIX + "scores: " + scores.length + " scores of " + tokens.size() + " tokens");
        }
        boolean prefix = truth(reader, file, "add_space_prefix", true);
        return TokenizerText.of(SentencePiece.tokenizerJson(tokens, scores, kinds(reader, file, tokens.size()), prefix), loader);
    }

    private static List<PieceKind> kinds(GgufReader reader, Path file, int size) throws IOException {
        if (!reader.metadata().containsKey(PREFIX + "token_type")) {
            return Collections.nCopies(size, PieceKind.NORMAL);
        }
        int[] types = reader.i32s(PREFIX + "token_type");
        if (types.length != size) {
            throw fault(file, "key " + PREFIX + "token_type: " + types.length + " types of " + size + " tokens");
        }
        List<PieceKind> kinds = new ArrayList<>();
        for (int type : types) {
            kinds.add(PieceKind.of(type));
        }
        return kinds;
    }

    /** The file's chat template, if it has one. */
    static Optional<String> chatTemplate(GgufReader reader) throws IOException {
        return reader.metadata().containsKey(CHAT_TEMPLATE) ? Optional.of(reader.string(CHAT_TEMPLATE)) : Optional.empty();
    }

    private static ModelException fault(Path file, String what) {
        return new ModelException("model " + file + ": " + what + "; " + REMEDY);
    }
}
