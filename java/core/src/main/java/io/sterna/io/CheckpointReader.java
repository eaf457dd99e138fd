package io.sterna.io;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Reads a checkpoint and trusts nothing in it: every size, offset and count is checked before anything is
 * allocated for it, and every tensor against its checksum. Not thread-safe.
 */
public final class CheckpointReader implements AutoCloseable {
    private static final String REMEDY = "the file is damaged: restore it, or use another checkpoint or model";
    private final Path file;
    private final FileChannel channel;
    private final Map<String, Object> meta;
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    /** Where a tensor lies; {@code bytes} from {@code offset} on. */
    public record Tensor(String name, String encoding, List<Long> shape, long offset, long bytes, int crc32c) {}

    /**
     * Opens {@code file} and checks everything but the tensors' bytes.
     *
     * @throws CheckpointException when there is no such file, or it is damaged
     * @throws InterruptedIOException when the thread is interrupted, as by every method that reads
     */
    public CheckpointReader(Path file) throws IOException {
        this.file = file;
        try {
            this.channel = FileChannel.open(file, StandardOpenOption.READ);
        } catch (NoSuchFileException e) {
            throw new CheckpointException(file, "no such file", "check the path", e);
        } catch (IOException e) {
            throw new CheckpointException(file, "cannot be opened (" + e.getMessage() + ")", "check the path", e);
        }
        try {
            this.meta = readHeader();
        } catch (JsonException e) {
            close();
            throw fault("header: " + e.getMessage(), e);
        } catch (CheckpointException e) {
            close();
            throw e;
        } catch (IOException e) {
            close();
            throw unreadable("", e);
        }
    }

    /** An interrupt is no damage, and no reason to take another file. */
    private IOException unreadable(String what, IOException e) {
        return e instanceof InterruptedIOException ? e : fault(what + "cannot be read (" + e.getMessage() + ")", e);
    }

    /** What the writer gave to {@link CheckpointWriter#commit}. */
    public Map<String, Object> meta() {
        return meta;
    }

    /** The tensors in the order of the file. */
    public Collection<Tensor> tensors() {
        return tensors.values();
    }

    /**
     * The tensor {@code name}, which must have this encoding, shape and size.
     *
     * @throws CheckpointException when it is missing or differs; the message says how
     */
    public Tensor expect(String name, String encoding, List<Long> shape, long bytes) throws CheckpointException {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw mismatch("tensor " + name + " is missing");
        }
        if (!tensor.encoding.equals(encoding) || !tensor.shape.equals(shape) || tensor.bytes != bytes) {
            throw mismatch(String.format(Locale.ROOT,
                    "tensor %s is %s %s of %d bytes, the model's is %s %s of %d bytes",
                    name, tensor.encoding, tensor.shape, tensor.bytes, encoding, shape, bytes));
        }
        return tensor;
    }

    /**
     * Reads a tensor into {@code target}, which has its size, and checks the sum.
     *
     * @throws IllegalArgumentException for a target of another size
     * @throws CheckpointException when its bytes cannot be read, or do not fit their checksum
     */
    public void read(Tensor tensor, MemorySegment target) throws IOException {
        if (target.byteSize() != tensor.bytes) {
            throw new IllegalArgumentException(
                    tensor.name + ": target has " + target.byteSize() + " bytes, not " + tensor.bytes);
        }
        try {
            FileBytes.read(channel, file, tensor.offset, target);
        } catch (IOException e) {
            throw unreadable("tensor " + tensor.name + " ", e);
        }
        int crc = CheckpointFormat.checksum(target);
        if (crc != tensor.crc32c) {
            throw fault(String.format(Locale.ROOT, "tensor %s has checksum %08x, not %08x", tensor.name, crc, tensor.crc32c), null);
        }
    }

    /**
     * Checks every tensor's bytes against its checksum.
     *
     * @throws CheckpointException for the first tensor whose bytes cannot be read, or do not fit their checksum
     */
    public void verify() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            long largest = tensors.values().stream().mapToLong(Tensor::bytes).max().orElse(0);
            MemorySegment buffer = arena.allocate(largest);
            for (Tensor tensor : tensors.values()) {
                read(tensor, buffer.asSlice(0, tensor.bytes));
            }
        }
    }

    private Map<String, Object> readHeader() throws IOException {
        long size = FileBytes.size(channel, file);
        check(size >= CheckpointFormat.PREAMBLE_BYTES, "size " + size + " is less than a checkpoint's");
        byte[] bytes = new byte[CheckpointFormat.PREAMBLE_BYTES];
        FileBytes.read(channel, file, 0, ByteBuffer.wrap(bytes));
        CheckpointFormat.Preamble p = CheckpointFormat.Preamble.of(bytes);
        check(p != null, "the preamble is not a checkpoint's");
        if (p.version() != CheckpointFormat.VERSION) {
            throw new CheckpointException(
                    file,
                    "version is " + p.version() + ", this program reads " + CheckpointFormat.VERSION,
                    "use the program that wrote it");
        }
        check(p.fileBytes() == size, "size is " + size + ", the preamble says " + p.fileBytes());
        check(
                p.headerBytes() >= 2 && p.headerBytes() <= CheckpointFormat.MAX_HEADER_BYTES,
                "header bytes " + p.headerBytes());
        check(
                p.headerOffset() >= CheckpointFormat.PREAMBLE_BYTES && p.headerOffset() == size - p.headerBytes(),
                "header offset " + p.headerOffset());
        byte[] header = new byte[(int) p.headerBytes()];
        FileBytes.read(channel, file, p.headerOffset(), ByteBuffer.wrap(header));
        check(CheckpointFormat.checksum(header) == p.headerCrc(), "the header's checksum is wrong");
        Map<String, Object> root = Json.asObject(Json.parse(header), "the header");
        readTensors(Json.list(root, "tensors"), p.headerOffset());
        return Json.object(root, "meta");
    }

    /** Tensors must lie in the order of the list, aligned, without overlap, all before {@code limit}. */
    private void readTensors(List<Object> list, long limit) throws IOException {
        long end = CheckpointFormat.PREAMBLE_BYTES;
        for (Object item : list) {
            Map<String, Object> entry = Json.asObject(item, "a tensor");
            Tensor t = tensor(entry);
            check(t.offset == CheckpointFormat.aligned(end), "tensor " + t.name + ": offset " + t.offset);
            check(t.bytes >= 0 && t.bytes <= limit - t.offset, "tensor " + t.name + ": bytes " + t.bytes);
            check(tensors.put(t.name, t) == null, "tensor " + t.name + " is there twice");
            end = t.offset + t.bytes;
        }
        check(end == limit, "tensors end at " + end + ", the header starts at " + limit);
    }

    private Tensor tensor(Map<String, Object> entry) throws IOException {
        String name = Json.string(entry, "name");
        check(name.length() <= SafetensorsReader.LONGEST_NAME, "tensor " + Json.brief(name) + ": a name of " + name.length() + " characters");
        List<Long> shape = new ArrayList<>();
        for (Object dimension : Json.list(entry, "shape")) {
            check(dimension instanceof Long d && d >= 0, "tensor " + name + ": shape " + Json.brief(entry.get("shape")));
            shape.add((Long) dimension);
        }
        long crc = Json.integer(entry, "crc32c");
        check(crc == (crc & 0xffffffffL), "tensor " + name + ": crc32c " + crc);
        return new Tensor(
                name,
                Json.string(entry, "encoding"),
                List.copyOf(shape),
                Json.integer(entry, "offset"),
                Json.integer(entry, "bytes"),
                (int) crc);
    }

    private void check(boolean fine, String fault) throws CheckpointException {
        if (!fine) {
            throw fault(fault, null);
        }
    }

    private CheckpointException fault(String fault, Throwable cause) {
        return new CheckpointException(file, fault, REMEDY, cause);
    }

    private CheckpointException mismatch(String fault) {
        return new CheckpointException(file, fault, "use it with the configuration that wrote it");
    }

    @Override
    public void close() throws CheckpointException {
        try {
            channel.close();
        } catch (IOException e) {
            throw fault("cannot be closed (" + e.getMessage() + ")", e);
        }
    }
}
