package io.sterna.infer;

import io.sterna.data.SentencePiece;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.train.PreparedData;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** A tokenizer and its {@code tokenizer.json}. */
record TokenizerText(Tokenizer tokenizer, String json) {
    /** Bytes that a tokenizer.json may have. */
    static final long LARGEST = 1 << 28;

    /** The tokenizer of a {@code tokenizer.json}, or of Llama's {@code tokenizer.model}. */
    static TokenizerText of(Path file, PreparedData.TokenizerLoader loader) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new ModelException("tokenizer " + file + ": no such file; expected a tokenizer.json or a tokenizer.model");
        }
        if (Files.size(file) > LARGEST) {
            throw new ModelException("tokenizer " + file + ": larger than " + LARGEST + " bytes; expected a tokenizer.json");
        }
        return SentencePiece.isNamedBy(file) ? of(SentencePiece.tokenizerJson(file), loader)
                : new TokenizerText(loader.load(file), Files.readString(file));
    }

    /** The tokenizer of the bytes of a {@code tokenizer.json}. */
    static TokenizerText of(byte[] json, PreparedData.TokenizerLoader loader) throws IOException {
        Path file = Files.createTempFile("sterna-tokenizer", ".json"); // loaders read files
        try {
            return new TokenizerText(loader.load(Files.write(file, json)), new String(json, StandardCharsets.UTF_8));
        } catch (TokenizerException e) {
            throw new TokenizerException(e.getMessage().replace(file.toString(), "as tokenizer.json"), e);
        } finally {
            Files.delete(file);
        }
    }
}
