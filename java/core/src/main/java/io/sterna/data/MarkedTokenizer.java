package io.sterna.data;

import java.util.List;

/**
 * A tokenizer whose texts begin and end with tokens that a model says. Immutable and thread-safe.
 *
 * @param of             the tokenizer
 * @param beginToken     the id that a text begins with
 * @param addsBeginToken whether every text does, or only where nothing stands before the first token that is predicted
 * @param endTokens      the ids that end a text; the first one ends documents
 */
public record MarkedTokenizer(Tokenizer of, int beginToken, boolean addsBeginToken, List<Integer> endTokens) implements Tokenizer {
    /** @throws IllegalArgumentException for an id outside the vocabulary, and for no end token */
    public MarkedTokenizer {
        endTokens = List.copyOf(endTokens);
        if (endTokens.isEmpty()) {
            throw new IllegalArgumentException("end-token: there must be one");
        }
        endTokens.forEach(id -> requireId("end-token", id, of.vocabSize()));
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
     * @param adds  whether every text begins with it, or only where nothing stands before the first token that is predicted
     * @param ends  null for the tokenizer's own
     * @throws IllegalArgumentException for an id outside the vocabulary, and when neither says what ends a text
     */
    public static Tokenizer of(Tokenizer tokenizer, Integer begin, boolean adds, List<Integer> ends) {
        boolean silent = ends == null || ends.isEmpty();
        if (silent && tokenizer.endTokens().isEmpty()) {
            throw new IllegalArgumentException("end-token: must be the id of the token that ends a document, for the tokenizer has none of "
                    + END_TOKENS);
        }
        if (begin == null && adds && silent) {
            return tokenizer;
        }
        List<Integer> last = silent ? tokenizer.endTokens() : ends;
        return new MarkedTokenizer(tokenizer, begin == null ? last.getFirst() : begin, adds, last);
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
        return !of.endTokens().isEmpty() && endToken() == of.endToken() ? of.fingerprint() : Digests.hex(of.fingerprint() + " end " + endToken());
    }
}
