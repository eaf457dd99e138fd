package io.sterna.tensor;

import java.util.Locale;

/** Element type of an optimizer moment. */
public enum StateType {
    /** IEEE 754 single precision. */
    F32(0, 4),
    /** The upper half of a single, written by stochastic rounding. */
    BF16(1, 2),
    /** Blocks of 64 columns share a scale; see the moment. */
    INT8(2, 1);

    private final int code;
    private final int bytes;

    StateType(int code, int bytes) {
        this.code = code;
        this.bytes = bytes;
    }

    /** The native constant. */
    public int code() {
        return code;
    }

    /** Bytes of an element, without scales. */
    public int bytes() {
        return bytes;
    }

    /** The type written {@code f32}, {@code bf16} or {@code int8}; anything else is an {@link IllegalArgumentException}, which names the setting. */
    public static StateType parse(String setting, String text) {
        return TypeNames.parse(setting, text, values());
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
