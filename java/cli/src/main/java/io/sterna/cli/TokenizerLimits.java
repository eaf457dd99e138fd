package io.sterna.cli;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.io.Utf8;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Base64;
import java.util.BitSet;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Refuses tokenizers that the tokenizers library of Hugging Face would not bear: a fault inside it ends the process, which no
 * catch prevents, and some small files make it run or grow without end. Real tokenizers keep far from these limits.
 */
final class TokenizerLimits {
    private static final Set<String> MODELS = Set.of("BPE", "Unigram", "WordLevel", "WordPiece");
    private static final Set<String> NORMALIZERS = Set.of("BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC",
            "NFKD", "Nmt", "Precompiled", "Prepend", "Replace", "Sequence", "Strip", "StripAccents");
    private static final Set<String> PRE_TOKENIZERS = Set.of("BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits",
            "FixedLength", "Metaspace", "Punctuation", "Sequence", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit");
    private static final Set<String> DECODERS = Set.of("BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace",
            "Replace", "Sequence", "Strip", "WordPiece");
    private static final int LONGEST_TOKEN = 1 << 16;
    private static final int LONGEST_PART = 1 << 10; // of a text that is put in place of another
    private static final double MOST_GROWTH = 256; // of a text, by all normalizers together
    private static final int DEEPEST = 8;

    private double growth = 1;

    private TokenizerLimits() {}

    /** @throws JsonException that names what is beyond the library */
    static void check(Map<String, Object> root) throws JsonException {
        TokenizerLimits limits = new TokenizerLimits();
        limits.checkModel(Json.object(root, "model"));
        limits.checkStep(root.get("normalizer"), "normalizer", NORMALIZERS, "normalizers", 0);
        limits.checkStep(root.get("pre_tokenizer"), "pre_tokenizer", PRE_TOKENIZERS, "pretokenizers", 0);
        limits.growth = 1;
        limits.checkStep(root.get("decoder"), "decoder", DECODERS, "decoders", 0);
        if (root.get("added_tokens") != null) {
            for (Object token : Json.list(root, "added_tokens")) {
                checkToken(Json.string(Json.asObject(token, "added token"), "content"));
            }
        }
    }

    private static void require(boolean fine, String fault) throws JsonException {
        if (!fine) {
            throw new JsonException(fault, -1);
        }
    }

    // ------------------------------------------------------------ the model

    private void checkModel(Map<String, Object> model) throws JsonException {
        String type = model.get("type") == null ? "BPE" : Json.string(model, "type");
        require(MODELS.contains(type), "model " + Json.brief(type) + " is none of " + MODELS);
        Object vocab = model.get("vocab");
        if (vocab instanceof Map<?, ?> ids) {
            for (Object token : ids.keySet()) {
                checkToken((String) token);
            }
        } else if (vocab instanceof List<?> scored) {
            for (Object token : scored) {
                checkToken(token instanceof List<?> pair && !pair.isEmpty() && pair.getFirst() instanceof String s ? s : "");
            }
        }
        switch (type) {
            case "BPE" -> {
                require(model.get("dropout") == null || model.get("dropout") instanceof Number n && n.doubleValue() == 0,
                        "dropout makes tokens a matter of chance");
                require(isEmpty(model.get("continuing_subword_prefix")), "continuing_subword_prefix is not supported");
            }
            case "Unigram" -> require(Boolean.TRUE.equals(model.get("byte_fallback"))
                            || model.get("unk_id") instanceof Long id && vocab instanceof List<?> list && id >= 0 && id < list.size(),
                    "unk_id is no token: text that the vocabulary lacks could not be encoded");
            default -> require(vocab instanceof Map<?, ?> ids && ids.containsKey(model.get("unk_token")),
                    "unk_token is no token: text that the vocabulary lacks could not be encoded");
        }
    }

    private static boolean isEmpty(Object text) {
        return text == null || text.equals("");
    }

    private static void checkToken(String token) throws JsonException {
        require(token.length() <= LONGEST_TOKEN, "a token of " + token.length() + " characters, more than " + LONGEST_TOKEN);
    }

    // ------------------------------------------------------------ the steps around it

    private void checkStep(Object value, String what, Set<String> kinds, String steps, int depth) throws JsonException {
        if (value == null) {
            return;
        }
        Map<String, Object> step = Json.asObject(value, what);
        String type = Json.string(step, "type");
        require(kinds.contains(type), what + " " + Json.brief(type) + " is not supported");
        switch (type) {
            case "Sequence" -> {
                require(depth < DEEPEST, what + ": sequences nest more than " + DEEPEST + " deep");
                for (Object inner : Json.list(step, steps)) {
                    checkStep(inner, what, kinds, steps, depth + 1);
                }
            }
            case "Precompiled" -> {
                checkCharsMap(Json.string(step, "precompiled_charsmap"));
                grow(what, LONGEST_PIECE / 4.0);
            }
            case "Prepend" -> checkPart(what, Json.string(step, "prepend"));
            case "Replace" -> {
                double shortest = checkPattern(what, step);
                grow(what, Math.max(1, checkPart(what, Json.string(step, "content")) / shortest));
            }
            case "Split" -> checkPattern(what, step);
            case "FixedLength" -> require(step.get("length") instanceof Long n && n > 0, what + " FixedLength: length must be positive");
            default -> { }
        }
    }

    private static int checkPart(String what, String part) throws JsonException {
        require(part.length() <= LONGEST_PART, what + ": a part of " + part.length() + " characters, more than " + LONGEST_PART);
        return part.getBytes(StandardCharsets.UTF_8).length;
    }

    private void grow(String what, double factor) throws JsonException {
        growth *= factor;
        require(growth <= MOST_GROWTH, what + ": makes a text more than " + (int) MOST_GROWTH + " times as long");
    }

    /** Returns the bytes of the shortest text that it may match. */
    private static double checkPattern(String what, Map<String, Object> step) throws JsonException {
        Map<String, Object> pattern = Json.object(step, "pattern");
        if (pattern.get("String") != null) {
            String text = Json.string(pattern, "String");
            require(!text.isEmpty(), what + ": an empty pattern");
            return checkPart(what, text);
        }
        try {
            RegexLimits.check(Json.string(pattern, "Regex"));
        } catch (IllegalArgumentException e) {
            throw new JsonException(what + ": pattern " + Json.brief(pattern.get("Regex")) + ": " + e.getMessage(), -1);
        }
        return 1;
    }

    // ------------------------------------------------------------ SentencePiece's map of characters

    private static final int LONGEST_PIECE = 1 << 8;
    private static final int LABEL = 0x800000ff;

    /**
     * A double array (Aoe 1989), each unit 32 bits little-endian after its size in bytes, then texts that end with 0 each: the
     * leaves say where theirs begins. The library follows it without a look.
     */
    private static void checkCharsMap(String base64) throws JsonException {
        byte[] bytes;
        try {
            bytes = Base64.getDecoder().decode(base64);
        } catch (IllegalArgumentException e) {
            throw new JsonException("precompiled_charsmap: " + e.getMessage(), -1);
        }
        ByteBuffer map = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        long size = bytes.length < 4 ? -1 : Integer.toUnsignedLong(map.getInt(0));
        require(size > 0 && size % 4 == 0 && size <= bytes.length - 4, "precompiled_charsmap: " + bytes.length + " bytes of which "
                + size + " are its trie");
        int units = (int) size / 4;
        int text = 4 + (int) size;
        require(Utf8.invalidAt(bytes, text, bytes.length) < 0, "precompiled_charsmap: its texts are not UTF-8");
        BitSet met = new BitSet(units);
        Deque<Integer> nodes = new ArrayDeque<>();
        visit(offset(map.getInt(4)), met, nodes, units);
        while (!nodes.isEmpty()) {
            int node = nodes.pop();
            for (int c = 1; c < 256; c++) {
                int unit = map.getInt(4 + 4 * inTrie(node ^ c, units));
                if ((unit & LABEL) != c) {
                    continue;
                }
                int next = node ^ c ^ offset(unit);
                visit(next, met, nodes, units);
                if ((unit >> 8 & 1) == 1) {
                    checkPiece(bytes, text, map.getInt(4 + 4 * next) & Integer.MAX_VALUE);
                }
            }
        }
    }

    private static void visit(int node, BitSet met, Deque<Integer> nodes, int units) throws JsonException {
        if (!met.get(inTrie(node, units))) {
            met.set(node);
            nodes.push(node);
        }
    }

    private static int inTrie(int node, int units) throws JsonException {
        require(node >= 0 && node < units, "precompiled_charsmap: its trie leads to unit " + node + " of " + units);
        return node;
    }

    private static int offset(int unit) {
        return unit >>> 10 << ((unit & 1 << 9) >> 6);
    }

    private static void checkPiece(byte[] bytes, int text, int at) throws JsonException {
        long start = (long) text + at;
        require(start <= bytes.length && (start == bytes.length || (bytes[(int) start] & 0xc0) != 0x80),
                "precompiled_charsmap: a text at " + at + " of " + (bytes.length - text) + " bytes");
        int end = (int) start;
        while (end < bytes.length && bytes[end] != 0) {
            end++;
        }
        require(end - start <= LONGEST_PIECE, "precompiled_charsmap: a text of " + (end - start) + " bytes for a character");
    }
}
