package io.sterna.data;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * A tokenizer whose documents begin and end with tokens that a model says. Immutable and thread-safe.
 *
 * @param of         the tokenizer
 * @param beginToken the id that a text begins with
 * @param endToken   the id that ends a document
 */
public record MarkedTokenizer(Tokenizer of, int beginToken, int endToken) implements Tokenizer {
    /** @throws IllegalArgumentException for an id outside the vocabulary */
    public MarkedTokenizer {
        requireId("end-token", endToken, of.vocabSize());
        requireId("begin-token", beginToken, of.vocabSize());
    }

    private static void requireId(String name, int id, int size) {
        if (id < 0 || id >= size) {
            throw new IllegalArgumentException(name + " " + id + ": the tokenizer has tokens 0 to " + (size - 1));
        }
    }

    /**
     * The tokenizer itself where a model says no more than it does.
     *
     * @param begin null for the token that ends documents
     * @param end   null for the tokenizer's own
     */
    public static Tokenizer of(Tokenizer tokenizer, Integer begin, Integer end) {
        if (begin == null && end == null) {
            return tokenizer;
        }
        int last = end == null ? tokenizer.endToken() : end;
        return new MarkedTokenizer(tokenizer, begin == null ? last : begin, last);
    }

    @Override
    public int vocabSize() {
        return of.vocabSize();
    }

    @Override
    public Encoder encoder(boolean parseSpecial) {
        return of.encoder(parseSpecial);
    }

    @Override
    public byte[] bytes(int token) {
        return of.bytes(token);
    }

    /** Documents in token shards are separated by the end token; the begin token is put before a text as it is read. */
    @Override
    public String fingerprint() {
        if (endToken == of.endToken()) {
            return of.fingerprint();
        }
        try {
            byte[] text = (of.fingerprint() + " end " + endToken).getBytes(StandardCharsets.US_ASCII);
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }
}
