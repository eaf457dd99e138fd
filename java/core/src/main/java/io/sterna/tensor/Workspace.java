package io.sterna.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The memory of one model or one training: a single arena, allocated ahead, counted by kind, reused every
 * step and freed as a whole by {@link #close}. Segments start at multiples of 64 bytes and are zero.
 *
 * <p>A planning workspace counts the same bytes and gives none: what is built in it can be measured, not
 * used, so a plan is exact by construction.
 *
 * <p>Allocation is for one thread at a time; the memory may be used by any thread.
 */
public final class Workspace implements AutoCloseable {
    /** Alignment of every segment in bytes: a cache line and the widest vector. */
    public static final long ALIGNMENT = 64;

    private final Arena arena = Arena.ofShared();
    private final boolean planning;
    private final Map<MemoryKind, Long> bytes = new EnumMap<>(MemoryKind.class);

    /** A workspace that gives memory. */
    public Workspace() {
        this(false);
    }

    private Workspace(boolean planning) {
        this.planning = planning;
    }

    /** A workspace that only counts. */
    public static Workspace planning() {
        return new Workspace(true);
    }

    /** Whether it only counts. */
    public boolean isPlanning() {
        return planning;
    }

    /** The part of the workspace for one kind of memory. */
    public Section section(MemoryKind kind) {
        return new Section(this, kind, null);
    }

    /** Bytes of tensors so far, by kind; descriptors are not counted. */
    public Map<MemoryKind, Long> bytes() {
        Map<MemoryKind, Long> result = new EnumMap<>(MemoryKind.class);
        for (MemoryKind kind : MemoryKind.values()) {
            result.put(kind, bytes.getOrDefault(kind, 0L));
        }
        return result;
    }

    /** Bytes of tensors so far, of all kinds. */
    public long totalBytes() {
        return bytes.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Whether the memory is still there. */
    public boolean isAlive() {
        return arena.scope().isAlive();
    }

    /** Frees the memory; using a tensor of this workspace afterwards is an exception. */
    @Override
    public void close() {
        arena.close();
    }

    /** The bytes that an allocation would take, whatever their kind. */
    public static long measure(Consumer<Section> allocation) {
        try (Workspace planning = planning()) {
            allocation.accept(planning.section(MemoryKind.SCRATCH));
            return planning.bytes().get(MemoryKind.SCRATCH);
        }
    }

    /** Where a tensor gets its memory. */
    public static final class Section {
        private final Workspace workspace;
        private final MemoryKind kind;
        private final Region region;
        private long used;

        private Section(Workspace workspace, MemoryKind kind, Region region) {
            this.workspace = workspace;
            this.kind = kind;
            this.region = region;
        }

        /** The owner. */
        public Workspace workspace() {
            return workspace;
        }

        /** At least {@code size} bytes of zeros; of length 0 in a planning workspace. */
        public MemorySegment allocate(long size) {
            long whole = Math.ceilDiv(size, ALIGNMENT) * ALIGNMENT;
            if (region != null && whole <= region.size - used) {
                used += whole;
                return workspace.planning ? MemorySegment.NULL : region.memory.asSlice(used - whole, size);
            }
            MemorySegment memory = workspace.planning ? MemorySegment.NULL : workspace.arena.allocate(size, ALIGNMENT);
            workspace.bytes.merge(kind, whole, Long::sum);
            return memory;
        }

        /** A native descriptor, which lives as long as the tensor's memory. */
        public MemorySegment descriptor(MemoryLayout layout) {
            return workspace.arena.allocate(layout.byteSize(), ALIGNMENT);
        }

        /** Memory for tensors whose times are different. */
        public Region region(long size) {
            return new Region(this, size);
        }
    }

    /**
     * Memory that several sections share, each from its first byte on, because their tensors are never in use at
     * the same time. What no longer fits gets memory of its own.
     */
    public static final class Region {
        private final Section owner;
        private final long size;
        private final MemorySegment memory;

        private Region(Section owner, long size) {
            this.owner = owner;
            this.size = size;
            this.memory = owner.allocate(size);
        }

        /** A section that has all of the region for its tensors. */
        public Section section() {
            return new Section(owner.workspace, owner.kind, this);
        }
    }
}
