package io.sterna.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsTest {
    @TempDir
    private Path folder;

    @Test
    void whatIsWrittenIsRead() throws IOException {
        Path file = folder.resolve("a.safetensors");
        try (SafetensorsWriter writer = new SafetensorsWriter(file, List.of(
                new SafetensorsWriter.Entry("x", "U8", List.of(2L, 3L), 6), new SafetensorsWriter.Entry("empty", "F32", List.of(0L), 0),
                new SafetensorsWriter.Entry("y", "BF16", List.of(1L), 2)))) {
            writer.write(MemorySegment.ofArray(new byte[] {1, 2, 3, 4}));
            writer.write(MemorySegment.ofArray(new byte[] {5, 6, 7, 8}));
            assertFalse(Files.exists(file), "not there before it is whole");
            writer.commit();
        }
        try (SafetensorsReader reader = new SafetensorsReader(file)) {
            assertEquals(3, reader.tensors().size());
            SafetensorsReader.Tensor x = reader.tensors().get("x");
            assertEquals(List.of(2L, 3L), x.shape());
            byte[] bytes = new byte[4];
            reader.read(x, 2, MemorySegment.ofArray(bytes));
            assertArrayEquals(new byte[] {3, 4, 5, 6}, bytes);
            assertThrows(IllegalArgumentException.class, () -> reader.read(x, 3, MemorySegment.ofArray(bytes)));
            assertThrows(IllegalArgumentException.class, () -> reader.read(x, -1, MemorySegment.ofArray(bytes)));
        }
    }

    /** Neither when a file is read nor when its header is written. */
    @Test
    void anInterruptIsNamedAndLeavesNothing() throws IOException {
        Path file = folder.resolve("a.safetensors");
        Path gguf = folder.resolve("a.gguf");
        try (SafetensorsWriter writer = new SafetensorsWriter(file, List.of()); GgufWriter other = new GgufWriter(gguf, new GgufMetadata(), List.of())) {
            writer.commit();
            other.commit();
        }
        Thread.currentThread().interrupt();
        try {
            assertInterrupted("reading " + file, () -> new SafetensorsReader(file));
            assertInterrupted("reading " + gguf, () -> new GgufReader(gguf));
            Path never = folder.resolve("never");
            assertInterrupted("writing " + never, () -> new SafetensorsWriter(never, List.of()));
            assertInterrupted("writing " + never, () -> new GgufWriter(never, new GgufMetadata(), List.of()));
        } finally {
            assertTrue(Thread.interrupted(), "the mark is still set");
        }
        try (var files = Files.list(folder)) {
            assertEquals(2, files.count());
        }
    }

    private static void assertInterrupted(String doing, Executable work) {
        assertEquals("interrupted while " + doing, assertThrows(InterruptedIOException.class, work).getMessage());
    }

    @Test
    void whatIsNotCommittedIsNotThere() throws IOException {
        Path file = folder.resolve("a.safetensors");
        try (SafetensorsWriter writer = new SafetensorsWriter(file, List.of(new SafetensorsWriter.Entry("x", "U8", List.of(2L), 2)))) {
            writer.write(MemorySegment.ofArray(new byte[1]));
            assertThrows(IllegalStateException.class, writer::commit);
        }
        try (var files = Files.list(folder)) {
            assertEquals(0, files.count());
        }
    }

    /** Headers before 8 bytes of tensors; quotes are written as '. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "{'x':{'dtype':'F32','shape':[2],'data_offsets':[0,4]}}                     | takes 8 bytes",
        "{'x':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}                     | tensors end at",
        "{'x':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}}                     | the one before ends at",
        "{'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'y':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}} | the one before ends at",
        "{'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} | header",
        "{'x':{'dtype':'F33','shape':[2],'data_offsets':[0,8]}}                     | dtype \"F33\"",
        "{'x':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}}                    | shape [-2]",
        "{'x':{'dtype':'F32','shape':[2.0],'data_offsets':[0,8]}}                   | shape [2.0]",
        "{'x':{'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,8]}} | shape",
        "{'x':{'dtype':'F32','shape':[9223372036854775807],'data_offsets':[0,8]}}   | shape",
        "{'x':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}}                     | data_offsets [8,0]",
        "{'x':{'dtype':'F32','shape':[2],'data_offsets':[-8,0]}}                    | data_offsets [-8,0]",
        "{'x':{'dtype':'F32','shape':[4],'data_offsets':[0,16]}}                    | data_offsets [0,16]",
        "{'x':{'dtype':'F32','shape':[2],'data_offsets':[0]}}                       | data_offsets [0]",
        "{'x':{'dtype':'F32','shape':[2],'data_offsets':['0',8]}}                   | data_offsets",
        "{'x':{'dtype':'F32','shape':[2]}}                                          | data_offsets",
        "{'x':{'shape':[2],'data_offsets':[0,8]}}                                   | dtype",
        "{'x':{'dtype':4,'shape':[2],'data_offsets':[0,8]}}                         | dtype",
        "{'x':{'dtype':'F32','shape':2,'data_offsets':[0,8]}}                       | shape",
        "{'x':[0,8]}                                                                | not an object",
        "[]                                                                         | not an object",
        "{'x':                                                                      | header"})
    void damagedHeadersAreNamed(String header, String message) throws IOException {
        byte[] json = header.strip().replace('\'', '"').getBytes(StandardCharsets.UTF_8);
        assertFault(file(json.length, json, 8), message);
    }

    @Test
    void damagedSizesAreNamed() throws IOException {
        byte[] json = "{}".getBytes(StandardCharsets.UTF_8);
        for (long size : new long[] {-1, 0, 1, 3, 100_000_001, Long.MAX_VALUE, Long.MIN_VALUE}) {
            assertFault(file(size, json, 0), "header bytes " + size);
        }
        assertFault(Files.write(folder.resolve("short"), new byte[7]), "size 7");
        assertFault(Files.write(folder.resolve("none"), new byte[0]), "size 0");
        byte[] deep = ("[".repeat(100_000)).getBytes(StandardCharsets.UTF_8);
        assertFault(file(deep.length, deep, 0), "header");
        new SafetensorsReader(file(2, json, 0)).close();
    }

    private Path file(long headerBytes, byte[] header, int tensorBytes) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + tensorBytes).order(ByteOrder.LITTLE_ENDIAN);
        return Files.write(folder.resolve("file"), bytes.putLong(headerBytes).put(header).array());
    }

    private static void assertFault(Path file, String part) {
        String message = assertThrows(SafetensorsException.class, () -> new SafetensorsReader(file).close()).getMessage();
        assertTrue(message.startsWith(file + ": ") && message.contains(part), message);
    }
}
