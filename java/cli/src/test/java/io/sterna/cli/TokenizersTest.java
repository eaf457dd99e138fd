package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.BpeTrainer;
import io.sterna.data.Corpus;
import io.sterna.data.CorpusOptions;
import io.sterna.data.DataProgress;
import io.sterna.data.MarkedTokenizer;
import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizersTest {
    private static final String WORDS = """
            {"version": "1.0", "truncation": null, "padding": null,
             "added_tokens": [%s],
             "normalizer": {"type": "Lowercase"},
             "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null,
             "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": false},
             "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                       "max_input_chars_per_word": 100,
                       "vocab": {"[UNK]": 0, "</s>": 1, "the": 2, "tern": 3, "##s": 4, "fly": 5, "<": 6, "##/s>": 7, "/s>": 8}}}
            """;
    private static final String END = """
            {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
            """;

    @TempDir
    private Path folder;

    @Test
    void otherKindsAreReadByTheLibrary() throws IOException {
        Tokenizer tokenizer = Tokenizers.load(write(WORDS.formatted(END)));
        assertEquals(9, tokenizer.vocabSize());
        assertEquals(1, tokenizer.endToken());
        assertArrayEquals(new int[] {2, 3, 4, 5}, tokenizer.encode("The terns fly"));
        assertEquals("the terns fly", tokenizer.decode(new int[] {2, 3, 4, 5}).strip());
        assertArrayEquals(new byte[0], tokenizer.bytes(1));
    }

    @Test
    void ofSeveralTokensThatEndTextsTheOneThatEndsDocumentsCounts() throws IOException {
        String turnEnd = END.replace("\"id\": 1", "\"id\": 9").replace("</s>", "<|im_end|>");
        assertEquals(1, Tokenizers.load(write(WORDS.formatted(END + ", " + turnEnd))).endToken());
        assertEquals(1, Tokenizers.load(write(WORDS.formatted(turnEnd + ", " + END))).endToken());
        assertEquals(9, Tokenizers.load(write(WORDS.formatted(turnEnd))).endToken());
    }

    @Test
    void specialTokensInACorpusArePlainText() throws IOException {
        Tokenizer tokenizer = Tokenizers.load(write(WORDS.formatted(END)));
        byte[] text = "fly </s> fly".getBytes(StandardCharsets.UTF_8);
        Tokens plain = new Tokens();
        tokenizer.encoder(false).encode(text, 0, text.length, plain);
        assertArrayEquals(new int[] {5, 6, 8, 5}, plain.toArray());
        assertArrayEquals(new int[] {5, 1, 5}, tokenizer.encode("fly </s> fly"));
    }

    @Test
    void anEndOfAnotherNameMayBeSaid() throws IOException {
        Tokenizer tokenizer = Tokenizers.load(write(WORDS.formatted(END.replace("</s>", "[EOS]"))));
        assertEquals(List.of(), tokenizer.endTokens());
        assertEquals(1, MarkedTokenizer.of(tokenizer, null, true, List.of(1)).endToken());
        String message = assertThrows(IllegalArgumentException.class, () -> MarkedTokenizer.of(tokenizer, null, true, null)).getMessage();
        assertTrue(message.startsWith("end-token: must be the id"), message);
    }

    @Test
    void byteLevelBpeIsReadBySterna() throws IOException {
        Path text = Files.writeString(folder.resolve("text.txt"), "a tern and a gull and a tern\n".repeat(50));
        Corpus corpus = Corpus.open(List.of(text.toString()), CorpusOptions.defaults());
        BpeTokenizer trained = BpeTrainer.train(corpus, BpeTrainer.Options.of(260, 1), DataProgress.NONE);
        Path file = write(new String(trained.toJson(), StandardCharsets.UTF_8));
        assertInstanceOf(BpeTokenizer.class, Tokenizers.load(file));
    }

    /** A character may need several tokens, and only their bytes together are text. */
    @Test
    void tokensOfAByteLevelVocabularyAreBytes() throws IOException {
        Path text = Files.writeString(folder.resolve("text.txt"), "a tern and a gull and a tern\n".repeat(50));
        Corpus corpus = Corpus.open(List.of(text.toString()), CorpusOptions.defaults());
        String json = new String(BpeTrainer.train(corpus, BpeTrainer.Options.of(260, 1), DataProgress.NONE).toJson(), StandardCharsets.UTF_8);
        String split = "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\\\\\d\"},"
                + " \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true,"
                + " \"use_regex\": false}]},";
        String other = json.replaceFirst("(?s)\"pre_tokenizer\": \\{.*?},", split);
        Tokenizer tokenizer = Tokenizers.load(write(other));
        assertFalse(tokenizer instanceof BpeTokenizer);
        int[] ids = tokenizer.encode("\u65e5\u672c \ud83d\ude00");
        assertEquals(6 + 1 + 4, ids.length);
        assertArrayEquals(new byte[] {(byte) 0xE6}, tokenizer.bytes(ids[0]));
        assertEquals("\u65e5\u672c \ud83d\ude00", tokenizer.decode(ids));
        assertArrayEquals(new byte[0], tokenizer.bytes(tokenizer.endToken()));
    }

    /** A character that the vocabulary lacks comes as its bytes, one a token. */
    @Test
    void bytesOfAUnigramVocabularyAreBytes() throws IOException {
        StringBuilder pieces = new StringBuilder("[\"<unk>\", 0], [\"</s>\", 0], [\"\u2581\", -2], [\"a\", -3], [\"\u2581a\", -2.5]");
        for (int b = 0; b < 256; b++) {
            pieces.append(", [\"<0x%02X>\", 0]".formatted(b));
        }
        Tokenizer tokenizer = Tokenizers.load(write("""
                {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [%s], "normalizer": null,
                 "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": true}, "post_processor": null,
                 "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                  {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                 "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": [%s]}}
                """.formatted(END, pieces)));
        int[] ids = tokenizer.encode("a \u65e5\ud83d\ude00 a");
        assertArrayEquals(new int[] {4, 2, 5 + 0xE6, 5 + 0x97, 5 + 0xA5, 5 + 0xF0, 5 + 0x9F, 5 + 0x98, 5 + 0x80, 4}, ids);
        assertArrayEquals(new byte[] {(byte) 0xE6}, tokenizer.bytes(ids[2]));
        assertEquals("a \u65e5\ud83d\ude00 a", tokenizer.decode(ids).strip());
        assertArrayEquals(new byte[0], tokenizer.bytes(1));
    }

    private Path write(String json) throws IOException {
        return Files.writeString(folder.resolve("tokenizer.json"), json);
    }
}
