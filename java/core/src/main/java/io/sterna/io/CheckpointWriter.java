package io.sterna.io;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;

/**
 * Writes a checkpoint under a temporary name beside its place; {@link #commit} syncs it and renames it,
 * so that its place holds either what was there before or the whole new file. {@link #close} without
 * commit removes what was written. What cannot be written is a {@link CheckpointException}, and an interrupt of the thread
 * an {@link InterruptedIOException}. Not thread-safe.
 */
public final class CheckpointWriter implements AutoCloseable {
    private static final String REMEDY = "free some space or choose another folder; what was there before is untouched";
    private final Path file;
    private final PendingFile pending;
    private final List<Object> tensors = new ArrayList<>();
    private Map<String, Object> tensor; // the last that began
    private CRC32C checksum; // of its bytes
    private long position = CheckpointFormat.PREAMBLE_BYTES;

    /**
     * Starts a checkpoint that will be {@code file}, whose folder must exist.
     *
     * @throws IOException when it cannot be made, as the class says
     */
    public CheckpointWriter(Path file) throws IOException {
        this.file = file;
        try {
            this.pending = new PendingFile(file);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /**
     * Appends a tensor.
     *
     * @param encoding how the bytes hold it ("f32", "trits"), for the reader to compare
     * @param shape its dimensions
     * @throws IOException when the file cannot be written, as the class says
     */
    public void add(String name, String encoding, List<Long> shape, MemorySegment bytes) throws IOException {
        begin(name, encoding, shape);
        append(bytes);
    }

    /** Begins a tensor as {@link #add} has it, whose bytes come by {@link #append} until the next one begins. */
    public void begin(String name, String encoding, List<Long> shape) {
        position = CheckpointFormat.aligned(position);
        checksum = new CRC32C();
        tensor = new LinkedHashMap<>();
        tensor.put("name", name);
        tensor.put("encoding", encoding);
        tensor.put("shape", shape);
        tensor.put("offset", position);
        tensor.put("bytes", 0L);
        tensor.put("crc32c", checksum.getValue());
        tensors.add(tensor);
    }

    /**
     * Appends bytes to the tensor that began last.
     *
     * @throws IOException when the file cannot be written, as the class says
     */
    public void append(MemorySegment bytes) throws IOException {
        CheckpointFormat.update(checksum, bytes);
        try {
            pending.write(position, bytes);
        } catch (IOException e) {
            throw failed(e);
        }
        position += bytes.byteSize();
        tensor.put("bytes", position - (long) tensor.get("offset"));
        tensor.put("crc32c", checksum.getValue());
    }

    /**
     * Writes the header with {@code meta}, syncs the file and gives it its name.
     *
     * @throws IOException when the file cannot be written, as the class says
     */
    public void commit(Map<String, Object> meta) throws IOException {
        Map<String, Object> root = new LinkedHashMap<>();
        root.put("meta", meta);
        root.put("tensors", tensors);
        byte[] header = Json.write(root).getBytes(StandardCharsets.UTF_8);
        CheckpointFormat.Preamble preamble = new CheckpointFormat.Preamble(CheckpointFormat.VERSION, position, header.length,
                position + header.length, CheckpointFormat.checksum(header));
        try {
            pending.write(position, ByteBuffer.wrap(header));
            pending.write(0, preamble.toBytes());
            pending.commit();
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private IOException failed(IOException e) {
        if (e instanceof InterruptedIOException) {
            return e;
        }
        IOException reason = e.getCause() instanceof IOException system ? system : e;
        return new CheckpointException(file, "cannot be written (" + reason.getMessage() + ")", REMEDY, reason);
    }

    @Override
    public void close() throws IOException {
        try {
            pending.close();
        } catch (IOException e) {
            throw failed(e);
        }
    }
}
