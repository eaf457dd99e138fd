package io.sterna.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The types that are only read. Their blocks here are made by a formula that gives them codes and scales of all bits. */
class GgufReadTypesTest {
    private static final int BLOCKS = 8;
    /** Scales of the blocks: usual ones, the least, a subnormal, zeros of both signs, one and the largest. */
    private static final int[] HALVES = {0x2c3d, 0xa911, 0x0001, 0x83ff, 0x0000, 0x8000, 0x3c00, 0x7bff};
    private static final int[] IQ4_VALUES = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    /** What the gguf package of Python, 0.19.0, says of the same bytes: a hash of all weights, and two of four blocks. */
    @ParameterizedTest
    @CsvSource({
        "Q4_1, 2018440992, -0.0395813 0.15908813 -0.1187439 -0.1583252 -0.0006096959 -0.0004877448 917057.0 1.0",
        "Q5_0, -1048585215, 0.5960083 -0.5960083 0.1979065 -0.0 0.0009756088 0.0008536577 -851552.0 327520.0",
        "Q5_1, 691819192, 0.35775757 0.49020386 -0.9499512 -0.9499512 -0.0015853047 -0.00042676926 1.310081e+06 1.441089e+06",
        "Q2_K, 13945712, 0.5686035 1.0580444 -1.0686951 -0.7124634 -0.0001219511 -6.121397e-05 1.048064e+06 65503.0",
        "Q3_K, 2133039681, -2.9800415 -3.5760498 0.9103699 -4.749756 -0.0017073154 -0.00079268217 -0.0 1.899616e+06",
        "Q4_K, -679882689, 38.69638 1.7461548 -24.69873 -7.837097 -3.516674e-06 -0.034575462 3.0786868e+07 1.7293036e+07",
        "Q5_K, 309330796, 48.068848 7.940674 -0.9499512 -2.0582275 -0.006038904 -0.0100618005 3.013131e+06 7.153033e+07",
        "Q6_K, 958625385, 240.39001 47.018433 5.937195 -23.352966 0.00079268217 0.10756087 -1.6244992e+07 -4.58528e+07",
        "IQ4_NL, 399598209, -5.496521 -3.244934 0.395813 -4.472687 0.007743895 0.0021341443 5.829856e+06 -8.319008e+06",
        "IQ4_XS, 541383245, -6.6223145 -28.144836 25.134125 -26.83612 -0.09256089 -0.0067073107 5.449933e+07 8.51552e+06"
    })
    void weightsAreThoseOfTheReference(GgufType type, int hash, String weights) {
        float[] x = decode(type, blocks(type));
        String[] expected = weights.split(" ");
        int[] of = {0, 1, 3, 7};
        for (int k = 0; k < of.length; k++) {
            assertEquals(Float.parseFloat(expected[2 * k]), x[of[k] * type.block() + 4 * of[k]], "block " + of[k]);
            assertEquals(Float.parseFloat(expected[2 * k + 1]), x[(of[k] + 1) * type.block() - 1 - of[k]], "block " + of[k]);
        }
        assertEquals(hash, Arrays.hashCode(x));
    }

    /** A block as one long number, from which each weight takes its bits; exact, and rounded once. */
    @ParameterizedTest
    @CsvSource({"Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"})
    void weightsAreWhatTheFormatSays(GgufType type) {
        byte[] bytes = blocks(type);
        float[] expected = new float[BLOCKS * type.block()];
        for (int i = 0; i < expected.length; i++) {
            int from = i / type.block() * type.blockBytes();
            expected[i] = (float) new Block(Arrays.copyOfRange(bytes, from, from + type.blockBytes())).weight(type, i % type.block());
        }
        assertArrayEquals(expected, decode(type, bytes));
    }

    private static float[] decode(GgufType type, byte[] bytes) {
        float[] x = new float[bytes.length / type.blockBytes() * type.block()];
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        type.decode(buffer, x, x.length);
        assertFalse(buffer.hasRemaining());
        return x;
    }

    private static byte[] blocks(GgufType type) {
        ByteBuffer bytes = ByteBuffer.allocate(BLOCKS * type.blockBytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < bytes.capacity(); i++) {
            bytes.put(i, (byte) ((i + 1 << 8 | type.code()) * 0x9e3779b1 >>> 24));
        }
        for (int block = 0; block < BLOCKS; block++) {
            List<Integer> halves = halves(type);
            for (int h = 0; h < halves.size(); h++) {
                bytes.putShort(block * type.blockBytes() + halves.get(h), (short) HALVES[h == 0 ? block : (block * 3 + 1) % BLOCKS]);
            }
        }
        return bytes.array();
    }

    /** Where a block's scale and that of its minimums stand. */
    private static List<Integer> halves(GgufType type) {
        return switch (type) {
            case Q5_0, IQ4_NL, IQ4_XS -> List.of(0);
            case Q4_1, Q5_1, Q4_K, Q5_K -> List.of(0, 2);
            case Q2_K -> List.of(80, 82);
            case Q3_K -> List.of(108);
            case Q6_K -> List.of(208);
            default -> throw new IllegalArgumentException(type.toString());
        };
    }

    private record Block(BigInteger bits) {
        Block(byte[] bytes) {
            this(new BigInteger(1, reversed(bytes)));
        }

        private static byte[] reversed(byte[] bytes) {
            byte[] reversed = new byte[bytes.length];
            for (int i = 0; i < bytes.length; i++) {
                reversed[bytes.length - 1 - i] = bytes[i];
            }
            return reversed;
        }

        double weight(GgufType type, int i) {
            List<Integer> halves = halves(type);
            double d = half(halves.getFirst());
            double m = half(halves.getLast());
            return switch (type) {
                case Q4_1 -> d * nibble(4, i) + m;
                case Q5_0 -> d * (nibble(6, i) + 16 * bits(2, i, 1) - 16);
                case Q5_1 -> d * (nibble(8, i) + 16 * bits(4, i, 1)) + m;
                case IQ4_NL -> d * IQ4_VALUES[nibble(2, i)];
                case IQ4_XS -> {
                    int k = i / 32;
                    int s = bits(4 + k / 2, k % 2 * 4, 4) + 16 * bits(2, 2 * k, 2);
                    yield d * (s - 32) * IQ4_VALUES[nibble(8 + 16 * k, i % 32)];
                }
                case Q2_K -> d * bits(i / 16, 0, 4) * pair(16, i) - m * bits(i / 16, 4, 4);
                case Q3_K -> {
                    int k = i / 16;
                    int s = bits(96 + k % 8, k < 8 ? 0 : 4, 4) + 16 * bits(104 + k % 4, k / 4 * 2, 2);
                    yield d * (s - 32) * (pair(32, i) + 4 * bits(i % 32, i / 32, 1) - 4);
                }
                case Q4_K -> d * scale(i / 32) * bits(16 + i / 64 * 32 + i % 32, i % 64 < 32 ? 0 : 4, 4) - m * minimum(i / 32);
                case Q5_K -> d * scale(i / 32) * (bits(48 + i / 64 * 32 + i % 32, i % 64 < 32 ? 0 : 4, 4) + 16 * bits(16 + i % 32, i / 32, 1))
                        - m * minimum(i / 32);
                case Q6_K -> d * (byte) bits(192 + i / 16, 0, 8)
                        * (bits(i / 128 * 64 + i % 64, i % 128 < 64 ? 0 : 4, 4) + 16 * pair(128, i) - 32);
                default -> throw new IllegalArgumentException(type.toString());
            };
        }

        /** Codes of 32 weights in 16 bytes. */
        private int nibble(int at, int i) {
            return bits(at + i % 16, i < 16 ? 0 : 4, 4);
        }

        /** Two bits of 256 weights in 64 bytes. */
        private int pair(int at, int i) {
            return bits(at + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
        }

        private int scale(int k) {
            return k < 4 ? bits(4 + k, 0, 6) : bits(8 + k, 0, 4) + 16 * bits(k, 6, 2);
        }

        private int minimum(int k) {
            return k < 4 ? bits(8 + k, 0, 6) : bits(8 + k, 4, 4) + 16 * bits(4 + k, 6, 2);
        }

        private int bits(int at, int shift, int count) {
            return bits.shiftRight(8 * at + shift).intValue() & (1 << count) - 1;
        }

        /** A number in half precision. */
        private double half(int at) {
            int exponent = bits(at, 10, 5);
            int fraction = bits(at, 0, 10);
            double magnitude = exponent == 0 ? Math.scalb(fraction, -24) : Math.scalb(1024 + fraction, exponent - 25);
            return bits(at, 15, 1) == 1 ? -magnitude : magnitude;
        }
    }

    @Test
    void theyAreNotWritten() {
        List<GgufType> written = List.of(GgufType.F32, GgufType.F16, GgufType.BF16, GgufType.Q8_0, GgufType.Q4_0, GgufType.TQ1_0, GgufType.TQ2_0);
        for (GgufType type : GgufType.values()) {
            assertEquals(written.contains(type), type.written(), type.toString());
            if (type.written()) {
                assertEquals(type, GgufType.parse(type.toString()));
                continue;
            }
            String message = assertThrows(IllegalArgumentException.class, () -> GgufType.parse(type.toString())).getMessage();
            assertTrue(message.endsWith("expected one of f32, f16, bf16, q8_0, q4_0, tq1_0, tq2_0"), message);
            assertThrows(UnsupportedOperationException.class,
                    () -> type.encode(new float[type.block()], type.block(), ByteBuffer.allocate(type.blockBytes())));
        }
    }
}
