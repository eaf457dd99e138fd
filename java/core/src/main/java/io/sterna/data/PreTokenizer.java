package io.sterna.data;

import io.sterna.io.Utf8;

/**
 * Cuts text into words as GPT-2 does, by hand instead of by its regular expression
 * {@code 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+}.
 * A byte that is no valid UTF-8 counts as a character that is neither letter, number nor space. Thread-safe.
 */
final class PreTokenizer {
    private static final byte OTHER = 0;
    private static final byte LETTER = 1;
    private static final byte NUMBER = 2;
    private static final byte SPACE = 3;
    private static final byte[] CLASS = classes();

    private PreTokenizer() {}

    /** End of the word that starts at {@code from}, which must be below {@code to}. */
    static int wordEnd(byte[] b, int from, int to) {
        int first = b[from];
        if (first == '\'') {
            int contraction = contraction(b, from, to);
            if (contraction > 0) {
                return from + contraction;
            }
        }
        if (first == ' ' && from + 1 < to) {
            int next = classAt(b, from + 1, to);
            if ((next & 3) != SPACE) {
                return runEnd(b, from + 1 + (next >> 2), to, next & 3);
            }
        }
        int here = classAt(b, from, to);
        int end = runEnd(b, from + (here >> 2), to, here & 3);
        return (here & 3) == SPACE && end < to ? spaceEnd(b, from, end) : end;
    }

    /** A run of spaces before other text leaves its last space to the next word, if it has another. */
    private static int spaceEnd(byte[] b, int from, int end) {
        int last = end - 1;
        while ((b[last] & 0xC0) == 0x80) {
            last--;
        }
        return last > from ? last : end;
    }

    private static int contraction(byte[] b, int from, int to) {
        int one = from + 1 < to ? b[from + 1] : 0;
        int two = from + 2 < to ? b[from + 2] : 0;
        return switch (one) {
            case 's', 't', 'm', 'd' -> 2;
            case 'r', 'v' -> two == 'e' ? 3 : 0;
            case 'l' -> two == 'l' ? 3 : 0;
            default -> 0;
        };
    }

    private static int runEnd(byte[] b, int from, int to, int wanted) {
        int i = from;
        while (i < to) {
            int c = b[i];
            if (c >= 0) {
                if (CLASS[c] != wanted) {
                    return i;
                }
                i++;
            } else {
                int wide = classAt(b, i, to);
                if ((wide & 3) != wanted) {
                    return i;
                }
                i += wide >> 2;
            }
        }
        return i;
    }

    /** Class of the character at {@code i}, and its length in bytes times 4. */
    private static int classAt(byte[] b, int i, int to) {
        int c = b[i];
        if (c >= 0) {
            return CLASS[c] | 1 << 2;
        }
        int n = Utf8.sequenceLength(b, i, to);
        return n == 0 ? OTHER | 1 << 2 : CLASS[Utf8.codePoint(b, i, n)] | n << 2;
    }

    private static byte[] classes() {
        byte[] classes = new byte[Character.MAX_CODE_POINT + 1];
        for (int c = 0; c < classes.length; c++) {
            classes[c] = classOf(c);
        }
        return classes;
    }

    private static byte classOf(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.UPPERCASE_LETTER, Character.LOWERCASE_LETTER, Character.TITLECASE_LETTER,
                    Character.MODIFIER_LETTER, Character.OTHER_LETTER -> LETTER;
            case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> NUMBER;
            case Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> SPACE;
            default -> codePoint >= '\t' && codePoint <= '\r' || codePoint == 0x85 ? SPACE : OTHER;
        };
    }
}
