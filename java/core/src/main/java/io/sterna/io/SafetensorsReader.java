package io.sterna.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads a safetensors file and trusts nothing in it: sizes, shapes and offsets are checked before anything is
 * allocated for them, and tensors must fill the file without gap or overlap. Not thread-safe.
 */
public final class SafetensorsReader implements AutoCloseable {
    /** Larger headers are refused unread, as the format's own reader does; what they become in memory is bounded too. */
    private static final long MAX_HEADER_BYTES = 100_000_000;
    /** Names and shapes of tensors keep far from these; errors say them whole. */
    static final int LONGEST_NAME = 500;
    private static final int MOST_SIZES = 64;
    private static final String METADATA = "__metadata__";
    private static final Map<String, Integer> DTYPES = Map.ofEntries(
            Map.entry("BOOL", 1), Map.entry("U8", 1), Map.entry("I8", 1), Map.entry("F8_E4M3", 1), Map.entry("F8_E5M2", 1),
            Map.entry("U16", 2), Map.entry("I16", 2), Map.entry("F16", 2), Map.entry("BF16", 2),
            Map.entry("U32", 4), Map.entry("I32", 4), Map.entry("F32", 4),
            Map.entry("U64", 8), Map.entry("I64", 8), Map.entry("F64", 8));

    private final Path file;
    private final FileChannel channel;
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    /** A tensor: its bytes lie from {@code offset} of the file on. */
    public record Tensor(String name, String dtype, List<Long> shape, long offset, long bytes) {}

    /**
     * Opens a file and checks its header.
     *
     * @throws SafetensorsException when anything in it is not as the format says
     */
    public SafetensorsReader(Path file) throws IOException {
        this.file = file;
        this.channel = FileChannel.open(file, StandardOpenOption.READ);
        try {
            readHeader();
        } catch (JsonException e) {
            channel.close();
            throw new SafetensorsException(file, "header: " + e.getMessage(), e);
        } catch (IOException | RuntimeException | Error e) {
            channel.close();
            throw e;
        }
    }

    /** The tensors by name. */
    public Map<String, Tensor> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    /**
     * Reads bytes of a tensor.
     *
     * @param from   first byte, within the tensor
     * @param target receives as many bytes as it has, which the tensor must hold
     * @throws IllegalArgumentException for bytes that are not the tensor's
     * @throws IOException when the file cannot be read
     */
    public void read(Tensor tensor, long from, MemorySegment target) throws IOException {
        if (from < 0 || target.byteSize() > tensor.bytes - from) {
            throw new IllegalArgumentException("tensor " + tensor.name + ": bytes " + from + " to " + (from + target.byteSize())
                    + " are not within its " + tensor.bytes);
        }
        FileBytes.read(channel, file, tensor.offset + from, target);
    }

    private void readHeader() throws IOException {
        long size = FileBytes.size(channel, file);
        check(size >= Long.BYTES, "size " + size + " is less than a header's");
        ByteBuffer start = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        FileBytes.read(channel, file, 0, start);
        long headerBytes = start.getLong(0);
        check(headerBytes >= 2 && headerBytes <= Math.min(MAX_HEADER_BYTES, size - Long.BYTES), "header bytes " + headerBytes);
        byte[] header = new byte[(int) headerBytes];
        FileBytes.read(channel, file, Long.BYTES, ByteBuffer.wrap(header));
        Map<String, Object> fields = Json.asObject(Json.parse(header), "the header");
        check(header[0] == '{', "the header begins with white space, byte " + header[0] + ", expected a brace");
        List<Tensor> list = new ArrayList<>();
        for (Map.Entry<String, Object> entry : fields.entrySet()) {
            if (entry.getKey().equals(METADATA)) {
                checkMetadata(entry.getValue());
            } else {
                list.add(tensor(entry.getKey(), Json.asObject(entry.getValue(), "tensor " + Json.brief(entry.getKey())), Long.BYTES + headerBytes, size));
            }
        }
        list.sort(Comparator.comparingLong(Tensor::offset).thenComparingLong(Tensor::bytes));
        long end = Long.BYTES + headerBytes;
        for (Tensor tensor : list) {
            check(tensor.offset == end, "tensor " + tensor.name + ": starts at " + tensor.offset + ", the one before ends at " + end);
            end += tensor.bytes;
            tensors.put(tensor.name, tensor);
        }
        check(end == size, "tensors end at " + end + ", the file at " + size);
    }

    /** Texts by name, which say nothing of the tensors. */
    private void checkMetadata(Object value) throws IOException {
        if (value == null) {
            return;
        }
        for (Map.Entry<String, Object> text : Json.asObject(value, METADATA).entrySet()) {
            check(text.getValue() instanceof String,
                    METADATA + ": field " + Json.brief(text.getKey()) + " is not a string but " + Json.brief(text.getValue()));
        }
    }

    private Tensor tensor(String name, Map<String, Object> fields, long start, long size) throws IOException {
        check(name.length() <= LONGEST_NAME, "tensor " + Json.brief(name) + ": a name of " + name.length() + " characters");
        String dtype = Json.string(fields, "dtype");
        Integer width = DTYPES.get(dtype);
        check(width != null, "tensor " + name + ": dtype " + Json.brief(dtype));
        List<Object> shape = Json.list(fields, "shape");
        List<Object> offsets = Json.list(fields, "data_offsets");
        check(offsets.size() == 2 && offsets.get(0) instanceof Long && offsets.get(1) instanceof Long,
                "tensor " + name + ": data_offsets " + Json.brief(offsets));
        long begin = (Long) offsets.get(0);
        long end = (Long) offsets.get(1);
        check(0 <= begin && begin <= end && end <= size - start, "tensor " + name + ": data_offsets " + Json.brief(offsets));
        check(shape.size() <= MOST_SIZES, "tensor " + name + ": shape " + Json.brief(shape));
        long bytes = width;
        List<Long> dimensions = new ArrayList<>();
        for (Object dimension : shape) {
            check(dimension instanceof Long d && d >= 0 && (d == 0 || bytes <= Long.MAX_VALUE / d), "tensor " + name + ": shape " + Json.brief(shape));
            bytes *= (Long) dimension;
            dimensions.add((Long) dimension);
        }
        check(bytes == end - begin, "tensor " + name + ": shape " + Json.brief(shape) + " of " + dtype + " takes " + bytes
                + " bytes, data_offsets " + Json.brief(offsets));
        return new Tensor(name, dtype, List.copyOf(dimensions), start + begin, bytes);
    }

    private void check(boolean condition, String fault) throws SafetensorsException {
        if (!condition) {
            throw new SafetensorsException(file, fault, null);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
