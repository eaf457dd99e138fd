package io.sterna.tensor;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.LongStream;

/**
 * A row-major float matrix in off-heap memory, with its native descriptor: element (r, c) lies at
 * {@code r * stride + c}.
 *
 * <p>A <em>window</em> is a matrix without memory of its own that is laid over a part of another one, and
 * moved at will without allocation. A matrix may be read by many threads; a window belongs to one.
 */
public final class FloatMatrix {
    /** The native {@code sterna_matrix}. */
    public static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.ADDRESS.withName("data"),
            ValueLayout.JAVA_LONG.withName("rows"),
            ValueLayout.JAVA_LONG.withName("cols"),
            ValueLayout.JAVA_LONG.withName("stride"),
            ValueLayout.JAVA_INT.withName("type"),
            ValueLayout.JAVA_INT.withName("reserved")).withName("sterna_matrix");

    private final MemorySegment descriptor;
    private final boolean window;
    private MemorySegment memory;
    private MemorySegment data;
    private FloatType type;
    private long rows;
    private long cols;
    private long stride;

    private FloatMatrix(Workspace.Section section, boolean window) {
        this.descriptor = section.descriptor(LAYOUT);
        this.window = window;
    }

    /**
     * A matrix of zeros (rows, cols) without gaps between rows.
     *
     * @throws IllegalArgumentException when a size is below 1, or their product beyond what a machine holds
     */
    public static FloatMatrix allocate(Workspace.Section section, FloatType type, long rows, long cols) {
        Shapes.check(rows, cols);
        FloatMatrix matrix = new FloatMatrix(section, false);
        matrix.memory = section.allocate(rows * cols * type.bytes());
        matrix.describe(matrix.memory, type, rows, cols, cols);
        return matrix;
    }

    /**
     * A matrix cut into windows that never move, of {@code size} rows each, the last one of the rest.
     *
     * @throws IllegalArgumentException for a size below 1
     */
    public static List<FloatMatrix> windows(Workspace.Section section, FloatMatrix matrix, long size) {
        if (size < 1) {
            throw new IllegalArgumentException("windows of " + size + " rows: must be at least 1");
        }
        return LongStream.range(0, Math.ceilDiv(matrix.rows, size))
                .mapToObj(i -> window(section).overRows(matrix, i * size, Math.min(matrix.rows, (i + 1) * size)))
                .toList();
    }

    /** A window, to be laid over a matrix of the same workspace. */
    public static FloatMatrix window(Workspace.Section section) {
        return new FloatMatrix(section, true);
    }

    /** Lays this window over rows row0 ... row1 - 1 of a matrix. */
    public FloatMatrix overRows(FloatMatrix matrix, long row0, long row1) {
        return over(matrix, row0, row1, 0, matrix.cols);
    }

    /**
     * Lays this window over rows row0 ... row1 - 1 and columns col0 ... col1 - 1 of a matrix.
     *
     * @return this
     */
    public FloatMatrix over(FloatMatrix matrix, long row0, long row1, long col0, long col1) {
        Shapes.range("rows", row0, row1, matrix.rows);
        Shapes.range("columns", col0, col1, matrix.cols);
        long offset = (row0 * matrix.stride + col0) * matrix.type.bytes();
        move(matrix, offset, row1 - row0, col1 - col0, matrix.stride);
        return this;
    }

    /**
     * Lays this window over the first rows * cols elements of a matrix without gaps, as another shape.
     *
     * @return this
     */
    public FloatMatrix shaped(FloatMatrix matrix, long newRows, long newCols) {
        Shapes.check(newRows, newCols);
        if (matrix.stride != matrix.cols || newRows * newCols > matrix.rows * matrix.cols) {
            throw new IllegalArgumentException("shape (" + newRows + ", " + newCols + "): does not fit " + matrix);
        }
        move(matrix, 0, newRows, newCols, newCols);
        return this;
    }

    /**
     * Lays this window over the front half of each row of an F32 matrix, as BF16: a kernel that writes a row from left
     * to right may turn the one into the other.
     *
     * @return this
     */
    public FloatMatrix asBf16(FloatMatrix matrix) {
        if (matrix.type != FloatType.F32) {
            throw new IllegalArgumentException(matrix + ": has no room for another type in its rows");
        }
        lay(matrix, FloatType.BF16, 0, matrix.rows, matrix.cols, 2 * matrix.stride);
        return this;
    }

    /**
     * Gives a matrix that owns its memory another shape, without gaps and no larger than it was allocated;
     * what its elements are then is undefined. Not while another thread uses it.
     *
     * @return this
     */
    public FloatMatrix reshape(long newRows, long newCols) {
        Shapes.check(newRows, newCols);
        if (window) {
            throw new IllegalStateException(this + " is a window: it moves, its memory keeps its shape");
        }
        long bytes = newRows * newCols * type.bytes();
        if (bytes > memory.byteSize()) {
            throw new IllegalArgumentException("shape (" + newRows + ", " + newCols + "): does not fit the "
                    + memory.byteSize() + " bytes of a matrix of " + type);
        }
        describe(memory.asSlice(0, bytes), type, newRows, newCols, newCols);
        return this;
    }

    private void move(FloatMatrix matrix, long offset, long newRows, long newCols, long newStride) {
        lay(matrix, matrix.type, offset, newRows, newCols, newStride);
    }

    private void lay(FloatMatrix matrix, FloatType newType, long offset, long newRows, long newCols, long newStride) {
        Shapes.window(window, descriptor, this, matrix.descriptor, matrix);
        long bytes = ((newRows - 1) * newStride + newCols) * newType.bytes();
        boolean planned = matrix.data.address() == 0; // in a planning workspace there is nothing to slice
        describe(planned ? matrix.data : matrix.data.asSlice(offset, bytes), newType, newRows, newCols, newStride);
    }

    private void describe(MemorySegment newData, FloatType newType, long newRows, long newCols, long newStride) {
        data = newData;
        type = newType;
        rows = newRows;
        cols = newCols;
        stride = newStride;
        descriptor.set(ValueLayout.ADDRESS, 0, newData);
        descriptor.set(ValueLayout.JAVA_LONG, 8, newRows);
        descriptor.set(ValueLayout.JAVA_LONG, 16, newCols);
        descriptor.set(ValueLayout.JAVA_LONG, 24, newStride);
        descriptor.set(ValueLayout.JAVA_INT, 32, newType.code());
    }

    /** Rows. */
    public long rows() {
        return rows;
    }

    /** Columns. */
    public long cols() {
        return cols;
    }

    /** Elements from one row to the next. */
    public long stride() {
        return stride;
    }

    /** Element type. */
    public FloatType type() {
        return type;
    }

    /** The elements, from (0, 0) to the last one. */
    public MemorySegment data() {
        return data;
    }

    /** The native descriptor. */
    public MemorySegment descriptor() {
        return descriptor;
    }

    /** Element (r, c). */
    public float get(long r, long c) {
        long i = Shapes.index(r, c, rows, cols, stride);
        return switch (type) {
            case F32 -> data.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            case BF16 -> Float.intBitsToFloat(data.getAtIndex(ValueLayout.JAVA_SHORT, i) << 16);
        };
    }

    /** Sets element (r, c); BF16 is rounded to nearest, ties to even. */
    public void set(long r, long c, float value) {
        long i = Shapes.index(r, c, rows, cols, stride);
        switch (type) {
            case F32 -> data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            case BF16 -> data.setAtIndex(ValueLayout.JAVA_SHORT, i, bf16(value));
        }
    }

    private static short bf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        boolean nan = Float.isNaN(value);
        return (short) (nan ? bits >>> 16 | 0x40 : bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    @Override
    public String toString() {
        return type + " (" + rows + ", " + cols + ")";
    }
}
