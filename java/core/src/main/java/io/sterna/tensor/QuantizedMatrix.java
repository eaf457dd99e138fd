package io.sterna.tensor;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/**
 * Activations quantized to int8, one scale a token: x(r, c) = code(r, c) * scale(r), codes in -127...127.
 * Codes and scales share one off-heap segment.
 */
public final class QuantizedMatrix {
    /** The native {@code sterna_quantized}. */
    public static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.ADDRESS.withName("codes"),
            ValueLayout.ADDRESS.withName("scales"),
            ValueLayout.JAVA_LONG.withName("rows"),
            ValueLayout.JAVA_LONG.withName("cols"),
            ValueLayout.JAVA_LONG.withName("stride")).withName("sterna_quantized");

    private final long capacity;
    private long rows;
    private final long cols;
    private final long stride;
    private final MemorySegment memory;
    private final MemorySegment descriptor;

    private QuantizedMatrix(Workspace.Section section, long rows, long cols) {
        this.capacity = rows;
        this.rows = rows;
        this.cols = cols;
        // Rows start at cache lines, so that kernels load whole vectors of a row.
        this.stride = Math.ceilDiv(cols, Workspace.ALIGNMENT) * Workspace.ALIGNMENT;
        this.memory = section.allocate(rows * (stride + Float.BYTES));
        this.descriptor = section.descriptor(LAYOUT);
        descriptor.set(ValueLayout.ADDRESS, 0, memory);
        descriptor.set(ValueLayout.JAVA_LONG, 8, memory.address() + rows * stride);
        descriptor.set(ValueLayout.JAVA_LONG, 16, rows);
        descriptor.set(ValueLayout.JAVA_LONG, 24, cols);
        descriptor.set(ValueLayout.JAVA_LONG, 32, stride);
    }

    /**
     * Activations (rows = tokens, cols = features), all zero.
     *
     * @throws IllegalArgumentException when a size is below 1
     */
    public static QuantizedMatrix allocate(Workspace.Section section, long rows, long cols) {
        Shapes.positive(rows, cols);
        return new QuantizedMatrix(section, rows, cols);
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
        return memory.get(ValueLayout.JAVA_BYTE, Shapes.index(r, c, rows, cols, stride));
    }

    /** The scale of row r. */
    public float scale(long r) {
        return memory.get(ValueLayout.JAVA_FLOAT, capacity * stride + Shapes.index(r, 0, rows, 1, 1) * Float.BYTES);
    }

    /** The scales, one a row. */
    public MemorySegment scales() {
        return memory.asSlice(capacity * stride, rows * Float.BYTES);
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
