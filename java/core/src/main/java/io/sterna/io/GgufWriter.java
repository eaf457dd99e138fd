package io.sterna.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Writes a GGUF file, version 3, little-endian: magic, version, the numbers of tensors and of keys, keys and values,
 * the tensors' names, shapes, types and offsets, and their bytes, each tensor's from a multiple of 32 on. The file is
 * there as a whole or not at all. Not thread-safe.
 */
public final class GgufWriter implements AutoCloseable {
    static final int MAGIC = 0x46554747; // "GGUF"
    static final int VERSION = 3;
    static final int ALIGNMENT = 32;
    /** Names this long or longer, in bytes, are refused by ggml. */
    static final int MAX_NAME = 64;

    private final Path file;
    private final PendingFile pending;
    private final List<Entry> entries;
    private int next;
    private long written; // of the next tensor
    private long position;

    /**
     * A tensor to be written.
     *
     * @param shape sizes, outermost first; the last one a multiple of the type's block
     */
    public record Entry(String name, GgufType type, List<Long> shape) {
        /** @throws IllegalArgumentException for rows that are not whole blocks, and for names too long */
        public Entry {
            if (shape.getLast() % type.block() != 0) {
                throw new IllegalArgumentException("tensor " + name + ": rows of " + shape.getLast() + " are not whole blocks of "
                        + type.block());
            }
            if (name.getBytes(StandardCharsets.UTF_8).length >= MAX_NAME) {
                throw new IllegalArgumentException("tensor " + name + ": the name is longer than " + (MAX_NAME - 1) + " bytes");
            }
        }

        long bytes() {
            return type.bytes(shape.stream().reduce(1L, Math::multiplyExact));
        }
    }

    /**
     * Starts a file of these tensors, which are to be written in this order.
     *
     * @throws IllegalArgumentException for two tensors of one name
     * @throws IOException when the file cannot be made; the message names it
     */
    public GgufWriter(Path file, GgufMetadata metadata, List<Entry> entries) throws IOException {
        byte[] header = header(metadata, entries);
        this.file = file;
        this.entries = List.copyOf(entries);
        this.pending = PendingFile.beginning(file, ByteBuffer.wrap(header));
        this.position = header.length;
    }

    private static byte[] header(GgufMetadata metadata, List<Entry> entries) {
        byte[] keys = metadata.toBytes();
        int size = 24 + keys.length;
        Set<String> names = new HashSet<>();
        for (Entry entry : entries) {
            size += 24 + entry.name.getBytes(StandardCharsets.UTF_8).length + Long.BYTES * entry.shape.size();
            if (!names.add(entry.name)) {
                throw new IllegalArgumentException("tensor " + entry.name + ": is there twice");
            }
        }
        ByteBuffer header = ByteBuffer.allocate(Math.toIntExact(aligned(size))).order(ByteOrder.LITTLE_ENDIAN);
        header.putInt(MAGIC).putInt(VERSION).putLong(entries.size()).putLong(metadata.count()).put(keys);
        long offset = 0;
        for (Entry entry : entries) {
            byte[] name = entry.name.getBytes(StandardCharsets.UTF_8);
            header.putLong(name.length).put(name).putInt(entry.shape.size());
            entry.shape.reversed().forEach(header::putLong);
            header.putInt(entry.type.code()).putLong(offset);
            offset = aligned(offset + entry.bytes());
        }
        return header.array();
    }

    static long aligned(long offset) {
        return Math.ceilDiv(offset, ALIGNMENT) * ALIGNMENT;
    }

    /**
     * Appends bytes of the next tensor that lacks some; all of them may come in any number of parts.
     *
     * @throws IllegalStateException for more bytes than the tensor lacks
     * @throws IOException when the file cannot be written; the message names it
     */
    public void write(ByteBuffer bytes) throws IOException {
        if (next == entries.size() || bytes.remaining() > entries.get(next).bytes() - written) {
            throw new IllegalStateException(file + ": " + bytes.remaining() + " bytes are more than the tensor lacks");
        }
        written += bytes.remaining();
        append(bytes);
        if (written == entries.get(next).bytes()) {
            append(ByteBuffer.allocate((int) (aligned(written) - written)));
            next++;
            written = 0;
        }
    }

    private void append(ByteBuffer bytes) throws IOException {
        int size = bytes.remaining();
        pending.write(position, bytes);
        position += size;
    }

    /**
     * Ends the file; it is there from now on.
     *
     * @throws IllegalStateException while a tensor lacks bytes
     * @throws IOException when the file cannot be written; the message names it
     */
    public void commit() throws IOException {
        if (next != entries.size()) {
            throw new IllegalStateException(file + ": tensor " + entries.get(next).name + " lacks "
                    + (entries.get(next).bytes() - written) + " bytes");
        }
        pending.commit();
    }

    /** Removes what was written, unless it was committed. */
    @Override
    public void close() throws IOException {
        pending.close();
    }
}
