package io.sterna.nn;

import io.sterna.tensor.FloatType;
import java.util.Locale;

/** How the keys and values of a {@link KvCache} are kept. */
public enum CacheType {
    /** Computes as training does. */
    F32,
    /** Half the memory. */
    BF16,
    /** A byte each and a scale for each token and head, absmax / 127; a head's bytes are rounded up to a multiple of 64. */
    INT8;

    /** Floats of that type. */
    public static CacheType of(FloatType type) {
        return switch (type) {
            case F32 -> F32;
            case BF16 -> BF16;
        };
    }

    /** The type written {@code f32}, {@code bf16} or {@code int8}. */
    public static CacheType parse(String text) {
        for (CacheType type : values()) {
            if (type.toString().equals(text)) {
                return type;
            }
        }
        throw new IllegalArgumentException("cache \"" + text + "\": expected f32, bf16 or int8");
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
