package io.sterna.io;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Keys and values of a GGUF file that is to be written, in the order of the calls. Not thread-safe. */
public final class GgufMetadata {
    static final int U32 = 4;
    static final int I32 = 5;
    static final int F32 = 6;
    static final int BOOL = 7;
    static final int STRING = 8;
    static final int ARRAY = 9;

    private final Set<String> keys = new HashSet<>();
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    /** Adds an unsigned integer of 32 bits. */
    public GgufMetadata u32(String key, int value) {
        if (value < 0) {
            throw new IllegalArgumentException("key " + key + ": " + value + " is negative");
        }
        key(key, U32);
        int32(value);
        return this;
    }

    /** Adds a single-precision number. */
    public GgufMetadata f32(String key, float value) {
        key(key, F32);
        int32(Float.floatToRawIntBits(value));
        return this;
    }

    /** Adds a truth value. */
    public GgufMetadata bool(String key, boolean value) {
        key(key, BOOL);
        bytes.write(value ? 1 : 0);
        return this;
    }

    /** Adds a text. */
    public GgufMetadata string(String key, String value) {
        key(key, STRING);
        text(value);
        return this;
    }

    /** Adds an array of texts. */
    public GgufMetadata strings(String key, List<String> values) {
        array(key, STRING, values.size());
        values.forEach(this::text);
        return this;
    }

    /** Adds an array of signed integers of 32 bits. */
    public GgufMetadata i32s(String key, int... values) {
        array(key, I32, values.length);
        for (int value : values) {
            int32(value);
        }
        return this;
    }

    /** Adds an array of single-precision numbers. */
    public GgufMetadata f32s(String key, float... values) {
        array(key, F32, values.length);
        for (float value : values) {
            int32(Float.floatToRawIntBits(value));
        }
        return this;
    }

    int count() {
        return keys.size();
    }

    byte[] toBytes() {
        return bytes.toByteArray();
    }

    private void key(String key, int type) {
        if (!keys.add(key)) {
            throw new IllegalArgumentException("key " + key + ": is there twice");
        }
        text(key);
        int32(type);
    }

    private void array(String key, int type, int count) {
        key(key, ARRAY);
        int32(type);
        int64(count);
    }

    private void text(String value) {
        byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
        int64(utf8.length);
        bytes.writeBytes(utf8);
    }

    private void int32(int value) {
        bytes.writeBytes(ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
    }

    private void int64(long value) {
        bytes.writeBytes(ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
    }
}
