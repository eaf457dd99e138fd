package io.sterna.tensor;

import java.util.Locale;

/** Element type of a float matrix. */
public enum FloatType {
    /** IEEE 754 single precision. */
    F32(0, 4),
    /** The upper half of a single: 8 bits of exponent, 7 of mantissa. */
    BF16(1, 2);

    private final int code;
    private final int bytes;

    FloatType(int code, int bytes) {
        this.code = code;
        this.bytes = bytes;
    }

    /** The native constant. */
    public int code() {
        return code;
    }

    /** Bytes of an element. */
    public int bytes() {
        return bytes;
    }

    /** The type written {@code f32} or {@code bf16}; anything else is an {@link IllegalArgumentException}. */
    public static FloatType parse(String text) {
        return parse("float type", text);
    }

    /** The same; the exception names the setting. */
    public static FloatType parse(String setting, String text) {
        return TypeNames.parse(setting, text, values());
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
