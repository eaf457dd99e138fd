package io.sterna.data;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Tokens that are found in the text before it is cut into words: leftmost first, then longest. Thread-safe. */
final class AddedTokens {
    record Token(int id, byte[] content) {}

    private final Token[][] byFirstByte = new Token[256][];
    private final boolean empty;

    AddedTokens(List<Token> tokens) {
        empty = tokens.isEmpty();
        Map<Integer, List<Token>> byFirst = tokens.stream().collect(Collectors.groupingBy(token -> token.content[0] & 0xFF));
        byFirst.forEach((first, same) -> {
            same.sort(Comparator.comparingInt((Token t) -> -t.content.length));
            byFirstByte[first] = same.toArray(Token[]::new);
        });
    }

    /** Calls {@code rest} for the text between added tokens, and appends their ids, in order. */
    void split(byte[] b, int from, int to, Tokens out, Tokenizer.Encoder rest) {
        int start = from;
        int i = empty ? to : from;
        while (i < to) {
            Token token = at(b, i, to);
            if (token == null) {
                i++;
            } else {
                if (i > start) {
                    rest.encode(b, start, i, out);
                }
                out.add(token.id);
                i += token.content.length;
                start = i;
            }
        }
        if (to > start) {
            rest.encode(b, start, to, out);
        }
    }

    private Token at(byte[] b, int i, int to) {
        Token[] candidates = byFirstByte[b[i] & 0xFF];
        if (candidates != null) {
            for (Token token : candidates) {
                if (startsWith(b, i, to, token.content)) {
                    return token;
                }
            }
        }
        return null;
    }

    private static boolean startsWith(byte[] b, int i, int to, byte[] prefix) {
        if (to - i < prefix.length) {
            return false;
        }
        for (int k = 1; k < prefix.length; k++) {
            if (b[i + k] != prefix[k]) {
                return false;
            }
        }
        return true;
    }
}
