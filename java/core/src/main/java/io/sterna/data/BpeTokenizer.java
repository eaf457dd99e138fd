package io.sterna.data;

import io.sterna.io.FileBytes;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.io.JsonReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * A byte-level BPE tokenizer (GPT-2, GPT-NeoX and those of {@link BpeTrainer}) read from a Hugging Face
 * {@code tokenizer.json}, with the same tokens as Hugging Face's own library for every text. A feature this
 * class does not follow exactly is an error that names it, never an approximation. Immutable, thread-safe.
 *
 * <p>Words longer than 1 MiB, as no language has, are encoded in pieces of 1 MiB to bound memory.
 */
public final class BpeTokenizer implements Tokenizer {
    private static final long LARGEST_FILE = 256L << 20;
    private static final int LARGEST_VOCABULARY = 1 << 24;
    private static final int LONGEST_WORD = 1 << 20;
    // Ids without a token are rare in real vocabularies; each takes memory as one with a token does.
    private static final long MOST_IDS_A_TOKEN = 4;
    private static final long MORE_IDS = 1 << 16;

    /** What this may take beside its text and the text's values: with theirs, and what a JVM takes by itself, 64 MiB. */
    private static final long ROOM = 12L << 20;
    private static final int TOKEN_BYTES = 28; // and those of its text
    private static final int ADDED_TOKEN_BYTES = 128; // and those of its text, as it is and normalized

    private static final byte[] NOTHING = {};

    private final byte[] json;
    private final byte[][] pieces; // id -> bytes; empty for specials and holes
    private final int[] byteIds = new int[256];
    private final PairTable ranks;
    private final int[] merged;
    private final boolean nfc;
    private final AddedTokens rawAll; // looked for in the text as given
    private final AddedTokens rawPlain; // the same without special tokens
    private final AddedTokens normalizedAll; // looked for after normalization
    private final AddedTokens normalizedPlain;
    private final List<Integer> endTokens;

    /**
     * Reads a {@code tokenizer.json}; the end token is the first of {@link Tokenizer#END_TOKENS} it has, if it has one.
     *
     * @throws TokenizerException if the file is no tokenizer, or needs an unsupported feature
     */
    public static BpeTokenizer load(Path tokenizerJson) throws TokenizerException {
        return load(tokenizerJson, null);
    }

    /**
     * As {@link #load(Path)}, with the end token named.
     *
     * @throws TokenizerException as {@link #load(Path)}, and if the tokenizer has no such token
     */
    public static BpeTokenizer load(Path tokenizerJson, String endToken) throws TokenizerException {
        try {
            return of(read(tokenizerJson), endToken);
        } catch (TokenizerException e) {
            throw e.of(tokenizerJson);
        }
    }

    /**
     * Reads the bytes of a {@code tokenizer.json}; {@code endToken} may be null as in {@link #load(Path)}.
     *
     * @throws TokenizerException as {@link #load(Path, String)}
     */
    public static BpeTokenizer parse(byte[] tokenizerJson, String endToken) throws TokenizerException {
        return of(tokenizerJson.clone(), endToken);
    }

    /** Keeps the bytes. */
    private static BpeTokenizer of(byte[] tokenizerJson, String endToken) throws TokenizerException {
        try {
            return new BpeTokenizer(tokenizerJson, endToken);
        } catch (JsonException e) {
            throw new TokenizerException("not a tokenizer.json: " + e.getMessage(), e);
        }
    }

    private static byte[] read(Path file) throws TokenizerException {
        try {
            long size = Files.size(file);
            if (size > LARGEST_FILE) {
                throw new TokenizerException(file + " has " + size + " bytes: too large for a tokenizer");
            }
            return FileBytes.all(file);
        } catch (NoSuchFileException e) {
            throw new TokenizerException("no such file: " + file, e);
        } catch (TokenizerException e) {
            throw e;
        } catch (IOException e) {
            throw new TokenizerException("cannot read " + file + ": " + DataException.reason(e), e);
        }
    }

    /**
     * The text of a plain byte-level {@code tokenizer.json}.
     *
     * @param vocab  ids of the tokens, in GPT-2's printable stand-ins for bytes
     * @param merges pairs of tokens, a space between them, first ones first
     * @param added  of {@link #addedToken}
     */
    public static byte[] tokenizerJson(Map<String, ?> vocab, List<String> merges, List<?> added) {
        Map<String, Object> byteLevel = new LinkedHashMap<>();
        byteLevel.put("type", "ByteLevel");
        byteLevel.put("add_prefix_space", false);
        byteLevel.put("trim_offsets", true);
        byteLevel.put("use_regex", true);
        Map<String, Object> model = new LinkedHashMap<>();
        model.put("type", "BPE");
        model.put("dropout", null);
        model.put("unk_token", null);
        model.put("continuing_subword_prefix", null);
        model.put("end_of_word_suffix", null);
        model.put("fuse_unk", false);
        model.put("byte_fallback", false);
        model.put("vocab", vocab);
        model.put("merges", merges);
        Map<String, Object> root = new LinkedHashMap<>();
        root.put("version", "1.0");
        root.put("truncation", null);
        root.put("padding", null);
        root.put("added_tokens", added);
        root.put("normalizer", null);
        root.put("pre_tokenizer", byteLevel);
        root.put("post_processor", null);
        root.put("decoder", byteLevel);
        root.put("model", model);
        return Json.writePretty(root).getBytes(StandardCharsets.UTF_8);
    }

    static Map<String, Object> addedToken(int id, String content) {
        return addedToken(id, content, true);
    }

    /**
     * A token that is looked for in the text itself.
     *
     * @param special false: also in a text nobody vouches for
     */
    public static Map<String, Object> addedToken(int id, String content, boolean special) {
        Map<String, Object> token = new LinkedHashMap<>();
        token.put("id", id);
        token.put("content", content);
        token.put("single_word", false);
        token.put("lstrip", false);
        token.put("rstrip", false);
        token.put("normalized", false);
        token.put("special", special);
        return token;
    }

    private BpeTokenizer(byte[] json, String endToken) throws JsonException, TokenizerException {
        this.json = json;
        JsonReader reader = new JsonReader();
        Map<String, Object> root = Json.asObject(reader.read(json, 0, json.length), "tokenizer");
        Map<String, Object> model = Json.object(root, "model");
        checkFeatures(root, model);
        nfc = root.get("normalizer") != null;

        Map<String, Object> vocab = Json.object(model, "vocab");
        List<?> added = Json.listOrEmpty(root, "added_tokens");
        List<?> merges = Json.list(model, "merges");
        int size = size(vocab, added);
        requireRoom(bytes(vocab, added, size, merges.size()), reader.room());
        pieces = new byte[size][];
        readVocabulary(vocab);
        ranks = new PairTable(merges.size());
        merged = new int[merges.size()];
        readMerges(merges, vocab);

        List<List<AddedTokens.Token>> kinds = readAdded(added);
        rawAll = new AddedTokens(kinds.get(0));
        rawPlain = new AddedTokens(kinds.get(1));
        normalizedAll = new AddedTokens(kinds.get(2));
        normalizedPlain = new AddedTokens(kinds.get(3));
        endTokens = endTokens(endToken, vocab, added);
        for (int id = 0; id < pieces.length; id++) {
            pieces[id] = pieces[id] == null ? NOTHING : pieces[id];
        }
    }

    // Reading

    private static void checkFeatures(Map<String, Object> root, Map<String, Object> model) throws JsonException, TokenizerException {
        require("BPE".equals(model.getOrDefault("type", "BPE")), "model " + model.get("type"));
        Object dropout = model.get("dropout");
        require(dropout == null || ((Number) numberOr(dropout)).doubleValue() == 0, "BPE dropout");
        requireAbsent(model, "continuing_subword_prefix");
        requireAbsent(model, "end_of_word_suffix");
        requireAbsent(model, "byte_fallback");
        requireAbsent(model, "ignore_merges");
        requireAbsent(root, "truncation");
        requireAbsent(root, "padding");
        String normalizer = type(root.get("normalizer"));
        require(normalizer == null || normalizer.equals("NFC"), "normalizer " + normalizer);
        require("ByteLevel".equals(type(root.get("pre_tokenizer"))), "pre_tokenizer " + type(root.get("pre_tokenizer")));
        Map<String, Object> split = Json.object(root, "pre_tokenizer");
        require(Boolean.FALSE.equals(split.get("add_prefix_space")), "ByteLevel with add_prefix_space");
        require(!Boolean.FALSE.equals(split.get("use_regex")), "ByteLevel without use_regex");
        requireOneOf(root, "decoder", "ByteLevel");
        // A template puts special tokens around a text; here the callers do, so that the tokens of the text are all that is asked for.
        for (Object step : TokenizerTemplate.steps(root)) {
            String kind = type(Json.asObject(step, "post_processor"));
            require(kind.equals("ByteLevel") || kind.equals("TemplateProcessing"), "post_processor " + kind);
        }
    }

    private static Object numberOr(Object value) {
        return value instanceof Number ? value : Double.valueOf(1);
    }

    private static String type(Object part) {
        return part instanceof Map<?, ?> map ? String.valueOf(map.get("type")) : part == null ? null : part.toString();
    }

    private static void requireAbsent(Map<String, Object> parent, String name) throws TokenizerException {
        Object value = parent.get(name);
        require(value == null || value.equals(false) || value.equals(""), name);
    }

    private static void requireOneOf(Map<String, Object> root, String part, String... types) throws JsonException, TokenizerException {
        String type = type(root.get(part));
        require(type == null || List.of(types).contains(type), part + " " + type);
    }

    private static void require(boolean supported, String feature) throws TokenizerException {
        if (!supported) {
            throw TokenizerException.unsupported(feature);
        }
    }

    private static int size(Map<String, Object> vocab, List<?> added) throws JsonException, TokenizerException {
        long largest = -1;
        for (String token : vocab.keySet()) {
            largest = Math.max(largest, id(Json.integer(vocab, token), token));
        }
        for (Object token : added) {
            Map<String, Object> fields = Json.asObject(token, "added token");
            largest = Math.max(largest, id(Json.integer(fields, "id"), Json.string(fields, "content")));
        }
        long tokens = (long) vocab.size() + added.size();
        if (largest > MOST_IDS_A_TOKEN * tokens + MORE_IDS) {
            throw new TokenizerException("largest id is " + largest + " for " + tokens + " tokens: ids must be close together");
        }
        return (int) largest + 1;
    }

    private static int id(long id, String token) throws TokenizerException {
        if (id < 0 || id >= LARGEST_VOCABULARY) {
            throw new TokenizerException("token " + Json.brief(token) + " has id " + id + ", must be in [0, 2^24)");
        }
        if (token.length() > LONGEST_WORD) {
            throw new TokenizerException("token " + Json.brief(token) + " has " + token.length() + " characters, no word has more than "
                    + LONGEST_WORD);
        }
        return (int) id;
    }

    /** Memory that this takes beside its text. */
    private static long bytes(Map<String, Object> vocab, List<?> added, int size, int merges) throws JsonException {
        long bytes = (long) Integer.BYTES * (size + merges) + PairTable.bytes(merges);
        for (String token : vocab.keySet()) {
            bytes += TOKEN_BYTES + piece(token).length;
        }
        for (Object token : added) {
            bytes += ADDED_TOKEN_BYTES + 12L * Json.string(Json.asObject(token, "added token"), "content").length();
        }
        return bytes;
    }

    /** @param room what the values of its text left of theirs, which are in memory meanwhile */
    private static void requireRoom(long bytes, long room) throws TokenizerException {
        if (bytes > room + ROOM) {
            throw new TokenizerException("its tokens and merges would take " + bytes + " bytes of memory, of which " + (room + ROOM)
                    + " are left to a file of its size");
        }
    }

    private void readVocabulary(Map<String, Object> vocab) throws JsonException, TokenizerException {
        Arrays.fill(byteIds, -1);
        for (String token : vocab.keySet()) {
            int id = (int) Json.integer(vocab, token);
            if (pieces[id] != null) {
                throw new TokenizerException("token " + Json.brief(token) + " has id " + id + " of another token");
            }
            pieces[id] = piece(token);
            byte[] one = token.length() == 1 ? ByteAlphabet.read(token) : null;
            if (one != null) {
                byteIds[one[0] & 0xFF] = id;
            }
        }
        for (int b = 0; b < 256; b++) {
            boolean inUtf8 = b < 0xC0 || b >= 0xC2 && b <= 0xF4;
            require(byteIds[b] >= 0 || !inUtf8, String.format(Locale.ROOT, "a vocabulary without byte 0x%02X", b));
        }
    }

    /** The bytes that a token stands for; of one that is written in other letters, its own. */
    private static byte[] piece(String token) {
        byte[] bytes = ByteAlphabet.read(token);
        return bytes == null ? token.getBytes(StandardCharsets.UTF_8) : bytes;
    }

    private void readMerges(List<?> merges, Map<String, Object> vocab) throws JsonException, TokenizerException {
        for (int rank = 0; rank < merged.length; rank++) {
            String left;
            String right;
            switch (merges.get(rank)) {
                case String s when s.indexOf(' ') > 0 && s.length() <= 2 * LONGEST_WORD + 1 -> {
                    left = s.substring(0, s.indexOf(' '));
                    right = s.substring(s.indexOf(' ') + 1);
                }
                case List<?> pair when pair.size() == 2 -> {
                    left = String.valueOf(pair.get(0));
                    right = String.valueOf(pair.get(1));
                }
                case null, default -> throw new TokenizerException("merge " + rank + " is not a pair of tokens");
            }
            for (String token : List.of(left, right, left + right)) {
                if (!vocab.containsKey(token)) {
                    throw new TokenizerException(
                            "merge " + rank + " needs token " + Json.brief(token) + ", which the vocabulary lacks");
                }
            }
            merged[rank] = (int) Json.integer(vocab, left + right);
            ranks.put((int) Json.integer(vocab, left), (int) Json.integer(vocab, right), rank);
        }
    }

    /** Added tokens: raw, raw without specials, normalized, normalized without specials. */
    private List<List<AddedTokens.Token>> readAdded(List<?> added) throws JsonException, TokenizerException {
        List<List<AddedTokens.Token>> kinds =
                List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
        for (Object token : added) {
            Map<String, Object> fields = Json.asObject(token, "added token");
            String content = Json.string(fields, "content");
            for (String flag : List.of("single_word", "lstrip", "rstrip")) {
                require(!Boolean.TRUE.equals(fields.get(flag)), "added token " + Json.brief(content) + " with " + flag);
            }
            if (content.isEmpty()) {
                throw new TokenizerException("an added token has no text");
            }
            boolean special = Boolean.TRUE.equals(fields.get("special"));
            boolean normalized = nfc && Boolean.TRUE.equals(fields.get("normalized"));
            int id = (int) Json.integer(fields, "id");
            pieces[id] = special ? NOTHING : content.getBytes(StandardCharsets.UTF_8);
            String pattern = normalized ? Normalizer.normalize(content, Normalizer.Form.NFC) : content;
            AddedTokens.Token entry = new AddedTokens.Token(id, pattern.getBytes(StandardCharsets.UTF_8));
            int kind = normalized ? 2 : 0;
            kinds.get(kind).add(entry);
            if (!special) {
                kinds.get(kind + 1).add(entry);
            }
        }
        return kinds;
    }

    private static List<Integer> endTokens(String wanted, Map<String, Object> vocab, List<?> added)
            throws JsonException, TokenizerException {
        for (String candidate : wanted == null ? END_TOKENS : List.of(wanted)) {
            for (Object token : added) {
                Map<String, Object> fields = Json.asObject(token, "added token");
                if (candidate.equals(fields.get("content"))) {
                    return List.of((int) Json.integer(fields, "id"));
                }
            }
            if (wanted != null && vocab.containsKey(wanted)) {
                return List.of((int) Json.integer(vocab, wanted));
            }
        }
        if (wanted != null) {
            throw new TokenizerException("end token " + Json.brief(wanted) + " is not in the tokenizer");
        }
        return List.of();
    }

    // Using

    @Override
    public int vocabSize() {
        return pieces.length;
    }

    @Override
    public List<Integer> endTokens() {
        return endTokens;
    }

    @Override
    public byte[] bytes(int token) {
        return pieces[token].clone();
    }

    @Override
    public String fingerprint() {
        return Digests.hex(json);
    }

    /** The {@code tokenizer.json} this was read from. */
    public byte[] toJson() {
        return json.clone();
    }

    @Override
    public Encoder encoder(boolean parseSpecial) {
        return new BpeEncoder(parseSpecial ? rawAll : rawPlain, parseSpecial ? normalizedAll : normalizedPlain);
    }

    private final class BpeEncoder implements Encoder {
        private final AddedTokens raw;
        private final AddedTokens normalized;
        private final BpeMerger merger = new BpeMerger(byteIds, ranks, merged);
        private final WordCache cache = new WordCache();
        private final Encoder words = this::words;
        private final Encoder segment = this::segment;

        BpeEncoder(AddedTokens raw, AddedTokens normalized) {
            this.raw = raw;
            this.normalized = normalized;
        }

        @Override
        public void encode(byte[] utf8, int from, int to, Tokens out) {
            raw.split(utf8, from, to, out, segment);
        }

        private void segment(byte[] b, int from, int to, Tokens out) {
            if (nfc && mayChange(b, from, to)) {
                String text = new String(b, from, to - from, StandardCharsets.UTF_8);
                byte[] composed = Normalizer.normalize(text, Normalizer.Form.NFC).getBytes(StandardCharsets.UTF_8);
                normalized.split(composed, 0, composed.length, out, words);
            } else {
                normalized.split(b, from, to, out, words);
            }
        }

        /** Characters below U+0300 (lead byte 0xCC) are all in NFC, in any order. */
        private static boolean mayChange(byte[] b, int from, int to) {
            for (int i = from; i < to; i++) {
                if ((b[i] & 0xFF) >= 0xCC) {
                    return true;
                }
            }
            return false;
        }

        private void words(byte[] b, int from, int to, Tokens out) {
            int i = from;
            while (i < to) {
                int end = PreTokenizer.wordEnd(b, i, to);
                if (end - i <= WordCache.LONGEST) {
                    word(b, i, end - i, out);
                } else {
                    longWord(b, i, end, out);
                }
                i = end;
            }
        }

        private void word(byte[] b, int from, int length, Tokens out) {
            int hash = WordCache.hash(b, from, length);
            if (!cache.get(b, from, length, hash, out)) {
                int before = out.size();
                merger.encode(b, from, from + length, out);
                cache.put(b, from, length, hash, out.array(), before, out.size() - before);
            }
        }

        private void longWord(byte[] b, int from, int to, Tokens out) {
            for (int i = from; i < to; i += LONGEST_WORD) {
                merger.encode(b, i, Math.min(i + LONGEST_WORD, to), out);
            }
        }
    }
}
