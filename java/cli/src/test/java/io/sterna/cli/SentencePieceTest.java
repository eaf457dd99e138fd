package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.SentencePiece;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.data.Tokens;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A {@code tokenizer.model} of Llama's kind, made here; the tokens are those of SentencePiece itself. */
class SentencePieceTest {
    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int BYTE = 6;
    private static final List<String> MERGED =
            List.of("\u2581t", "he", "\u2581the", "in", "\u2581\u2581", "\u2581in", "aa", "aaa", "er", "</", "s>");
    private static final List<String> CHARACTERS = List.of("\u2581", "t", "h", "e", "i", "n", "a", "r", "<", "/", "s", ">", "\u00e9");
    private static final int FIRST = 3 + 256;

    @TempDir
    private Path folder;

    @Test
    void tokensAreThoseOfSentencePiece() throws IOException {
        Tokenizer tokenizer = load(model(2, 0, 1, 0));
        assertEquals(FIRST + MERGED.size() + CHARACTERS.size(), tokenizer.vocabSize());
        assertEquals(2, tokenizer.endToken());
        assertTokens(tokenizer, "the tern", 261, 259, 267, 275);
        assertTokens(tokenizer, "in the  inn", 264, 261, 263, 262, 275);
        assertTokens(tokenizer, " aaaaa", 263, 265, 266);
        assertTokens(tokenizer, "\u00e9 \ud83d\ude00\n", 270, 282, 270, 243, 162, 155, 131, 13);
        assertTokens(tokenizer, "</s>", 270, 268, 269);
        assertArrayEquals(new int[] {2}, tokenizer.encode("</s>"), "a special token where special tokens are read");
    }

    @Test
    void tokensOfBytesAreBytes() throws IOException {
        Tokenizer tokenizer = load(model(2, 0, 1, 0));
        assertArrayEquals(new byte[] {(byte) 0xF0}, tokenizer.bytes(3 + 0xF0));
        assertEquals(" the \ud83d\ude00\n", tokenizer.decode(new int[] {261, 270, 243, 162, 155, 131, 13}));
    }

    @Test
    void whatWouldGiveOtherTokensIsRefusedByName() throws IOException {
        refused(model(1, 0, 1, 0), "not BPE");
        refused(model(2, 1, 1, 0), "removal of extra spaces");
        refused(model(2, 0, 0, 0), "without bytes");
        refused(model(2, 0, 1, USER_DEFINED), "pieces of type USER_DEFINED");
        refused(new byte[0], "no pieces");
        refused("{\"version\": 1}".getBytes(StandardCharsets.UTF_8), "not a SentencePiece model");
    }

    @Test
    void aCutFileNeverGoesThrough() throws IOException {
        byte[] whole = model(2, 0, 1, 0);
        for (int length = 1; length < whole.length; length += 7) {
            refused(Arrays.copyOf(whole, length), "m.model: ");
        }
    }

    private void assertTokens(Tokenizer tokenizer, String text, int... expected) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        Tokens tokens = new Tokens();
        tokenizer.encoder(false).encode(utf8, 0, utf8.length, tokens);
        assertArrayEquals(expected, tokens.toArray(), text);
    }

    private void refused(byte[] model, String why) throws IOException {
        Path file = Files.write(folder.resolve("m.model"), model);
        String message = assertThrows(TokenizerException.class, () -> SentencePiece.tokenizerJson(file)).getMessage();
        assertTrue(message.contains(why), message);
    }

    private Tokenizer load(byte[] model) throws IOException {
        byte[] json = SentencePiece.tokenizerJson(Files.write(folder.resolve("m.model"), model));
        return Tokenizers.load(Files.write(folder.resolve("tokenizer.json"), json));
    }

    /** @param extraKind the type of one more piece, or 0 for none */
    static byte[] model(int type, int removeExtraSpaces, int byteFallback, int extraKind) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        piece(out, "<unk>", 0, UNKNOWN);
        piece(out, "<s>", 0, CONTROL);
        piece(out, "</s>", 0, CONTROL);
        for (int b = 0; b < 256; b++) {
            piece(out, "<0x%02X>".formatted(b), 0, BYTE);
        }
        for (int i = 0; i < MERGED.size(); i++) {
            piece(out, MERGED.get(i), -i, NORMAL);
        }
        for (int i = 0; i < CHARACTERS.size(); i++) {
            piece(out, CHARACTERS.get(i), -MERGED.size() - i, NORMAL);
        }
        if (extraKind != 0) {
            piece(out, "<extra>", 0, extraKind);
        }
        ByteArrayOutputStream trainer = new ByteArrayOutputStream();
        number(trainer, 3, type);
        number(trainer, 35, byteFallback);
        message(out, 2, trainer.toByteArray());
        ByteArrayOutputStream normalizer = new ByteArrayOutputStream();
        message(normalizer, 1, "identity".getBytes(StandardCharsets.UTF_8));
        number(normalizer, 4, removeExtraSpaces);
        message(out, 3, normalizer.toByteArray());
        return out.toByteArray();
    }

    private static void piece(ByteArrayOutputStream out, String text, float score, int kind) {
        ByteArrayOutputStream piece = new ByteArrayOutputStream();
        message(piece, 1, text.getBytes(StandardCharsets.UTF_8));
        varint(piece, 2 << 3 | 5);
        piece.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(score).array());
        number(piece, 3, kind);
        message(out, 1, piece.toByteArray());
    }

    private static void number(ByteArrayOutputStream out, int field, int value) {
        varint(out, field << 3);
        varint(out, value);
    }

    private static void message(ByteArrayOutputStream out, int field, byte[] bytes) {
        varint(out, field << 3 | 2);
        varint(out, bytes.length);
        out.writeBytes(bytes);
    }

    private static void varint(ByteArrayOutputStream out, int value) {
        for (int rest = value; ; rest >>>= 7) {
            if (rest < 0x80) {
                out.write(rest);
                return;
            }
            out.write(rest & 0x7F | 0x80);
        }
    }
}
