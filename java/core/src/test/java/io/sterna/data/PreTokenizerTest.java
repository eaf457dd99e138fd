package io.sterna.data;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The cutting by hand against GPT-2's expression, with white space spelled as the Unicode property. */
class PreTokenizerTest {
    private static final Pattern GPT2 = Pattern.compile(
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^S\\p{L}\\p{N}]+|S+(?![^S])|S+"
                    .replace("[^S", "[^\\p{IsWhite_Space}")
                    .replace("S+", "\\p{IsWhite_Space}+"));

    private static final String[] PIECES = {
        "'s", "'S", "'ll", "'re", "'ve", "'d", "'m", "'t", "don't", "''", "'", " 's", "  ", " ", "\t", "\n", "\r\n",
        "\u000B\f", "\u0085", "\u00A0", "\u2003\u2003", "\u3000", "\u200B", "\uFEFF", "é", "e\u0301", "한국어", "漢字",
        "العربية", "हिन्दी", "👩‍👩‍👧", "½²Ⅷ", "१२३", "123", "0x1F", "foo_bar", "*/", "{", "\u0000", "\u007F", "ǅ", "—", "“", "𝒳",
        "a", "The", " the", "word"
    };

    @Test
    void cutsAsTheExpressionDoes() {
        Random random = new Random(2);
        for (int round = 0; round < 50_000; round++) {
            StringBuilder text = new StringBuilder();
            for (int i = random.nextInt(12); i >= 0; i--) {
                text.append(PIECES[random.nextInt(PIECES.length)]);
            }
            assertEquals(byExpression(text.toString()), byHand(text.toString()));
        }
    }

    @Test
    void putsEveryCharacterInItsClass() {
        for (int c = 0; c <= Character.MAX_CODE_POINT; c++) {
            if (c < Character.MIN_SURROGATE || c > Character.MAX_SURROGATE) {
                String text = "a" + Character.toString(c) + "1" + Character.toString(c) + "!" + Character.toString(c);
                assertEquals(byExpression(text), byHand(text), () -> text);
            }
        }
    }

    private static List<String> byExpression(String text) {
        List<String> words = new ArrayList<>();
        Matcher matcher = GPT2.matcher(text);
        while (matcher.find()) {
            words.add(matcher.group());
        }
        return words;
    }

    private static List<String> byHand(String text) {
        byte[] b = text.getBytes(StandardCharsets.UTF_8);
        List<String> words = new ArrayList<>();
        for (int i = 0; i < b.length; ) {
            int end = PreTokenizer.wordEnd(b, i, b.length);
            words.add(new String(b, i, end - i, StandardCharsets.UTF_8));
            i = end;
        }
        return words;
    }
}
