package io.sterna.data;

import io.sterna.io.FileBytes;
import io.sterna.io.Json;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Reads SentencePiece's {@code tokenizer.model} of Llama's kind, BPE with bytes for what the vocabulary
 * lacks, and says the same as a Hugging Face {@code tokenizer.json}: a merge for each way to make a piece of
 * two others, in the order of the pieces' scores. A feature that would make other tokens is an error that names
 * it. The fields are those of {@code sentencepiece_model.proto}.
 */
public final class SentencePiece {
    private static final long LARGEST_FILE = 64L << 20;
    static final int LONGEST_PIECE = 1 << 7; // in characters; ways to cut it take the square of it
    private static final int MOST_MERGED = 8 << 20; // characters of all merges
    private static final String SPACE = "\u2581";
    private static final int BPE = 2;

    private record Piece(String text, float score, PieceKind kind) {}

    /** A piece made of two others. */
    private record Merge(int left, int right, float score) {}

    private final List<Piece> pieces = new ArrayList<>();
    private final Map<String, Integer> ids = new LinkedHashMap<>();
    private long modelType = 1;
    private boolean byteFallback;
    private boolean spaceBehindWord;
    private boolean dummyPrefix = true;
    private boolean removeExtraSpaces = true;
    private boolean escapeSpaces = true;
    private boolean rewritesText;
    private boolean mergesIntoAny; // also into control tokens, as llama.cpp does, which looks at texts alone

    private SentencePiece() {}

    /** Whether a file is such a model by its name. */
    public static boolean isNamedBy(Path file) {
        return file.getFileName().toString().endsWith(".model");
    }

    /**
     * The {@code tokenizer.json} of a {@code tokenizer.model}.
     *
     * @throws TokenizerException if the file is no such model, or needs an unsupported feature
     */
    public static byte[] tokenizerJson(Path file) throws TokenizerException {
        SentencePiece model = read(file);
        try {
            return model.json();
        } catch (TokenizerException e) {
            throw e.of(file);
        }
    }

    /**
     * Tokens of a {@code tokenizer.model}.
     *
     * @throws TokenizerException if the file cannot be read, is no such model, or needs an unsupported feature
     */
    public static int vocabSize(Path file) throws TokenizerException {
        return read(file).pieces.size();
    }

    private static SentencePiece read(Path file) throws TokenizerException {
        try {
            if (Files.size(file) > LARGEST_FILE) {
                throw new TokenizerException("has " + Files.size(file) + " bytes: too large for a tokenizer.model");
            }
            SentencePiece model = new SentencePiece();
            model.read(ByteBuffer.wrap(FileBytes.all(file)));
            model.check();
            return model;
        } catch (TokenizerException e) {
            throw e.of(file);
        } catch (BufferUnderflowException | CharacterCodingException e) {
            throw new TokenizerException(file + ": not a SentencePiece model, or cut short", e);
        } catch (IOException e) {
            throw new TokenizerException("cannot read " + file + ": " + DataException.reason(e), e);
        }
    }

    /**
     * The same of pieces that a file of llama.cpp holds. Unused ones are left out; their ids stay free.
     *
     * @param texts  all different, with spaces as U+2581
     * @param scores of each; the higher, the earlier two neighbours become it
     * @param prefix whether a text is read as if a space stood before it
     * @throws TokenizerException for pieces that are no such model
     */
    public static byte[] tokenizerJson(List<String> texts, float[] scores, List<PieceKind> kinds, boolean prefix) throws TokenizerException {
        SentencePiece model = new SentencePiece();
        for (int i = 0; i < texts.size(); i++) {
            model.add(new Piece(texts.get(i), scores[i], kinds.get(i)));
        }
        model.dummyPrefix = prefix;
        model.mergesIntoAny = true;
        model.requireBytes();
        return model.json();
    }

    // Reading: fields of protocol buffers, each a number and a value; unknown ones are skipped

    /** Takes the value of a field from {@code in}, or leaves it. */
    private interface Field {
        boolean read(int number, ByteBuffer in) throws IOException;
    }

    private void read(ByteBuffer in) throws IOException {
        fields(in, (number, value) -> {
            switch (number) {
                case 1 -> addPiece(message(value));
                case 2 -> fields(message(value), this::trainerField);
                case 3 -> fields(message(value), this::normalizerField);
                default -> {
                    return false;
                }
            }
            return true;
        });
    }

    private void addPiece(ByteBuffer in) throws IOException {
        var piece = new Object() {
            String text = "";
            float score;
            PieceKind kind = PieceKind.NORMAL;
        };
        fields(in, (number, value) -> {
            switch (number) {
                case 1 -> piece.text = StandardCharsets.UTF_8.newDecoder().decode(message(value)).toString();
                case 2 -> piece.score = value.getFloat();
                case 3 -> piece.kind = PieceKind.of(varint(value));
                default -> {
                    return false;
                }
            }
            return true;
        });
        add(new Piece(piece.text, piece.score, piece.kind));
    }

    private void add(Piece piece) throws TokenizerException {
        if (piece.text.isEmpty() || piece.text.length() > LONGEST_PIECE || Float.isNaN(piece.score)) {
            throw new TokenizerException("piece " + pieces.size() + " has a text of " + piece.text.length()
                    + " characters (1 to " + LONGEST_PIECE + " are allowed) and score " + piece.score);
        }
        if (ids.put(piece.text, pieces.size()) != null) {
            throw new TokenizerException("piece " + pieces.size() + ", " + Json.brief(piece.text) + ", is there twice");
        }
        pieces.add(piece);
    }

    private boolean trainerField(int number, ByteBuffer in) throws IOException {
        switch (number) {
            case 3 -> modelType = varint(in);
            case 24 -> spaceBehindWord = varint(in) != 0;
            case 35 -> byteFallback = varint(in) != 0;
            default -> {
                return false;
            }
        }
        return true;
    }

    private boolean normalizerField(int number, ByteBuffer in) throws IOException {
        switch (number) {
            case 2 -> rewritesText = message(in).hasRemaining();
            case 3 -> dummyPrefix = varint(in) != 0;
            case 4 -> removeExtraSpaces = varint(in) != 0;
            case 5 -> escapeSpaces = varint(in) != 0;
            default -> {
                return false;
            }
        }
        return true;
    }

    private static void fields(ByteBuffer in, Field field) throws IOException {
        in.order(ByteOrder.LITTLE_ENDIAN);
        while (in.hasRemaining()) {
            long tag = varint(in);
            int value = in.position();
            if (!field.read((int) Math.min(tag >>> 3, Integer.MAX_VALUE), in)) {
                in.position(value);
                skip((int) tag & 7, in);
            }
        }
    }

    private static void skip(int wireType, ByteBuffer in) throws IOException {
        switch (wireType) {
            case 0 -> varint(in);
            case 1 -> in.getLong();
            case 2 -> message(in);
            case 5 -> in.getInt();
            default -> throw new TokenizerException("not a SentencePiece model: wire type " + wireType);
        }
    }

    private static ByteBuffer message(ByteBuffer in) throws IOException {
        long length = varint(in);
        if (length < 0 || length > in.remaining()) {
            throw new TokenizerException("not a SentencePiece model: a field of " + Long.toUnsignedString(length) + " bytes where "
                    + in.remaining() + " are left");
        }
        ByteBuffer message = in.slice(in.position(), (int) length);
        in.position(in.position() + (int) length);
        return message;
    }

    private static long varint(ByteBuffer in) throws IOException {
        long value = 0;
        for (int shift = 0; shift < Long.SIZE; shift += 7) {
            byte b = in.get();
            value |= (b & 0x7FL) << shift;
            if (b >= 0) {
                return value;
            }
        }
        throw new TokenizerException("not a SentencePiece model: a number of more than 64 bits");
    }

    // What it says, as a tokenizer.json

    private void check() throws TokenizerException {
        if (pieces.isEmpty()) {
            throw new TokenizerException("not a SentencePiece model: it has no pieces");
        }
        require(modelType == BPE, "a model that is not BPE");
        require(!rewritesText, "normalization of characters");
        require(!removeExtraSpaces, "removal of extra spaces");
        require(escapeSpaces, "spaces that are not written as " + SPACE);
        require(!spaceBehindWord, "spaces behind words");
        for (PieceKind kind : List.of(PieceKind.USER_DEFINED, PieceKind.UNUSED)) {
            require(pieces.stream().noneMatch(piece -> piece.kind == kind), "pieces of type " + kind);
        }
        require(byteFallback, "text without bytes for unknown characters");
        requireBytes();
    }

    private void requireBytes() throws TokenizerException {
        for (int b = 0; b < 256; b++) {
            String text = byteToken(b);
            require(ids.containsKey(text) && pieces.get(ids.get(text)).kind == PieceKind.BYTE, "a vocabulary without " + text);
        }
    }

    /** The token that stands for a byte. */
    static String byteToken(int b) {
        return String.format(Locale.ROOT, "<0x%02X>", b);
    }

    private static void require(boolean supported, String feature) throws TokenizerException {
        if (!supported) {
            throw new TokenizerException("SentencePiece feature not supported: " + feature + "; convert it to a tokenizer.json");
        }
    }

    private byte[] json() throws TokenizerException {
        Map<String, Object> model = new LinkedHashMap<>();
        model.put("type", "BPE");
        model.put("dropout", null);
        model.put("unk_token", first(PieceKind.UNKNOWN));
        model.put("continuing_subword_prefix", null);
        model.put("end_of_word_suffix", null);
        model.put("fuse_unk", true);
        model.put("byte_fallback", true);
        model.put("vocab", vocabulary());
        model.put("merges", merges());
        Map<String, Object> root = new LinkedHashMap<>();
        root.put("version", "1.0");
        root.put("truncation", null);
        root.put("padding", null);
        root.put("added_tokens", added());
        root.put("normalizer", sequence("normalizers", normalizers()));
        root.put("pre_tokenizer", null);
        root.put("post_processor", null);
        root.put("decoder", sequence("decoders", decoders()));
        root.put("model", model);
        return Json.writePretty(root).getBytes(StandardCharsets.UTF_8);
    }

    private Map<String, Integer> vocabulary() {
        Map<String, Integer> used = new LinkedHashMap<>(ids);
        used.values().removeIf(id -> pieces.get(id).kind == PieceKind.UNUSED);
        return used;
    }

    private String first(PieceKind kind) {
        return pieces.stream().filter(piece -> piece.kind == kind).map(Piece::text).findFirst().orElse(null);
    }

    private List<?> added() {
        List<Object> added = new ArrayList<>();
        for (int id = 0; id < pieces.size(); id++) {
            PieceKind kind = pieces.get(id).kind;
            boolean special = kind == PieceKind.UNKNOWN || kind == PieceKind.CONTROL;
            if (special || kind == PieceKind.USER_DEFINED) {
                added.add(BpeTokenizer.addedToken(id, pieces.get(id).text, special));
            }
        }
        return added;
    }

    /** Best score first; of one piece, the pair with the lowest ids, left first. */
    private List<String> merges() throws TokenizerException {
        List<Merge> merges = new ArrayList<>();
        long characters = 0;
        for (Piece piece : pieces) {
            for (int cut = 1; piece.kind == PieceKind.NORMAL && cut < piece.text.length(); cut++) {
                int left = normal(piece.text.substring(0, cut));
                int right = normal(piece.text.substring(cut));
                if (left >= 0 && right >= 0) {
                    merges.add(new Merge(left, right, piece.score));
                    characters += piece.text.length();
                }
            }
            require(characters <= MOST_MERGED, "merges of more than " + MOST_MERGED + " characters in all");
        }
        merges.sort(Comparator.comparingDouble((Merge m) -> -m.score).thenComparingInt(Merge::left).thenComparingInt(Merge::right));
        checkTies(merges);
        return merges.stream().map(this::written).toList();
    }

    private String written(Merge merge) {
        return pieces.get(merge.left).text + " " + pieces.get(merge.right).text;
    }

    /** SentencePiece makes the leftmost of pieces that tie; a list of merges has an order of its own. */
    private void checkTies(List<Merge> merges) throws TokenizerException {
        Map<String, Integer> ranks = new HashMap<>();
        PieceTies ties = new PieceTies();
        for (int i = 0; i < merges.size(); i++) {
            ranks.put(written(merges.get(i)), i);
            if (i > 0 && merges.get(i).score == merges.get(i - 1).score && !made(merges.get(i)).equals(made(merges.get(i - 1)))) {
                ties.add(made(merges.get(i - 1)), made(merges.get(i)));
            }
        }
        Set<String> makeable = ids.keySet().stream().filter(text -> mergesIntoAny || normal(text) >= 0).collect(Collectors.toSet());
        ties.check(ranks, text -> normal(text) < 0 ? Double.NEGATIVE_INFINITY : pieces.get(ids.get(text)).score);
        PieceTies.requireEveryMerge(makeable, text -> normal(text) >= 0, ranks);
    }

    private String made(Merge merge) {
        return pieces.get(merge.left).text + pieces.get(merge.right).text;
    }

    /** The id of an ordinary piece, or -1. */
    private int normal(String text) {
        int id = ids.getOrDefault(text, -1);
        return id >= 0 && pieces.get(id).kind == PieceKind.NORMAL ? id : -1;
    }

    private List<?> normalizers() {
        Object escape = Json.ordered("type", "Replace", "pattern", Map.of("String", " "), "content", SPACE);
        return dummyPrefix ? List.of(Json.ordered("type", "Prepend", "prepend", SPACE), escape) : List.of(escape);
    }

    private List<?> decoders() {
        List<Object> decoders = new ArrayList<>();
        decoders.add(Json.ordered("type", "Replace", "pattern", Map.of("String", SPACE), "content", " "));
        decoders.add(Map.of("type", "ByteFallback"));
        decoders.add(Map.of("type", "Fuse"));
        if (dummyPrefix) {
            decoders.add(Json.ordered("type", "Strip", "content", " ", "start", 1, "stop", 0));
        }
        return decoders;
    }

    private static Map<String, Object> sequence(String name, List<?> parts) {
        Map<String, Object> sequence = new LinkedHashMap<>();
        sequence.put("type", "Sequence");
        sequence.put(name, parts);
        return sequence;
    }
}
