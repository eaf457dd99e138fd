package io.sterna.tensor;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/**
 * Activations quantized to int8, one scale a token: x(r, c) = code(r, c) * scale(r), codes in -127...127.
 * Codes and scales share one off-heap segment.
 *
 * <p>A <em>window</em> is a matrix without memory of its own that is laid over rows of another one. A matrix may be
 * read by many threads; a window belongs to one.
 */
public final class QuantizedMatrix {
    /** The native {@code sterna_quantized}. */
    public static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.ADDRESS.withName("codes"),
            ValueLayout.ADDRESS.withName("scales"),
            ValueLayout.JAVA_LONG.withName("rows"),
            ValueLayout.JAVA_LONG.withName("cols"),
            ValueLayout.JAVA_LONG.withName("stride")).withName("sterna_quantized");

    private long capacity;
    private long rows;
    private long cols;
    private long stride;
    private MemorySegment codes = MemorySegment.NULL;
    private MemorySegment scales = MemorySegment.NULL;
    private final MemorySegment descriptor;
    private final boolean window;

    private QuantizedMatrix(Workspace.Section section, boolean window) {
        this.descriptor = section.descriptor(LAYOUT);
        this.window = window;
    }

    private QuantizedMatrix set(MemorySegment newCodes, MemorySegment newScales, long newRows, long newCols) {
        capacity = newRows;
        rows = newRows;
        cols = newCols;
        stride = stride(newCols);
        codes = newCodes;
        scales = newScales;
        descriptor.set(ValueLayout.ADDRESS, 0, codes);
        descriptor.set(ValueLayout.ADDRESS, 8, scales);
        descriptor.set(ValueLayout.JAVA_LONG, 16, rows);
        descriptor.set(ValueLayout.JAVA_LONG, 24, cols);
        descriptor.set(ValueLayout.JAVA_LONG, 32, stride);
        return this;
    }

    /** Rows start at cache lines, so that kernels load whole vectors of a row. */
    private static long stride(long cols) {
        return Math.ceilDiv(cols, Workspace.ALIGNMENT) * Workspace.ALIGNMENT;
    }

    /**
     * Activations (rows = tokens, cols = features), all zero.
     *
     * @throws IllegalArgumentException when a size is below 1, or their product beyond what a machine holds
     */
    public static QuantizedMatrix allocate(Workspace.Section section, long rows, long cols) {
        Shapes.check(rows, cols);
        MemorySegment memory = section.allocate(rows * (stride(cols) + Float.BYTES));
        return new QuantizedMatrix(section, false).set(part(memory, 0, rows * stride(cols)),
                part(memory, rows * stride(cols), rows * Float.BYTES), rows, cols);
    }

    /** A window that never moves over rows row0 ... row1 - 1, which share their memory; of the same workspace. */
    public QuantizedMatrix window(Workspace.Section section, long row0, long row1) {
        return window(section).overRows(this, row0, row1);
    }

    /** A window, to be laid over a matrix of the same workspace. */
    public static QuantizedMatrix window(Workspace.Section section) {
        return new QuantizedMatrix(section, true);
    }

    /**
     * Lays this window over rows row0 ... row1 - 1 of a matrix, whose memory it shares from then on.
     *
     * @return this
     */
    public QuantizedMatrix overRows(QuantizedMatrix matrix, long row0, long row1) {
        Shapes.range("rows", row0, row1, matrix.rows);
        Shapes.window(window, descriptor, this, matrix.descriptor, matrix);
        return set(part(matrix.codes, row0 * matrix.stride, (row1 - row0) * matrix.stride),
                part(matrix.scales, row0 * Float.BYTES, (row1 - row0) * Float.BYTES), row1 - row0, matrix.cols);
    }

    /**
     * Copies rows row0 ... row1 - 1, maybe none, of a matrix of the same columns to the same rows of this one.
     *
     * @throws IllegalArgumentException when the columns differ, or a matrix lacks such rows
     */
    public void copyRows(QuantizedMatrix from, long row0, long row1) {
        if (from.cols != cols) {
            throw new IllegalArgumentException(from + ": has other columns than " + this);
        }
        if (row0 != row1) {
            Shapes.range("rows", row0, row1, Math.min(rows, from.rows));
        }
        MemorySegment.copy(from.codes, row0 * stride, codes, row0 * stride, (row1 - row0) * stride);
        MemorySegment.copy(from.scales, row0 * Float.BYTES, scales, row0 * Float.BYTES, (row1 - row0) * Float.BYTES);
    }

    /** In a planning workspace there is nothing to slice. */
    private static MemorySegment part(MemorySegment memory, long offset, long bytes) {
        return memory.address() == 0 ? memory : memory.asSlice(offset, bytes);
    }

    /**
     * Makes it a matrix of so many rows, at most those it was allocated with. Not while another thread uses it.
     *
     * @return this
     */
    public QuantizedMatrix resize(long newRows) {
        Shapes.range("rows", 0, newRows, capacity);
        rows = newRows;
        descriptor.set(ValueLayout.JAVA_LONG, 16, newRows);
        return this;
    }

    /** Tokens. */
    public long rows() {
        return rows;
    }

    /** Features. */
    public long cols() {
        return cols;
    }

    /** The code at (r, c). */
    public byte code(long r, long c) {
        return codes.get(ValueLayout.JAVA_BYTE, Shapes.index(r, c, rows, cols, stride));
    }

    /** The scale of row r. */
    public float scale(long r) {
        return scales.getAtIndex(ValueLayout.JAVA_FLOAT, Shapes.index(r, 0, rows, 1, 1));
    }

    /** The scales, one a row. */
    public MemorySegment scales() {
        return scales;
    }

    /** The native descriptor. */
    public MemorySegment descriptor() {
        return descriptor;
    }

    @Override
    public String toString() {
        return "int8 activations (" + rows + ", " + cols + ")";
    }
}
