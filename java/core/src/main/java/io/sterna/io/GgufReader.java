package io.sterna.io;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Reads a GGUF file, version 2 or 3, little-endian, and trusts nothing in it: counts, lengths, shapes and offsets are
 * checked against the bytes of the file before anything is allocated for them, and tensors must follow each other
 * without gap or overlap. Arrays of the metadata stay in the file until they are asked for. Not thread-safe.
 */
public final class GgufReader implements AutoCloseable {
    private static final int HEADER_BYTES = 24;
    private static final int MIN_KEY_BYTES = 8 + 1 + 4 + 1;
    private static final int MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8;
    private static final int MAX_COUNT = 1 << 16;
    private static final int MAX_KEY = 65535;
    private static final int MAX_TEXT = 1 << 20;
    /** What the texts of an array may take in memory beside the file's own length, and what each takes. */
    private static final long ROOM = 48L << 20;
    private static final int TEXT_BYTES = 200;
    private static final int MAX_DEPTH = 4;
    private static final int MAX_DIMENSIONS = 4;
    private static final int MAX_ALIGNMENT = 1 << 20;
    private static final String ALIGNMENT_KEY = "general.alignment";
    /** Bytes of a value by the number of its type; 0: text and array, which say their length. */
    private static final int[] SIZES = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    private static final int U64 = 10;

    private final Path file;
    private final FileChannel channel;
    private final Map<String, Object> metadata = new LinkedHashMap<>();
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    /**
     * A tensor: its bytes lie from {@code offset} of the file on.
     *
     * @param shape sizes, outermost first
     */
    public record Tensor(String name, GgufType type, List<Long> shape, long offset) {
        /** Number of weights. */
        public long size() {
            return shape.stream().reduce(1L, (a, b) -> a * b);
        }
    }

    /** An array of the metadata: {@code count} values of a type, from {@code offset} of the file on. */
    private record Array(int type, long count, long offset) {
        @Override
        public String toString() {
            return "array of " + count;
        }
    }

    /**
     * Opens a file and checks its header.
     *
     * @throws GgufException when anything in it is not as the format says, or a tensor's type is not of
     *     {@link GgufType}
     */
    public GgufReader(Path file) throws IOException {
        this.file = file;
        this.channel = FileChannel.open(file, StandardOpenOption.READ);
        try {
            readHeader(new Cursor(0));
        } catch (IOException | RuntimeException | Error e) {
            channel.close();
            throw e;
        }
    }

    // The file as its reader sees it

    /** The tensors by name, in the order of the file. */
    public Map<String, Tensor> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    /** Keys and values: String, Boolean, Long or BigInteger, Float, Double; arrays print as their length. */
    public Map<String, Object> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /**
     * A text.
     *
     * @throws GgufException when the key is missing, or its value is no text
     */
    public String string(String key) throws GgufException {
        return value(key, String.class, "a text");
    }

    /**
     * An integer of any width.
     *
     * @throws GgufException when the key is missing, or its value is no integer below 2^63
     */
    public long integer(String key) throws GgufException {
        return value(key, Long.class, "an integer");
    }

    /**
     * A number of floating point; single precision becomes the shortest decimal that stands for it.
     *
     * @throws GgufException when the key is missing, or its value is no number
     */
    public double number(String key) throws GgufException {
        Object value = value(key, Number.class, "a number");
        return Double.parseDouble(value.toString());
    }

    /**
     * An array of texts.
     *
     * @throws GgufException when the key is missing, its value is something else, or the texts would take too much
     *     memory
     * @throws IOException when the file cannot be read
     */
    public List<String> strings(String key) throws IOException {
        Array array = array(key, GgufMetadata.STRING, "texts");
        Cursor cursor = new Cursor(array.offset);
        check(array.count <= (cursor.end + ROOM) / TEXT_BYTES, "key " + key + ": " + array.count + " texts take too much memory");
        List<String> list = new ArrayList<>();
        for (long i = 0; i < array.count; i++) {
            list.add(cursor.text("key " + key, MAX_TEXT));
        }
        return list;
    }

    /**
     * An array of signed integers of 32 bits.
     *
     * @throws GgufException when the key is missing, or its value is something else
     * @throws IOException when the file cannot be read
     */
    public int[] i32s(String key) throws IOException {
        return words(key, GgufMetadata.I32, "32-bit integers");
    }

    /**
     * An array of single-precision numbers.
     *
     * @throws GgufException when the key is missing, or its value is something else
     * @throws IOException when the file cannot be read
     */
    public float[] f32s(String key) throws IOException {
        int[] words = words(key, GgufMetadata.F32, "single-precision numbers");
        float[] values = new float[words.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.intBitsToFloat(words[i]);
        }
        return values;
    }

    private int[] words(String key, int type, String what) throws IOException {
        Array array = array(key, type, what);
        check(array.count <= Integer.MAX_VALUE / Integer.BYTES, "key " + key + ": " + array + " values");
        Cursor cursor = new Cursor(array.offset);
        int[] words = new int[(int) array.count];
        for (int i = 0; i < words.length; i++) {
            words[i] = cursor.i32("key " + key);
        }
        return words;
    }

    private Array array(String key, int type, String what) throws GgufException {
        Array array = value(key, Array.class, "an array");
        if (array.type != type) {
            throw new GgufException(file, "key " + key + ": an array of type " + array.type + ", not of " + what);
        }
        return array;
    }

    private <T> T value(String key, Class<T> type, String what) throws GgufException {
        Object value = metadata.get(key);
        if (!type.isInstance(value)) {
            throw new GgufException(file, brief(key) + (value == null ? "" : " is not " + what), "convert the model anew", null);
        }
        return type.cast(value);
    }

    /** A key and its value for an error: on one line, cut when they are long. */
    public String brief(String key) {
        Object value = metadata.get(key);
        String text = value instanceof String || value == null ? Json.brief(value) : value.toString(); // numbers may be NaN
        return "key " + name(key) + (value == null ? " is missing" : ": " + text);
    }

    private static String name(String key) {
        String json = Json.brief(key);
        return json.substring(1, json.endsWith("\"") ? json.length() - 1 : json.length());
    }

    /**
     * Reads weights of a tensor.
     *
     * @param from  index of the first one, a multiple of the type's block
     * @param count weights, whole blocks
     * @param x     receives them
     * @throws GgufException for codes that the type does not have, and for weights that are not finite
     */
    public void read(Tensor tensor, long from, int count, float[] x) throws IOException {
        GgufType type = tensor.type;
        if (from < 0 || from > tensor.size() - count || from % type.block() != 0 || count % type.block() != 0) {
            throw new IllegalArgumentException("tensor " + tensor.name + ": weights " + from + " to " + (from + count)
                    + " are not whole blocks within its " + tensor.size());
        }
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(type.bytes(count))).order(ByteOrder.LITTLE_ENDIAN);
        FileBytes.read(channel, file, tensor.offset + type.bytes(from), bytes);
        try {
            type.decode(bytes.flip(), x, count);
        } catch (IllegalArgumentException e) {
            throw new GgufException(file, "tensor " + tensor.name + ": " + e.getMessage(), "the file is damaged: fetch it again", e);
        }
        for (int i = 0; i < count; i++) {
            check(Float.isFinite(x[i]), "tensor " + tensor.name + ": weight " + (from + i) + " is " + x[i]);
        }
    }

    // The header

    private void readHeader(Cursor cursor) throws IOException {
        check(cursor.end >= HEADER_BYTES, "size " + cursor.end + " is less than a header's");
        int magic = cursor.i32("magic");
        if (magic != GgufWriter.MAGIC) {
            throw new GgufException(file, String.format(Locale.ROOT, "magic %08x, expected %08x", magic, GgufWriter.MAGIC),
                    "this is no GGUF file; of a model of transformers name the folder", null);
        }
        int version = cursor.i32("version");
        if (version != 2 && version != GgufWriter.VERSION) {
            boolean bigEndian = version != 0 && (version & 0xffff) == 0;
            throw new GgufException(file, "version " + Integer.toUnsignedString(version) + (bigEndian ? ", big-endian" : ""),
                    "expected 2 or 3, little-endian: convert the model anew", null);
        }
        long tensorCount = cursor.count("tensors", MIN_TENSOR_BYTES, MAX_COUNT);
        long keyCount = cursor.count("keys", MIN_KEY_BYTES, MAX_COUNT);
        for (long i = 0; i < keyCount; i++) {
            readKey(cursor, i);
        }
        long alignment = alignment();
        List<Unplaced> list = new ArrayList<>();
        for (long i = 0; i < tensorCount; i++) {
            list.add(unplaced(cursor, i));
        }
        place(list, cursor, alignment);
    }

    private void readKey(Cursor cursor, long index) throws IOException {
        String key = cursor.text("key " + index, MAX_KEY);
        String what = "key " + name(key);
        check(!key.isEmpty(), "key " + index + ": has no name");
        check(!metadata.containsKey(key), what + ": is there twice");
        metadata.put(key, value(cursor, cursor.i32(what), what, 0));
    }

    private Object value(Cursor cursor, int type, String what, int depth) throws IOException {
        return switch (type) {
            case 0 -> cursor.number(1, what) & 0xffL;
            case 1 -> (long) (byte) cursor.number(1, what);
            case 2 -> cursor.number(2, what) & 0xffffL;
            case 3 -> (long) (short) cursor.number(2, what);
            case GgufMetadata.U32 -> Integer.toUnsignedLong(cursor.i32(what));
            case GgufMetadata.I32 -> (long) cursor.i32(what);
            case GgufMetadata.F32 -> Float.intBitsToFloat(cursor.i32(what));
            case GgufMetadata.BOOL -> {
                long value = cursor.number(1, what) & 0xff;
                check(value <= 1, what + ": truth value " + value);
                yield value == 1;
            }
            case GgufMetadata.STRING -> cursor.text(what, MAX_TEXT);
            case GgufMetadata.ARRAY -> array(cursor, what, depth);
            case U64 -> {
                long value = cursor.i64(what);
                yield value >= 0 ? (Object) value : new BigInteger(Long.toUnsignedString(value));
            }
            case 11 -> cursor.i64(what);
            case 12 -> Double.longBitsToDouble(cursor.i64(what));
            default -> throw new GgufException(file, what + ": value type " + Integer.toUnsignedString(type));
        };
    }

    /** Steps over an array. */
    private Array array(Cursor cursor, String what, int depth) throws IOException {
        check(depth < MAX_DEPTH, what + ": arrays lie more than " + MAX_DEPTH + " deep");
        int type = cursor.i32(what);
        check(type >= 0 && type < SIZES.length, what + ": array of type " + Integer.toUnsignedString(type));
        int size = type == GgufMetadata.STRING ? Long.BYTES : type == GgufMetadata.ARRAY ? Integer.BYTES + Long.BYTES : SIZES[type];
        long count = cursor.count(what + ": values", size, Long.MAX_VALUE);
        Array array = new Array(type, count, cursor.position);
        switch (type) {
            case GgufMetadata.STRING -> {
                for (long i = 0; i < count; i++) {
                    cursor.skip(cursor.length(what, MAX_TEXT));
                }
            }
            case GgufMetadata.ARRAY -> {
                for (long i = 0; i < count; i++) {
                    array(cursor, what, depth + 1);
                }
            }
            default -> cursor.skip(count * size);
        }
        return array;
    }

    private long alignment() throws GgufException {
        if (!metadata.containsKey(ALIGNMENT_KEY)) {
            return GgufWriter.ALIGNMENT;
        }
        long alignment = integer(ALIGNMENT_KEY);
        check(alignment >= 8 && alignment <= MAX_ALIGNMENT && Long.bitCount(alignment) == 1,
                "key " + ALIGNMENT_KEY + ": " + alignment + " is no power of two from 8 to " + MAX_ALIGNMENT);
        return alignment;
    }

    /** A tensor as the header describes it, its offset one from the end of the header. */
    private record Unplaced(String name, GgufType type, List<Long> shape, long bytes, long offset) {}

    private Unplaced unplaced(Cursor cursor, long index) throws IOException {
        String name = cursor.text("tensor " + index + ": name", GgufWriter.MAX_NAME - 1);
        String what = "tensor " + name;
        check(!name.isEmpty(), "tensor " + index + ": has no name");
        int dimensions = cursor.i32(what);
        check(dimensions >= 1 && dimensions <= MAX_DIMENSIONS, what + ": dimensions " + Integer.toUnsignedString(dimensions));
        List<Long> shape = new ArrayList<>();
        long size = 1;
        for (int i = 0; i < dimensions; i++) {
            long n = cursor.i64(what);
            check(n > 0 && n <= Long.MAX_VALUE / 8 / size, what + ": dimension " + i + " of " + Long.toUnsignedString(n));
            size *= n;
            shape.addFirst(n);
        }
        int code = cursor.i32(what);
        GgufType type = GgufType.ofCode(code);
        if (type == null) {
            throw new GgufException(file, what + ": type " + GgufType.otherName(code), "expected one of " + GgufType.names()
                    + ": convert the model, say by llama-quantize --allow-requantize to q8_0", null);
        }
        check(shape.getLast() % type.block() == 0, what + ": rows of " + shape.getLast() + " are not whole blocks of "
                + type.block());
        return new Unplaced(name, type, List.copyOf(shape), type.bytes(size), cursor.i64(what));
    }

    private void place(List<Unplaced> list, Cursor cursor, long alignment) throws GgufException {
        long start = aligned(cursor.position, alignment);
        long end = start;
        long offset = 0;
        for (Unplaced tensor : list) {
            check(tensor.offset == offset, "tensor " + tensor.name + ": offset " + Long.toUnsignedString(tensor.offset)
                    + ", expected " + offset + " behind the one before");
            check(tensor.bytes <= cursor.end - start - offset, "tensor " + tensor.name + ": " + tensor.type + " " + tensor.shape
                    + " needs " + tensor.bytes + " bytes, the file has " + Math.max(0, cursor.end - start - offset) + " left");
            Tensor placed = new Tensor(tensor.name, tensor.type, tensor.shape, start + offset);
            check(tensors.put(tensor.name, placed) == null, "tensor " + tensor.name + ": is there twice");
            end = start + offset + tensor.bytes;
            offset = aligned(offset + tensor.bytes, alignment);
        }
        check(cursor.end <= aligned(end, alignment), "tensors end at " + end + ", the file at " + cursor.end);
    }

    private static long aligned(long offset, long alignment) {
        return offset + alignment - 1 & -alignment;
    }

    private void check(boolean condition, String fault) throws GgufException {
        if (!condition) {
            throw new GgufException(file, fault);
        }
    }

    /** Reads the header's values one after the other. */
    private final class Cursor {
        private final long end;
        private final ByteBuffer buffer = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN).limit(0);
        private long position;

        Cursor(long position) throws IOException {
            this.position = position;
            this.end = FileBytes.size(channel, file);
        }

        /** Makes up to 8 bytes available. */
        private void need(int bytes, String what) throws IOException {
            require(bytes, what);
            if (buffer.remaining() < bytes) {
                buffer.clear().limit((int) Math.min(buffer.capacity(), end - position));
                FileBytes.read(channel, file, position, buffer);
                buffer.flip();
            }
            position += bytes;
        }

        private void require(long bytes, String what) throws GgufException {
            check(bytes <= end - position, what + ": needs " + bytes + " bytes at " + position + ", the file ends at " + end);
        }

        int i32(String what) throws IOException {
            need(Integer.BYTES, what);
            return buffer.getInt();
        }

        long i64(String what) throws IOException {
            need(Long.BYTES, what);
            return buffer.getLong();
        }

        long number(int bytes, String what) throws IOException {
            need(bytes, what);
            return bytes == 1 ? buffer.get() : buffer.getShort();
        }

        /** How many things follow, of at least {@code bytes} each. */
        long count(String what, int bytes, long max) throws IOException {
            long count = i64(what);
            check(count >= 0 && count <= Math.min(max, (end - position) / bytes), what + ": " + Long.toUnsignedString(count)
                    + " do not fit the file's " + end + " bytes or exceed " + max);
            return count;
        }

        int length(String what, int max) throws IOException {
            long length = i64(what);
            check(length >= 0 && length <= Math.min(max, end - position), what + ": text of " + Long.toUnsignedString(length)
                    + " bytes at " + position + " does not fit the file or exceeds " + max);
            return (int) length;
        }

        String text(String what, int max) throws IOException {
            byte[] utf8 = new byte[length(what, max)];
            long start = position;
            skip(utf8.length);
            FileBytes.read(channel, file, start, ByteBuffer.wrap(utf8));
            try {
                return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
            } catch (CharacterCodingException e) {
                throw new GgufException(file, what + ": text at " + start + " is not UTF-8", "the file is damaged: fetch it again", e);
            }
        }

        void skip(long bytes) throws GgufException {
            require(bytes, "value");
            position += bytes;
            buffer.position((int) Math.min(buffer.limit(), buffer.position() + Math.min(bytes, buffer.limit())));
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
