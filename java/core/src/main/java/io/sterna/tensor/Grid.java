package io.sterna.tensor;

/**
 * The values a packed weight may take, in units of its scale: {@code qn ... qp}, in steps of {@link #step}.
 * An n-bit grid holds the two's complement integers of n bits.
 */
public enum Grid {
    /** {-1, 1} in 1 bit. */
    BINARY(1, 1, -1, 1),
    /** {-2, -1, 0, 1} in 2 bits. */
    INT2(2, 2, -2, 1),
    /** -4 ... 3 in 3 bits. */
    INT3(3, 3, -4, 3),
    /** -8 ... 7 in 4 bits. */
    INT4(4, 4, -8, 7),
    /** -16 ... 15 in 5 bits. */
    INT5(5, 5, -16, 15),
    /** -32 ... 31 in 6 bits. */
    INT6(6, 6, -32, 31),
    /** -64 ... 63 in 7 bits. */
    INT7(7, 7, -64, 63),
    /** -128 ... 127 in 8 bits. */
    INT8(8, 8, -128, 127),
    /** {-1, 0, 1}: log2(3) = 1.58 bits of information, 2 bits in memory. */
    TERNARY(9, 2, -1, 1);

    /** Weights of a row are packed in blocks of this many. */
    public static final int BLOCK = 64;

    private final int code;
    private final int bits;
    private final int qn;
    private final int qp;

    Grid(int code, int bits, int qn, int qp) {
        this.code = code;
        this.bits = bits;
        this.qn = qn;
        this.qp = qp;
    }

    /** The native constant. */
    public int code() {
        return code;
    }

    /** Bits of a weight in memory. */
    public int bits() {
        return bits;
    }

    /** The lowest code. */
    public int qn() {
        return qn;
    }

    /** The highest code. */
    public int qp() {
        return qp;
    }

    /** The distance between neighbouring codes. */
    public int step() {
        return this == BINARY ? 2 : 1;
    }

    /** Bytes of a packed row of {@code cols} weights: whole blocks of {@value #BLOCK}. */
    public long rowBytes(long cols) {
        return Math.ceilDiv(cols, BLOCK) * (BLOCK / 8) * bits;
    }

    /** The width as the literature writes it: 1, 1.58, 2 ... 8. */
    public String width() {
        return this == TERNARY ? "1.58" : Integer.toString(bits);
    }

    /** The grid of a width written 1, 1.58, 2 ... 8; anything else is an {@link IllegalArgumentException}. */
    public static Grid ofWidth(String width) {
        for (Grid grid : values()) {
            if (grid.width().equals(width.strip())) {
                return grid;
            }
        }
        throw new IllegalArgumentException("bits \"" + width + "\": expected 1, 1.58, 2, 3, 4, 5, 6, 7 or 8");
    }
}
