package io.sterna.tensor;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/**
 * A packed weight matrix W (rows = output features, cols = input features): weight = code * scale. Codes
 * and scales share one off-heap segment, codes first; the layout of the codes is that of
 * {@code sterna_packed} in {@code sterna.h}. A new matrix holds code bits 0 and scales 0.
 *
 * <p>Rows may be used by different threads at a time.
 */
public final class PackedMatrix {
    /** The native {@code sterna_packed}. */
    public static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.ADDRESS.withName("codes"),
            ValueLayout.ADDRESS.withName("scales"),
            ValueLayout.JAVA_LONG.withName("rows"),
            ValueLayout.JAVA_LONG.withName("cols"),
            ValueLayout.JAVA_INT.withName("grid"),
            ValueLayout.JAVA_INT.withName("scaling"),
            ValueLayout.JAVA_LONG.withName("group")).withName("sterna_packed");

    private final Grid grid;
    private final Scaling scaling;
    private final long rows;
    private final long cols;
    private final MemorySegment memory;
    private final MemorySegment descriptor;

    private PackedMatrix(Workspace.Section section, Grid grid, Scaling scaling, long rows, long cols,
                         MemorySegment memory) {
        this.grid = grid;
        this.scaling = scaling;
        this.rows = rows;
        this.cols = cols;
        this.memory = memory;
        this.descriptor = section.descriptor(LAYOUT);
        descriptor.set(ValueLayout.ADDRESS, 0, memory);
        descriptor.set(ValueLayout.JAVA_LONG, 8, memory.address() + codesBytes());
        descriptor.set(ValueLayout.JAVA_LONG, 16, rows);
        descriptor.set(ValueLayout.JAVA_LONG, 24, cols);
        descriptor.set(ValueLayout.JAVA_INT, 32, grid.code());
        descriptor.set(ValueLayout.JAVA_INT, 36, scaling.code());
        descriptor.set(ValueLayout.JAVA_LONG, 40, scaling.group());
    }

    /**
     * A matrix (rows, cols).
     *
     * @throws IllegalArgumentException when a size is below 1, or their product beyond what a machine holds
     */
    public static PackedMatrix allocate(Workspace.Section section, Grid grid, Scaling scaling, long rows, long cols) {
        long bytes = bytes(grid, scaling, rows, cols);
        return new PackedMatrix(section, grid, scaling, rows, cols, section.allocate(bytes));
    }

    /**
     * Bytes of codes and scales of a matrix.
     *
     * @throws IllegalArgumentException as {@link #allocate} does
     */
    public static long bytes(Grid grid, Scaling scaling, long rows, long cols) {
        Shapes.check(rows, cols);
        return rows * grid.rowBytes(cols) + scaling.count(rows, cols) * Float.BYTES;
    }

    /** Grid of the codes. */
    public Grid grid() {
        return grid;
    }

    /** Which weights share a scale. */
    public Scaling scaling() {
        return scaling;
    }

    /** Output features. */
    public long rows() {
        return rows;
    }

    /** Input features. */
    public long cols() {
        return cols;
    }

    /** The codes, {@code grid.rowBytes(cols)} bytes a row. */
    public MemorySegment codes() {
        return memory.asSlice(0, codesBytes());
    }

    /** The scales, in float: (1), (rows) or (rows, groups). */
    public MemorySegment scales() {
        return memory.asSlice(codesBytes(), scaling.count(rows, cols) * Float.BYTES);
    }

    /** The native descriptor. */
    public MemorySegment descriptor() {
        return descriptor;
    }

    private long codesBytes() {
        return rows * grid.rowBytes(cols);
    }

    @Override
    public String toString() {
        return grid + " (" + rows + ", " + cols + ") scale " + scaling;
    }
}
