package io.sterna.data;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
    private static final int LONGEST_PIECE = 1 << 10;
    private static final int LONGEST_RUN = 32;

    private final Map<String, Object> root;
    private final Map<String, Object> model;
    private final Map<String, Integer> ids = new LinkedHashMap<>();
    private final Map<String, PieceKind> kinds = new HashMap<>();
    private final Map<String, Integer> ranks = new HashMap<>(); // of "left right"
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
            readTokens(size);
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

    /** Spaces are written as a visible sign, and nothing else is changed. */
    private boolean hasPrefix() throws TokenizerException {
        Object normalizer = root.get("normalizer");
        List<?> steps = normalizer instanceof Map<?, ?> map && "Sequence".equals(map.get("type")) && map.get("normalizers") instanceof List<?> list
                ? list : Arrays.asList(normalizer);
        require(root.get("pre_tokenizer") == null, "it cuts text before it is merged");
        require(steps.equals(List.of(ESCAPE)) || steps.equals(List.of(PREFIX, ESCAPE)), "it normalizes text otherwise than by " + SPACE + " for spaces");
        return steps.size() == 2;
    }

    private void checkModel() throws TokenizerException {
        require("BPE".equals(model.get("type")), "its model is not BPE");
        require(Boolean.TRUE.equals(model.get("byte_fallback")), "unknown characters do not become bytes");
        require(!Boolean.TRUE.equals(model.get("ignore_merges")), "it ignores merges for whole words");
        for (String part : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            require(model.get(part) == null || "".equals(model.get(part)), "it has a " + part);
        }
    }

    private void readTokens(int size) throws JsonException, TokenizerException {
        Map<String, Object> vocab = Json.object(model, "vocab");
        for (String token : vocab.keySet()) {
            add(token, Json.integer(vocab, token), BYTE.matcher(token).matches() ? PieceKind.BYTE : PieceKind.NORMAL, size);
        }
        for (Object item : root.get("added_tokens") == null ? List.of() : Json.list(root, "added_tokens")) {
            Map<String, Object> token = Json.asObject(item, "added token");
            PieceKind kind = Boolean.TRUE.equals(token.get("special")) ? PieceKind.CONTROL : PieceKind.USER_DEFINED;
            add(Json.string(token, "content"), Json.integer(token, "id"), kind, size);
        }
        if (model.get("unk_token") instanceof String unknown) {
            kinds.put(unknown, PieceKind.UNKNOWN);
        }
    }

    private void add(String token, long id, PieceKind kind, int size) throws TokenizerException {
        require(id >= 0 && id < size, "token " + Json.brief(token) + " has id " + id + " of " + size);
        require(token.length() <= LONGEST_PIECE, "token " + id + " has " + token.length() + " characters");
        Integer before = ids.put(token, (int) id);
        require(before == null || before == id, "token " + Json.brief(token) + " has two ids");
        kinds.put(token, kind);
    }

    /** The first piece that is merged gets 0, the next one -1, and what is never merged less than all. */
    private void score() throws JsonException, TokenizerException {
        Map<String, Integer> order = new HashMap<>();
        List<String> pieces = new ArrayList<>(); // in that order
        for (Object merge : Json.list(model, "merges")) {
            String[] pair = pair(merge);
            String piece = pair[0] + pair[1];
            require(isNormal(piece) && isNormal(pair[0]) && isNormal(pair[1]), "a merge makes " + Json.brief(piece) + " of what are not all ordinary tokens");
            ranks.putIfAbsent(pair[0] + " " + pair[1], ranks.size());
            int place = order.computeIfAbsent(piece, p -> pieces.isEmpty() ? 0 : order.get(pieces.getLast()) + 1);
            if (pieces.isEmpty() || place > order.get(pieces.getLast())) {
                pieces.add(piece);
            }
            for (int i = pieces.size() - 1; order.get(pieces.get(i)) > place; i--) { // a piece met before: a tie with all since
                order.put(pieces.get(i), place);
            }
        }
        for (String token : ids.keySet()) {
            requireAllMerges(token);
            scores[ids.get(token)] = kinds.get(token) == PieceKind.NORMAL ? -order.getOrDefault(token, order.size()) : 0;
        }
        checkTies(pieces, order);
    }

    /**
     * Of equal scores the leftmost pair goes first, where the list has an order of its own. Runs of a character may tie, as those
     * of spaces do in Llama's tokenizer, if both ways lead to the same.
     */
    private void checkTies(List<String> pieces, Map<String, Integer> order) throws TokenizerException {
        Set<Character> tied = new HashSet<>();
        for (int i = 1; i < pieces.size(); i++) {
            if (order.get(pieces.get(i)).equals(order.get(pieces.get(i - 1)))) {
                for (String piece : pieces.subList(i - 1, i + 1)) {
                    char run = pieces.get(i).charAt(0);
                    require(piece.chars().allMatch(c -> c == run) && piece.length() <= LONGEST_RUN, "merges that make " + Json.brief(piece) + " stand apart");
                    tied.add(run);
                }
            }
        }
        for (char c : tied) {
            for (int length = 2; length <= 3 * LONGEST_RUN; length++) {
                List<String> run = Collections.nCopies(length, String.valueOf(c));
                require(merged(run, this::byRank).equals(merged(run, this::byScore)), "runs of " + Json.brief(String.valueOf(c)) + " merge in an order of their own");
            }
        }
    }

    /** How soon two neighbours are merged, the least first; infinite for never. */
    private interface Order {
        double of(String left, String right);
    }

    private double byRank(String left, String right) {
        return ranks.containsKey(left + " " + right) ? ranks.get(left + " " + right) : Double.POSITIVE_INFINITY;
    }

    private double byScore(String left, String right) {
        return isNormal(left + right) ? -scores[ids.get(left + right)] : Double.POSITIVE_INFINITY;
    }

    private static List<String> merged(List<String> symbols, Order order) {
        List<String> rest = new ArrayList<>(symbols);
        while (true) {
            int first = -1;
            double soonest = Double.POSITIVE_INFINITY;
            for (int i = 0; i + 1 < rest.size(); i++) {
                double when = order.of(rest.get(i), rest.get(i + 1));
                first = when < soonest ? i : first;
                soonest = Math.min(when, soonest);
            }
            if (first < 0) {
                return rest;
            }
            rest.set(first, rest.get(first) + rest.remove(first + 1));
        }
    }

    private static String[] pair(Object merge) throws TokenizerException {
        String[] pair = merge instanceof List<?> list ? list.stream().map(String::valueOf).toArray(String[]::new) : String.valueOf(merge).split(" ", -1);
        require(pair.length == 2, "merge " + Json.brief(String.valueOf(merge)) + " is not of two tokens");
        return pair;
    }

    private boolean isNormal(String token) {
        return kinds.get(token) == PieceKind.NORMAL;
    }

    private void requireAllMerges(String token) throws TokenizerException {
        for (int cut = 1; cut < token.length(); cut++) {
            String left = token.substring(0, cut);
            String right = token.substring(cut);
            require(!isNormal(left) || !isNormal(right) || ranks.containsKey(left + " " + right),
                    Json.brief(left) + " and " + Json.brief(right) + " are not merged, though a token has their text");
        }
    }

    private static void require(boolean condition, String otherwise) throws TokenizerException {
        if (!condition) {
            throw new TokenizerException("not as SentencePiece would have it: " + otherwise);
        }
    }
}
