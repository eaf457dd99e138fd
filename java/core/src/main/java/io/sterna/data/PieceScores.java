package io.sterna.data;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * A {@code tokenizer.json} as SentencePiece says it: where the one lists pairs of pieces to merge, first ones first, the other
 * has a score for each piece, and merges whichever neighbours make the piece with the best one. Both make the
 * same tokens when the pairs of a piece stand together in the list, and none that makes a piece is missing.
 */
public final class PieceScores {
    private static final String SPACE = "\u2581";
    private static final Map<String, Object> ESCAPE = Map.of("type", "Replace", "pattern", Map.of("String", " "), "content", SPACE);
    private static final Map<String, Object> PREFIX = Map.of("type", "Prepend", "prepend", SPACE);
    private static final Pattern BYTE = Pattern.compile("<0x[0-9A-F]{2}>");

    private final Map<String, Object> root;
    private final Map<String, Object> model;
    private final Map<String, Integer> ids = new LinkedHashMap<>();
    private final Map<String, PieceKind> kinds = new HashMap<>();
    private final Map<String, Integer> ranks = new LinkedHashMap<>(); // of "left right", first ones first
    private final float[] scores;
    private final boolean prefix;

    /**
     * Reads a parsed {@code tokenizer.json}.
     *
     * @param size one more than the largest id
     * @throws TokenizerException for one that SentencePiece would not follow; the message says why
     */
    public PieceScores(Map<String, Object> root, int size) throws TokenizerException {
        try {
            this.root = root;
            this.model = Json.object(root, "model");
            this.scores = new float[size];
            this.prefix = hasPrefix();
            checkModel();
            readVocabulary(size);
            readAddedTokens(size);
            requireNothingCut();
            readMerges();
            score();
        } catch (JsonException e) {
            throw new TokenizerException("not a tokenizer.json: " + e.getMessage(), e);
        }
    }

    /** Ids by the texts of the tokens. */
    public Map<String, Integer> ids() {
        return ids;
    }

    /** What the token of a text is. */
    public PieceKind kind(String token) {
        return kinds.get(token);
    }

    /** By id: the higher, the earlier two neighbours become this token. */
    public float[] scores() {
        return scores.clone();
    }

    /** Whether a text is read as if a space stood before it. */
    public boolean prefixed() {
        return prefix;
    }

    /** Spaces are written as a visible sign, by a normalizer or by Metaspace, and nothing else is changed. */
    private boolean hasPrefix() throws TokenizerException {
        Object normalizer = root.get("normalizer");
        List<?> steps = normalizer instanceof Map<?, ?> map && "Sequence".equals(map.get("type")) && map.get("normalizers") instanceof List<?> list
                ? list : Arrays.asList(normalizer);
        Optional<Map<?, ?>> metaspace = metaspace();
        require(metaspace.isPresent() || root.get("pre_tokenizer") == null, "it cuts text before it is merged");
        require(metaspace.isPresent() && normalizer == null || steps.equals(List.of(ESCAPE)) || steps.equals(List.of(PREFIX, ESCAPE)),
                "it normalizes text otherwise than by " + SPACE + " for spaces");
        require(metaspace.isEmpty() || SPACE.equals(metaspace.get().get("replacement")), "Metaspace writes spaces otherwise than as " + SPACE);
        require(metaspace.isEmpty() || "never".equals(metaspace.get().get("prepend_scheme")),
                "it puts a space only before a text that begins with none (Metaspace), where llama.cpp always does or never");
        return steps.size() == 2;
    }

    private Optional<Map<?, ?>> metaspace() {
        return root.get("pre_tokenizer") instanceof Map<?, ?> map && "Metaspace".equals(map.get("type")) ? Optional.of(map) : Optional.empty();
    }

    /** Metaspace cuts text before every space unless it is told not to, so that nothing merges across; scores know no cuts. */
    private void requireNothingCut() throws TokenizerException {
        if (metaspace().isEmpty() || Boolean.FALSE.equals(metaspace().get().get("split"))) {
            return;
        }
        for (String token : ids.keySet()) {
            require(!isNormal(token) || token.indexOf(SPACE, 1) < 0,
                    "it cuts text before every space (split of Metaspace), and token " + Json.brief(token) + " has one within");
        }
    }

    private void checkModel() throws TokenizerException {
        require("BPE".equals(model.get("type")), "its model is not BPE");
        require(Boolean.TRUE.equals(model.get("byte_fallback")), "unknown characters do not become bytes");
        require(!Boolean.TRUE.equals(model.get("ignore_merges")), "it ignores merges for whole words");
        for (String part : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            require(model.get(part) == null || "".equals(model.get(part)), "it has a " + part);
        }
    }

    private void readVocabulary(int size) throws JsonException, TokenizerException {
        Map<String, Object> vocab = Json.object(model, "vocab");
        for (String token : vocab.keySet()) {
            add(token, Json.integer(vocab, token), BYTE.matcher(token).matches() ? PieceKind.BYTE : PieceKind.NORMAL, size);
        }
        for (int b = 0; b < 256; b++) {
            String text = SentencePiece.byteToken(b);
            require(ids.containsKey(text), "it has no token " + text);
        }
    }

    private void readAddedTokens(int size) throws JsonException, TokenizerException {
        for (Object item : Json.listOrEmpty(root, "added_tokens")) {
            Map<String, Object> token = Json.asObject(item, "added token");
            String text = Json.string(token, "content");
            boolean special = Boolean.TRUE.equals(token.get("special"));
            for (String field : special ? List.<String>of() : List.of("lstrip", "rstrip", "single_word", "normalized")) {
                require(!Boolean.TRUE.equals(token.get(field)), "added token " + Json.brief(text) + " has " + field);
            }
            add(text, Json.integer(token, "id"), special ? PieceKind.CONTROL : PieceKind.USER_DEFINED, size);
        }
        if (model.get("unk_token") instanceof String unknown && ids.containsKey(unknown)) {
            kinds.put(unknown, PieceKind.UNKNOWN);
        }
        require(ids.values().stream().distinct().count() == ids.size(), "two tokens have one id");
    }

    private void add(String token, long id, PieceKind kind, int size) throws TokenizerException {
        if (id < 0 || id >= size || token.isEmpty() || token.length() > SentencePiece.LONGEST_PIECE) {
            throw fault("token " + Json.brief(token) + " of " + token.length() + " characters has id " + id + " of " + size);
        }
        Integer before = ids.put(token, (int) id);
        if (before != null && before != id) {
            throw fault("token " + Json.brief(token) + " has two ids");
        }
        kinds.put(token, kind);
    }

    private void readMerges() throws JsonException, TokenizerException {
        for (Object merge : Json.list(model, "merges")) {
            String[] pair = merge instanceof List<?> list ? list.stream().map(String::valueOf).toArray(String[]::new)
                    : String.valueOf(merge).split(" ", -1);
            if (pair.length != 2 || (pair[0] + pair[1]).contains(" ")) {
                throw fault("merge " + Json.brief(String.valueOf(merge)) + " is not of two tokens");
            }
            if (!isNormal(pair[0] + pair[1]) || !isNormal(pair[0]) || !isNormal(pair[1])) {
                throw fault("a merge makes " + Json.brief(pair[0] + pair[1]) + " of what are not all ordinary tokens");
            }
            if (ranks.putIfAbsent(pair[0] + " " + pair[1], ranks.size()) != null) {
                throw fault("merge " + Json.brief(pair[0] + " " + pair[1]) + " is there twice");
            }
        }
        PieceTies.requireEveryMerge(ids.keySet(), this::isNormal, ranks);
    }

    private boolean isNormal(String token) {
        return kinds.get(token) == PieceKind.NORMAL;
    }

    /** The first piece that is merged gets 0, the next one -1, and what is never merged less than all. */
    private void score() throws TokenizerException {
        Map<String, Integer> order = new HashMap<>();
        List<String> pieces = new ArrayList<>(); // in that order
        PieceTies ties = new PieceTies();
        for (String pair : ranks.keySet()) {
            String piece = pair.replace(" ", "");
            Integer place = order.get(piece);
            if (place == null) {
                order.put(piece, pieces.isEmpty() ? 0 : order.get(pieces.getLast()) + 1);
                pieces.add(piece);
                continue;
            }
            for (int i = pieces.size() - 1; order.get(pieces.get(i)) > place; i--) { // met before: a tie with all since
                ties.add(piece, pieces.get(i));
                order.put(pieces.get(i), place);
            }
        }
        for (String token : ids.keySet()) {
            scores[ids.get(token)] = isNormal(token) ? -order.getOrDefault(token, order.size()) : 0;
        }
        ties.check(ranks, token -> isNormal(token) ? scores[ids.get(token)] : Double.NEGATIVE_INFINITY);
    }

    private static void require(boolean condition, String otherwise) throws TokenizerException {
        if (!condition) {
            throw fault(otherwise);
        }
    }

    private static TokenizerException fault(String what) {
        return new TokenizerException("not as SentencePiece would have it: " + what);
    }
}
