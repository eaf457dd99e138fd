package io.sterna.io;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Element types of GGUF tensors: floats, and blocks of small integers q that share a scale d in half precision, some of
 * them also an m that is added or subtracted. A block of a K type is made of sub-blocks, each with an integer s of its own
 * by which d is multiplied, and in most types another, t, for m. Blocks never cross rows. The arithmetic of the integers
 * is that of ggml's reference quantizers. Some types are {@link #written}, the others only read.
 */
public enum GgufType {
    /** Single precision. */
    F32(0, 1, 4),
    /** Half precision: magnitudes up to 65504. */
    F16(1, 1, 2),
    /** 32 weights d * (q - 8), q in 4 bits; -8 d is the weight of largest magnitude. */
    Q4_0(2, 32, 18),
    /** 32 weights d * q + m, q in 4 bits. */
    Q4_1(3, 32, 20),
    /** 32 weights d * (q - 16), q in 5 bits. */
    Q5_0(6, 32, 22),
    /** 32 weights d * q + m, q in 5 bits. */
    Q5_1(7, 32, 24),
    /** 32 weights d * q, q in 8 bits; 127 d is the largest magnitude. */
    Q8_0(8, 32, 34),
    /** 16 times 16 weights d * s * q - m * t, q in 2 bits, s and t in 4. */
    Q2_K(10, 256, 84),
    /** 16 times 16 weights d * (s - 32) * (q - 4), q in 3 bits, s in 6. */
    Q3_K(11, 256, 110),
    /** 8 times 32 weights d * s * q - m * t, q in 4 bits, s and t in 6. */
    Q4_K(12, 256, 144),
    /** 8 times 32 weights d * s * q - m * t, q in 5 bits, s and t in 6. */
    Q5_K(13, 256, 176),
    /** 16 times 16 weights d * s * (q - 32), q in 6 bits, s in 8 with a sign. */
    Q6_K(14, 256, 210),
    /** 32 weights d * v, v one of 16 integers that lie closer near zero. */
    IQ4_NL(20, 32, 18),
    /** 8 times 32 weights d * (s - 32) * v, v as in IQ4_NL, s in 6 bits. */
    IQ4_XS(23, 256, 136),
    /** The upper half of a single, rounded to nearest. */
    BF16(30, 1, 2),
    /** 256 weights d * {-1, 0, 1}, five trits a byte: 1.69 bits a weight. */
    TQ1_0(34, 256, 54),
    /** 256 weights d * {-1, 0, 1}, two bits each: 2.06 bits a weight. */
    TQ2_0(35, 256, 66);

    /** Those that models are written in, as texts list them. */
    private static final List<GgufType> WRITTEN = List.of(F32, F16, BF16, Q8_0, Q4_0, TQ1_0, TQ2_0);
    /** What ggml calls the types that are not here. */
    private static final Map<Integer, String> OTHERS = Map.ofEntries(Map.entry(9, "q8_1"), Map.entry(15, "q8_k"),
            Map.entry(16, "iq2_xxs"), Map.entry(17, "iq2_xs"), Map.entry(18, "iq3_xxs"), Map.entry(19, "iq1_s"),
            Map.entry(21, "iq3_s"), Map.entry(22, "iq2_s"), Map.entry(24, "i8"), Map.entry(25, "i16"),
            Map.entry(26, "i32"), Map.entry(27, "i64"), Map.entry(28, "f64"), Map.entry(29, "iq1_m"), Map.entry(39, "mxfp4"),
            Map.entry(40, "nvfp4"), Map.entry(41, "q1_0"));

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

    /** Whether models are written in it; the other types are only read. */
    public boolean written() {
        return WRITTEN.contains(this);
    }

    /** Bytes of so many weights, a multiple of {@link #block}. */
    public long bytes(long weights) {
        return weights / block * blockBytes;
    }

    /** The type of that number, or null. */
    static GgufType ofCode(int code) {
        return Arrays.stream(values()).filter(type -> type.code == code).findAny().orElse(null);
    }

    /** What a number stands for that is no type of these: its name, or the number itself. */
    static String otherName(int code) {
        return OTHERS.getOrDefault(code, Integer.toUnsignedString(code));
    }

    /** The names of all types, for messages. */
    static String names() {
        return names(List.of(values()));
    }

    /** The type written f32, f16, bf16, q8_0, q4_0, tq1_0 or tq2_0; else an {@link IllegalArgumentException}. */
    public static GgufType parse(String text) {
        return WRITTEN.stream().filter(type -> type.toString().equals(text)).findAny()
                .orElseThrow(() -> new IllegalArgumentException("type \"" + text + "\": expected one of " + names(WRITTEN)));
    }

    private static String names(List<GgufType> types) {
        return types.stream().map(GgufType::toString).collect(Collectors.joining(", "));
    }

    /**
     * Appends weights to a little-endian buffer.
     *
     * @param x     holds {@code count} weights, whole blocks
     * @param bytes has {@link #bytes bytes(count)} left
     * @throws IllegalArgumentException for a weight that the type cannot hold: not finite, beyond half precision, or
     *     none of a ternary block's three
     * @throws UnsupportedOperationException for a type that is not {@link #written}
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
                default -> throw new UnsupportedOperationException("type " + this + " is only read");
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
                case Q4_1 -> GgufBlocks.decodeQ41(bytes, x, at);
                case Q5_0 -> GgufBlocks.decodeQ5(bytes, x, at);
                case Q5_1 -> GgufBlocks.decodeQ51(bytes, x, at);
                case Q2_K -> GgufSuperBlocks.decodeQ2(bytes, x, at);
                case Q3_K -> GgufSuperBlocks.decodeQ3(bytes, x, at);
                case Q4_K -> GgufSuperBlocks.decodeQ4(bytes, x, at);
                case Q5_K -> GgufSuperBlocks.decodeQ5(bytes, x, at);
                case Q6_K -> GgufSuperBlocks.decodeQ6(bytes, x, at);
                case IQ4_NL -> GgufBlocks.decodeIq4(bytes, x, at);
                case IQ4_XS -> GgufSuperBlocks.decodeIq4(bytes, x, at);
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
