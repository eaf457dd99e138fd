package io.sterna.io;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Element types of GGUF tensors: floats, and blocks of small integers that share a scale d in half precision.
 * Blocks never cross rows. The arithmetic of the integers is that of ggml's reference quantizers.
 */
public enum GgufType {
    /** Single precision. */
    F32(0, 1, 4),
    /** Half precision: magnitudes up to 65504. */
    F16(1, 1, 2),
    /** 32 weights d * (q - 8), q in 4 bits; -8 d is the weight of largest magnitude. */
    Q4_0(2, 32, 18),
    /** 32 weights d * q, q in 8 bits; 127 d is the largest magnitude. */
    Q8_0(8, 32, 34),
    /** The upper half of a single, rounded to nearest. */
    BF16(30, 1, 2),
    /** 256 weights d * {-1, 0, 1}, five trits a byte: 1.69 bits a weight. */
    TQ1_0(34, 256, 54),
    /** 256 weights d * {-1, 0, 1}, two bits each: 2.06 bits a weight. */
    TQ2_0(35, 256, 66);

    private final int code;
    private final int block;
    private final int blockBytes;

    GgufType(int code, int block, int blockBytes) {
        this.code = code;
        this.block = block;
        this.blockBytes = blockBytes;
    }

    /** The number that stands for the type in a file. */
    public int code() {
        return code;
    }

    /** Weights of a block; 1 for floats. */
    public int block() {
        return block;
    }

    /** Bytes of a block. */
    public int blockBytes() {
        return blockBytes;
    }

    /** Whether the type holds -d, 0 and d alone. */
    public boolean ternary() {
        return this == TQ1_0 || this == TQ2_0;
    }

    /** Bytes of so many weights, a multiple of {@link #block}. */
    public long bytes(long weights) {
        return weights / block * blockBytes;
    }

    /** The type of that number, or null. */
    static GgufType ofCode(int code) {
        return Arrays.stream(values()).filter(type -> type.code == code).findAny().orElse(null);
    }

    /** The type written f32, f16, bf16, q8_0, q4_0, tq1_0 or tq2_0; else an {@link IllegalArgumentException}. */
    public static GgufType parse(String text) {
        return Arrays.stream(values()).filter(type -> type.toString().equals(text)).findAny()
                .orElseThrow(() -> new IllegalArgumentException("type \"" + text + "\": expected one of " + names()));
    }

    private static String names() {
        return List.of(F32, F16, BF16, Q8_0, Q4_0, TQ1_0, TQ2_0).stream().map(GgufType::toString).collect(Collectors.joining(", "));
    }

    /**
     * Appends weights to a little-endian buffer.
     *
     * @param x     holds {@code count} weights, whole blocks
     * @param bytes has {@link #bytes bytes(count)} left
     * @throws IllegalArgumentException for a weight that the type cannot hold: not finite, beyond half precision, or
     *     none of a ternary block's three
     */
    public void encode(float[] x, int count, ByteBuffer bytes) {
        for (int at = 0; at < count; at += block) {
            switch (this) {
                case F32 -> bytes.putFloat(x[at]);
                case F16 -> bytes.putShort(GgufBlocks.half(x[at]));
                case BF16 -> bytes.putShort(GgufBlocks.bf16(x[at]));
                case Q8_0 -> GgufBlocks.encodeQ8(x, at, bytes);
                case Q4_0 -> GgufBlocks.encodeQ4(x, at, bytes);
                case TQ1_0 -> GgufBlocks.encodeTq1(x, at, bytes);
                case TQ2_0 -> GgufBlocks.encodeTq2(x, at, bytes);
            }
        }
    }

    /**
     * Reads weights from a little-endian buffer.
     *
     * @param bytes holds {@code count} weights, whole blocks
     * @param x     receives them
     * @throws IllegalArgumentException for a code that the type does not have
     */
    public void decode(ByteBuffer bytes, float[] x, int count) {
        for (int at = 0; at < count; at += block) {
            switch (this) {
                case F32 -> x[at] = bytes.getFloat();
                case F16 -> x[at] = Float.float16ToFloat(bytes.getShort());
                case BF16 -> x[at] = Float.intBitsToFloat(bytes.getShort() << 16);
                case Q8_0 -> GgufBlocks.decodeQ8(bytes, x, at);
                case Q4_0 -> GgufBlocks.decodeQ4(bytes, x, at);
                case TQ1_0 -> GgufBlocks.decodeTq1(bytes, x, at);
                case TQ2_0 -> GgufBlocks.decodeTq2(bytes, x, at);
            }
        }
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
