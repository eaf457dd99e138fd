package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.sterna.data.BpeTokenizer;
import io.sterna.data.BpeTrainer;
import io.sterna.data.Corpus;
import io.sterna.data.CorpusOptions;
import io.sterna.data.DataProgress;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A tokenizer trained here, read by Hugging Face's own library: both give the same tokens for hard text. */
class TokenizerAgreementTest {
    private static final String[] PIECES = {
        "'s", "'S", "'ll", "'re", "'ve", "'d", "'m", "'t", "don't", "''", "'", " ", "  ", "     ", "\t", "\n", "\n\n",
        "\r\n", " \r\n\r\n ", "\u000B\f", "\u0085", "\u00A0", "\u2003\u2003", "\u3000", "\u200B", "\uFEFF", "é",
        "e\u0301", "ﬁ", "한국어", "ひらがな漢字", "العربية", "हिन्दी", "👩‍👩‍👧‍👦", "🇩🇪", "😀😀", "½²Ⅷ", "१२३", "123", "4567890",
        "3.14", "0x1F", "foo_bar", "CamelCase", "public static void main(String[] args) {", "\n    return x;\n",
        "/**\n * @param", "*/", "<|end|>", "<|end", "|>", "\u0000", "\u0001\u001F", "\u007F", "ǅ", "—", "“", "𝒳", "the ",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abababababab"
    };

    @TempDir
    static Path folder;

    private static BpeTokenizer ours;
    private static HuggingFaceTokenizer theirs;
    private static BpeTokenizer oursInNfc; // in the style of GPT-NeoX: NFC, and runs of blanks as added tokens
    private static HuggingFaceTokenizer theirsInNfc;

    @BeforeAll
    static void train() throws IOException {
        Random random = new Random(1);
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 20_000; i++) {
            text.append(random.nextInt(3) == 0 ? PIECES[random.nextInt(PIECES.length)] : " the cat on a mat was here");
        }
        Path corpus = Files.writeString(folder.resolve("corpus.txt"), text.toString().replace("<|end|>", ""));
        ours = BpeTrainer.train(
                Corpus.open(List.of(corpus.toString()), CorpusOptions.defaults().withHeldOutShare(0)),
                BpeTrainer.Options.of(600, 1),
                DataProgress.NONE);
        Path json = Files.write(folder.resolve("tokenizer.json"), ours.toJson());
        theirs = HuggingFaceTokenizer.newInstance(json);

        String added = """
                "added_tokens": [
                  {"id": 600, "content": "     ", "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": true, "special": false},
                  {"id": 601, "content": "  ", "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": true, "special": false},
                  {"id": 602, "content": "e\u0301", "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": true, "special": false},
                """;
        String nfc = Files.readString(json)
                .replace("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}")
                .replace("\"added_tokens\": [", added);
        Path nfcJson = Files.writeString(folder.resolve("nfc.json"), nfc);
        oursInNfc = BpeTokenizer.load(nfcJson);
        theirsInNfc = HuggingFaceTokenizer.newInstance(nfcJson);
    }

    @AfterAll
    static void close() {
        theirs.close();
        theirsInNfc.close();
    }

    private static void assertAgree(String text) {
        assertAgree(text, ours, theirs);
        assertAgree(text, oursInNfc, theirsInNfc);
        assertEquals(text.replace("<|end|>", ""), ours.decode(ours.encode(text)));
    }

    private static void assertAgree(String text, BpeTokenizer ours, HuggingFaceTokenizer theirs) {
        long[] expected = theirs.encode(text, false, false).getIds();
        assertArrayEquals(expected, Arrays.stream(ours.encode(text)).asLongStream().toArray(), () -> text);
    }

    @Test
    void everyPieceAloneAndBesideEveryOther() {
        for (String left : PIECES) {
            assertAgree(left);
            for (String right : PIECES) {
                assertAgree(left + right);
            }
        }
    }

    @Test
    void longMixtures() {
        Random random = new Random(2);
        for (int round = 0; round < 2000; round++) {
            StringBuilder text = new StringBuilder();
            for (int i = random.nextInt(40); i >= 0; i--) {
                text.append(PIECES[random.nextInt(PIECES.length)]);
            }
            assertAgree(text.toString());
        }
    }

    @Test
    void randomCharacters() {
        Random random = new Random(3);
        for (int round = 0; round < 2000; round++) {
            int[] points = random.ints(30, 0, random.nextBoolean() ? 0x300 : Character.MAX_CODE_POINT + 1).toArray();
            String text = new String(points, 0, points.length);
            assertAgree(new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8));
        }
    }
}
