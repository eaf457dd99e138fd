package io.sterna.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a checkpoint under a temporary name beside its place; {@link #commit} syncs it and renames it,
 * so that its place holds either what was there before or the whole new file. {@link #close} without
 * commit removes what was written. Not thread-safe.
 */
public final class CheckpointWriter implements AutoCloseable {
    private static final String REMEDY = "free some space or choose another folder; earlier checkpoints are untouched";
    private final Path file;
    private final Path temporary;
    private final FileChannel channel;
    private final List<Object> tensors = new ArrayList<>();
    private long position = CheckpointFormat.PREAMBLE_BYTES;
    private boolean committed;

    /** Starts a checkpoint that will be {@code file}, whose folder must exist. */
    public CheckpointWriter(Path file) throws CheckpointException {
        this.file = file;
        this.temporary = file.resolveSibling(file.getFileName() + ".tmp");
        try {
            this.channel = FileChannel.open(
                    temporary,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.TRUNCATE_EXISTING,
                    StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /**
     * Appends a tensor.
     *
     * @param encoding how the bytes hold it ("f32", "trits"), for the reader to compare
     * @param shape its dimensions
     */
    public void add(String name, String encoding, List<Long> shape, MemorySegment bytes) throws CheckpointException {
        position = CheckpointFormat.aligned(position);
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", name);
        entry.put("encoding", encoding);
        entry.put("shape", shape);
        entry.put("offset", position);
        entry.put("bytes", bytes.byteSize());
        entry.put("crc32c", Integer.toUnsignedLong(CheckpointFormat.checksum(bytes)));
        tensors.add(entry);
        for (long at = 0; at < bytes.byteSize(); ) {
            ByteBuffer chunk = CheckpointFormat.chunk(bytes, at);
            at += chunk.remaining();
            write(chunk);
        }
    }

    /** Writes the header with {@code meta}, syncs the file and gives it its name. */
    public void commit(Map<String, Object> meta) throws CheckpointException {
        Map<String, Object> root = new LinkedHashMap<>();
        root.put("meta", meta);
        root.put("tensors", tensors);
        byte[] header = Json.write(root).getBytes(StandardCharsets.UTF_8);
        long headerOffset = position;
        write(ByteBuffer.wrap(header));
        long fileBytes = position;
        position = 0;
        write(new CheckpointFormat.Preamble(
                        CheckpointFormat.VERSION,
                        headerOffset,
                        header.length,
                        fileBytes,
                        CheckpointFormat.checksum(header))
                .toBytes());
        try {
            channel.force(true);
            channel.close();
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
            DurableFiles.syncFolder(file.toAbsolutePath().getParent());
        } catch (IOException e) {
            throw failed(e);
        }
        committed = true;
    }

    private void write(ByteBuffer bytes) throws CheckpointException {
        try {
            while (bytes.hasRemaining()) {
                position += channel.write(bytes, position);
            }
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private CheckpointException failed(IOException e) {
        return new CheckpointException(file, "cannot be written (" + e.getMessage() + ")", REMEDY, e);
    }

    @Override
    public void close() throws CheckpointException {
        if (committed) {
            return;
        }
        try {
            channel.close();
            Files.deleteIfExists(temporary);
        } catch (IOException e) {
            throw failed(e);
        }
    }
}
