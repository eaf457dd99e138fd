package io.sterna.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a safetensors file: the bytes of a JSON header as u64, the header, the tensors without gaps, all
 * little-endian. The file is there as a whole or not at all. Not thread-safe.
 */
public final class SafetensorsWriter implements AutoCloseable {
    private static final int ALIGNMENT = 8;

    private final Path file;
    private final PendingFile pending;
    private final long end;
    private long position;

    /**
     * A tensor to be written.
     *
     * @param dtype as the format names it: F32, BF16, U8, ...
     */
    public record Entry(String name, String dtype, List<Long> shape, long bytes) {}

    /**
     * Starts a file of these tensors, whose bytes are to be written in this order.
     *
     * @throws IllegalArgumentException for two tensors of one name
     * @throws IOException when the file cannot be made; the message names it
     */
    public SafetensorsWriter(Path file, List<Entry> entries) throws IOException {
        Map<String, Object> header = new LinkedHashMap<>();
        header.put("__metadata__", Map.of("format", "pt"));
        long offset = 0;
        for (Entry entry : entries) {
            Map<String, Object> tensor = new LinkedHashMap<>();
            tensor.put("dtype", entry.dtype());
            tensor.put("shape", entry.shape());
            tensor.put("data_offsets", List.of(offset, offset + entry.bytes()));
            if (header.put(entry.name(), tensor) != null) {
                throw new IllegalArgumentException("tensor " + entry.name() + ": is there twice");
            }
            offset += entry.bytes();
        }
        byte[] json = Json.write(header).getBytes(StandardCharsets.UTF_8);
        int padded = Math.ceilDiv(json.length, ALIGNMENT) * ALIGNMENT;
        this.file = file;
        this.end = Long.BYTES + padded + offset;
        ByteBuffer start = ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN);
        start.putLong(padded).put(json);
        while (start.hasRemaining()) {
            start.put((byte) ' ');
        }
        this.pending = PendingFile.beginning(file, start.flip());
        this.position = start.limit();
    }

    /**
     * Appends bytes of the tensors, any number at a time.
     *
     * @throws IOException when the file cannot be written; the message names it
     */
    public void write(MemorySegment bytes) throws IOException {
        pending.write(position, bytes);
        position += bytes.byteSize();
    }

    /**
     * Ends the file; it is there from now on.
     *
     * @throws IllegalStateException while bytes are missing, or when there were too many
     * @throws IOException when the file cannot be written; the message names it
     */
    public void commit() throws IOException {
        if (position != end) {
            throw new IllegalStateException(file + ": " + position + " bytes written of " + end);
        }
        pending.commit();
    }

    /** Removes what was written, unless it was committed. */
    @Override
    public void close() throws IOException {
        pending.close();
    }
}
