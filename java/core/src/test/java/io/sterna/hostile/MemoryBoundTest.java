package io.sterna.hostile;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.io.Json;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Reads large files in a JVM that has no more memory than twice the file and 64 MiB, heap and direct buffers together:
 * each is read, or refused with the reader's own exception. The JVM's own few MiB of heap are counted.
 */
class MemoryBoundTest {
    private static final long MEMORY = 64L << 20;
    private static final long DIRECT = 2L << 20;
    private static final int LONG = 80_000_000;
    private static final String READ = "read";
    private static final String REFUSED = "refused: ";

    /** As byte-level vocabularies write bytes: those that cannot be seen stand for U+0100 and up. */
    private static final String LETTERS = IntStream.range(0, 256).mapToObj(b -> String.valueOf((char) (isVisible(b) ? b
            : 0x100 + IntStream.range(0, b).filter(i -> !isVisible(i)).count()))).collect(Collectors.joining());

    @TempDir
    private static Path folder;

    // One long string

    @Test
    void aLongStringIsRead() throws Exception {
        expect(READ, "json", string("tern "));
    }

    @Test
    void aLongStringWithEscapes() throws Exception {
        expect(REFUSED, "json", string("tern\\n"));
    }

    @Test
    void aLongStringOfLatinLetters() throws Exception {
        expect(REFUSED, "json", string("st\u00e8rne"));
    }

    @Test
    void aLongStringOfManyLetters() throws Exception {
        expect(REFUSED, "json", string("tern\u2581"));
    }

    @Test
    void aLongStringInATokenizerAndAHeader() throws Exception {
        expect(REFUSED, "tokenizer", string("tern "));
        Path header = Files.write(folder.resolve("header.safetensors"), BinaryFaults.safetensors(Files.readAllBytes(string("tern ", LONG - 100)), new byte[0]));
        expect(REFUSED, "safetensors", header);
    }

    @Test
    void manySmallValues() throws Exception {
        for (String value : new String[] {"null", "1000", "[]", "[null]", "{\"a\":0}"}) {
            expect(READ + "|" + REFUSED, "json", write("values", "{\"a\":[" + value, i -> "," + value, 10_000_000 / value.length(), "]}"));
        }
        expect(REFUSED, "json", write("strings", "{\"a\":[0", i -> ",\"" + i + "\"", 1_000_000, "]}"));
        expect(REFUSED, "json", write("fields", "{\"a\":0", i -> ",\"" + i + "\":0", 1_000_000, "}"));
    }

    @Test
    void manyTensorsWithLongNames() throws Exception {
        String name = "x".repeat(480);
        Path json = write("tensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,0],\"data_offsets\":[0,0]}",
                i -> ",\"" + name + i + "\":{\"dtype\":\"F32\",\"shape\":[1,0],\"data_offsets\":[0,0]}", 80_000, "}");
        Path header = Files.write(folder.resolve("tensors.safetensors"), BinaryFaults.safetensors(Files.readAllBytes(json), new byte[0]));
        expect(READ, "safetensors", header);
    }

    // Tokenizers

    @Test
    void aLargeTokenizerIsRead() throws Exception {
        expect(READ, "tokenizer", tokenizer(200_000, false, 1));
        expect(READ, "tokenizer", tokenizer(200_000, true, 1));
    }

    @Test
    void aTokenizerOfMoreThanItsFileMayTake() throws Exception {
        expect(REFUSED, "tokenizer", tokenizer(600_000, false, 1));
        expect(REFUSED, "tokenizer", tokenizer(600_000, true, 1));
        expect(REFUSED, "tokenizer", tokenizer(1000, false, 3_000));
    }

    private static Path string(String part) throws IOException {
        return string(part, LONG);
    }

    private static Path string(String part, int length) throws IOException {
        return write("string", "{\"a\":\"", i -> part, length / part.getBytes(StandardCharsets.UTF_8).length, "\"}");
    }

    /**
     * Byte-level BPE as Hugging Face writes it: tokens of one, two and three bytes, and every pair of them that makes a third.
     *
     * @param pairs whether merges are written as two strings, or as one
     * @param times how often each stands there
     */
    private static Path tokenizer(int tokens, boolean pairs, int times) throws IOException {
        Path file = folder.resolve("tokenizer.json");
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            out.write("{\"added_tokens\": [], \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},\n"
                    + "  \"model\": {\n    \"type\": \"BPE\",\n    \"vocab\": {");
            for (int id = 0; id < tokens; id++) {
                out.write((id == 0 ? "" : ",") + "\n      " + Json.write(token(id)) + ": " + id);
            }
            out.write("\n    },\n    \"merges\": [");
            String comma = "";
            for (int id = 256; id < tokens; id++) {
                String token = token(id);
                for (int i = 0; i < times * (token.length() - 1); i++) {
                    int cut = 1 + i % (token.length() - 1);
                    String left = token.substring(0, cut);
                    String right = token.substring(cut);
                    out.write(comma + "\n      " + Json.write(pairs ? List.of(left, right) : left + " " + right));
                    comma = ",";
                }
            }
            out.write("\n    ]\n  }\n}\n");
        }
        return file;
    }

    private static boolean isVisible(int b) {
        return b >= '!' && b <= '~' || b >= 0xA1 && b != 0xAD;
    }

    private static String token(int id) {
        String last = String.valueOf(LETTERS.charAt(id & 0xFF));
        return id < 1 << 8 ? last : token((id >> 8) - 1) + last;
    }

    private static Path write(String name, String start, IntFunction<String> part, int parts, String end) throws IOException {
        Path file = folder.resolve(name + ".json");
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            out.write(start);
            for (int i = 0; i < parts; i++) {
                out.write(part.apply(i));
            }
            out.write(end);
        }
        return file;
    }

    private static void expect(String start, String kind, Path file) throws Exception {
        long heap = 2 * Files.size(file) + MEMORY - DIRECT;
        // The young generation is small and the old one takes all else, so that the heap is used up before it does not suffice.
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:+UseSerialGC", "-Xmn1m",
                "-Xmx" + heap, "-XX:MaxDirectMemorySize=" + DIRECT, "-Xlog:disable", "-cp", System.getProperty("java.class.path"),
                MemoryProbe.class.getName(), kind, file.toString()).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor() == 0 && said.matches("(?s)(" + start + ").*"), kind + " of " + Files.size(file) + " bytes: " + said);
    }
}
