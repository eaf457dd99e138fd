package io.sterna.hostile;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.io.SafetensorsException;
import io.sterna.io.SafetensorsReader;
import java.nio.file.Path;

/** Reads a file in a JVM of its own, whose memory is bounded, and prints what comes of it. */
final class MemoryProbe {
    private MemoryProbe() {}

    public static void main(String[] args) throws Exception {
        Path file = Path.of(args[1]);
        try {
            Object read = switch (args[0]) {
                case "json" -> Json.readObject(file, Long.MAX_VALUE);
                case "tokenizer" -> BpeTokenizer.load(file);
                case "safetensors" -> new SafetensorsReader(file);
                default -> throw new AssertionError(args[0]);
            };
            System.out.println("read " + read.getClass().getSimpleName());
        } catch (JsonException | TokenizerException | SafetensorsException e) {
            System.out.println("refused: " + e.getMessage());
        }
    }
}
