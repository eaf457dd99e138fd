package io.sterna.tensor;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/**
 * Optimizer state of one tensor, (rows, cols) without gaps, zero at first. INT8 is block-wise: 64 columns
 * of a row share a scale; how codes are read depends on the optimizer, as {@code sterna.h} states.
 * Rows may be used by different threads at a time.
 */
public final class Moment {
    /** The native {@code sterna_moment}. */
    public static final StructLayout LAYOUT = MemoryLayout.structLayout(
            ValueLayout.ADDRESS.withName("data"),
            ValueLayout.ADDRESS.withName("scales"),
            ValueLayout.JAVA_LONG.withName("rows"),
            ValueLayout.JAVA_LONG.withName("cols"),
            ValueLayout.JAVA_INT.withName("type"),
            ValueLayout.JAVA_INT.withName("reserved")).withName("sterna_moment");

    private final StateType type;
    private final long rows;
    private final long cols;
    private final MemorySegment data;
    private final MemorySegment scales;
    private final MemorySegment descriptor;

    private Moment(Workspace.Section section, StateType type, long rows, long cols) {
        this.type = type;
        this.rows = rows;
        this.cols = cols;
        this.data = section.allocate(rows * cols * type.bytes());
        this.scales = type == StateType.INT8
                ? section.allocate(rows * Math.ceilDiv(cols, Grid.BLOCK) * Float.BYTES) : MemorySegment.NULL;
        this.descriptor = section.descriptor(LAYOUT);
        descriptor.set(ValueLayout.ADDRESS, 0, data);
        descriptor.set(ValueLayout.ADDRESS, 8, scales);
        descriptor.set(ValueLayout.JAVA_LONG, 16, rows);
        descriptor.set(ValueLayout.JAVA_LONG, 24, cols);
        descriptor.set(ValueLayout.JAVA_INT, 32, type.code());
    }

    /**
     * State for a tensor (rows, cols).
     *
     * @throws IllegalArgumentException when a size is below 1, or their product beyond what a machine holds
     */
    public static Moment allocate(Workspace.Section section, StateType type, long rows, long cols) {
        Shapes.check(rows, cols);
        return new Moment(section, type, rows, cols);
    }

    /** Element type. */
    public StateType type() {
        return type;
    }

    /** Rows. */
    public long rows() {
        return rows;
    }

    /** Columns. */
    public long cols() {
        return cols;
    }

    /** The elements. */
    public MemorySegment data() {
        return data;
    }

    /** INT8: the scales in float, (rows, ceil(cols / 64)); otherwise of length 0. */
    public MemorySegment scales() {
        return scales;
    }

    /** The native descriptor. */
    public MemorySegment descriptor() {
        return descriptor;
    }

    @Override
    public String toString() {
        return type + " moment (" + rows + ", " + cols + ")";
    }
}
