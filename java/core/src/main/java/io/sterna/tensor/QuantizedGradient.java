package io.sterna.tensor;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/**
 * The gradient of a linear layer's output in int8, transposed: rows are output features N, columns tokens T,
 * and {@value #GROUP} tokens share a scale: gradient(n, t) = code(n, t) * scale(n, t / {@value #GROUP}), codes
 * in -127...127. Codes and scales share one off-heap segment. Rows may be used by different threads at a time.
 */
public final class QuantizedGradient {
    /** Tokens that share a scale: {@code STERNA_GRADIENT_GROUP} of {@code sterna.h}. */
    public static final long GROUP = 256;

    /** The native {@code sterna_gradient}. */
    public static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.ADDRESS.withName("codes"),
            ValueLayout.ADDRESS.withName("scales"),
            ValueLayout.JAVA_LONG.withName("rows"),
            ValueLayout.JAVA_LONG.withName("cols"),
            ValueLayout.JAVA_LONG.withName("stride")).withName("sterna_gradient");

    private final long rows;
    private final long cols;
    private final long stride;
    private final MemorySegment memory;
    private final MemorySegment descriptor;

    private QuantizedGradient(Workspace.Section section, long rows, long cols) {
        this.rows = rows;
        this.cols = cols;
        // Rows start at cache lines, so that kernels load whole vectors of a row.
        this.stride = Math.ceilDiv(cols, Workspace.ALIGNMENT) * Workspace.ALIGNMENT;
        this.memory = section.allocate(rows * (stride + groups() * Float.BYTES));
        this.descriptor = section.descriptor(LAYOUT);
        descriptor.set(ValueLayout.ADDRESS, 0, memory);
        descriptor.set(ValueLayout.JAVA_LONG, 8, memory.address() + rows * stride);
        descriptor.set(ValueLayout.JAVA_LONG, 16, rows);
        descriptor.set(ValueLayout.JAVA_LONG, 24, cols);
        descriptor.set(ValueLayout.JAVA_LONG, 32, stride);
    }

    /**
     * A gradient (rows = output features, cols = tokens), all zero.
     *
     * @throws IllegalArgumentException when a size is below 1, or their product beyond what a machine holds
     */
    public static QuantizedGradient allocate(Workspace.Section section, long rows, long cols) {
        Shapes.check(rows, cols);
        return new QuantizedGradient(section, rows, cols);
    }

    /** Output features. */
    public long rows() {
        return rows;
    }

    /** Tokens. */
    public long cols() {
        return cols;
    }

    /** Scales of a row. */
    public long groups() {
        return Math.ceilDiv(cols, GROUP);
    }

    /** The code of feature n and token t. */
    public byte code(long n, long t) {
        return memory.get(ValueLayout.JAVA_BYTE, Shapes.index(n, t, rows, cols, stride));
    }

    /** The scale of feature n and a group of tokens. */
    public float scale(long n, long group) {
        long at = Shapes.index(n, group, rows, groups(), groups());
        return memory.get(ValueLayout.JAVA_FLOAT, rows * stride + at * Float.BYTES);
    }

    /** The native descriptor. */
    public MemorySegment descriptor() {
        return descriptor;
    }

    @Override
    public String toString() {
        return "int8 gradient (" + rows + ", " + cols + ")";
    }
}
