package io.sterna.data;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** Text to token ids and back. Implementations are immutable and thread-safe. */
public interface Tokenizer {
    /** Tokens that end a document where a tokenizer has them: the first of them that it has. */
    List<String> END_TOKENS = List.of(
            BpeTrainer.END_TOKEN, "<|endoftext|>", "<|end_of_text|>", "</s>", "<|eot_id|>", "<|im_end|>", "<eos>", "[SEP]");

    /** Ids are below this. */
    int vocabSize();

    /**
     * The ids that end a text that a model writes: that which ends documents is the first, models may have more. Empty for a
     * tokenizer that has none of {@link #END_TOKENS}: then its model says which, see {@link MarkedTokenizer}.
     */
    List<Integer> endTokens();

    /**
     * The id that ends a document.
     *
     * @throws IllegalStateException for a tokenizer that does not say
     */
    default int endToken() {
        if (endTokens().isEmpty()) {
            throw new IllegalStateException("the tokenizer has none of " + END_TOKENS + ": say which token ends a document, see MarkedTokenizer");
        }
        return endTokens().getFirst();
    }

    /** The id that a text begins with when a model reads it: where none is said, documents begin behind the end of another one. */
    default int beginToken() {
        return endToken();
    }

    /**
     * Whether every text begins with {@link #beginToken} when its model reads it; if not, it stands only where nothing else
     * stands before the first token that is predicted.
     */
    default boolean addsBeginToken() {
        return true;
    }

    /**
     * A new encoder, which belongs to one thread.
     *
     * @param parseSpecial true: special tokens written in the text ("&lt;|end|&gt;") become their ids, as Hugging
     *     Face does; false: they are plain text, as in a corpus nobody vouches for
     */
    Encoder encoder(boolean parseSpecial);

    /** The bytes a token stands for; empty for special tokens. */
    byte[] bytes(int token);

    /** SHA-256 in hex of all that decides the encoding. */
    String fingerprint();

    /** Appends the tokens of texts to a buffer. Not thread-safe. */
    @FunctionalInterface
    interface Encoder {
        /** Appends the tokens of {@code utf8[from, to)} to {@code out}; any bytes are allowed. */
        void encode(byte[] utf8, int from, int to, Tokens out);
    }

    /** Tokens of {@code text}, special tokens included. */
    default int[] encode(String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        Tokens out = new Tokens();
        encoder(true).encode(utf8, 0, utf8.length, out);
        return out.toArray();
    }

    /**
     * Tokens of a text as its model reads it from the beginning: at least one.
     *
     * @param parseSpecial as in {@link #encoder}
     */
    default Tokens encodeFromBeginning(String text, boolean parseSpecial) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        Tokens out = new Tokens();
        if (addsBeginToken()) {
            out.add(beginToken());
        }
        encoder(parseSpecial).encode(utf8, 0, utf8.length, out);
        if (out.size() == 0) {
            out.add(beginToken());
        }
        return out;
    }

    /**
     * The bytes of {@code tokens[from, to)}; special tokens have none.
     *
     * @throws IndexOutOfBoundsException if a token is not in [0, vocabSize)
     */
    default byte[] decode(int[] tokens, int from, int to) {
        byte[] out = new byte[4 * (to - from)];
        int n = 0;
        for (int i = from; i < to; i++) {
            byte[] piece = bytes(tokens[i]);
            if (out.length - n < piece.length) {
                out = Arrays.copyOf(out, Math.max(2 * out.length, n + piece.length));
            }
            System.arraycopy(piece, 0, out, n, piece.length);
            n += piece.length;
        }
        return Arrays.copyOf(out, n);
    }

    /** The text of {@code tokens}; bytes that are no UTF-8 become U+FFFD. */
    default String decode(int[] tokens) {
        return new String(decode(tokens, 0, tokens.length), StandardCharsets.UTF_8);
    }
}
