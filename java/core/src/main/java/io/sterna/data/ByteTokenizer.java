package io.sterna.data;

import java.util.List;

/** One token a byte, and 256 for the end of a document. */
public final class ByteTokenizer implements Tokenizer {
    private static final int END = 256;

    /** Its tokens. */
    public static final int VOCABULARY = END + 1;

    @Override
    public int vocabSize() {
        return VOCABULARY;
    }

    @Override
    public List<Integer> endTokens() {
        return List.of(END);
    }

    @Override
    public Encoder encoder(boolean parseSpecial) {
        return (utf8, from, to, out) -> {
            out.reserve(Math.addExact(to - from, 1)); // and for the end token: a long document would be copied for it
            for (int i = from; i < to; i++) {
                out.add(utf8[i] & 0xFF);
            }
        };
    }

    @Override
    public byte[] bytes(int token) {
        if (token < 0 || token > END) {
            throw new IndexOutOfBoundsException("token " + token + " is not in [0, " + END + "]");
        }
        return token == END ? new byte[0] : new byte[] {(byte) token};
    }

    @Override
    public String fingerprint() {
        return Digests.hex("one token a byte, 256 ends a document");
    }
}
