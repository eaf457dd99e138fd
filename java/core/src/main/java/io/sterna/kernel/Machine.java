package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_h;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/** What the CPU and the OS grant, and what a thread reaches with nothing in its way. Thread-safe. */
public final class Machine {
    private static final int FEATURE_BITS = 64;
    /** Repeated for so long: an OS may take its time to give each thread a core of its own. */
    private static final long MEASURE_NANOS = 1_000_000_000;

    /** Ceilings that {@link #ceiling} measures. */
    public enum Probe {
        /** int8 multiply-adds a second, in operations: a multiply-add counts as two. */
        INT8,
        /** int16 multiply-adds in vectors, likewise. */
        INT16,
        /** bf16 multiply-adds, likewise. */
        BF16,
        /** f32 fused multiply-adds, likewise. */
        F32,
        /** Bytes a second read from memory. */
        READ,
        /** Bytes a second read and written back. */
        UPDATE;

        int code() {
            return ordinal();
        }

        /** Whether it is of memory, in bytes, and not of arithmetic, in operations. */
        public boolean isMemory() {
            return this == READ || this == UPDATE;
        }
    }

    private Machine() {}

    /** The features that both the CPU and the OS grant, by name. */
    public static List<String> features() {
        NativeLibrary.load();
        return names(sterna_h.sterna_features());
    }

    /** The features that the kernels of {@code tier} need. */
    public static List<String> features(Tier tier) {
        NativeLibrary.load();
        return names(sterna_h.sterna_tier_features(tier.code()));
    }

    /** The features that {@code tier} needs and this machine does not grant. */
    public static List<String> missing(Tier tier) {
        NativeLibrary.load();
        return names(sterna_h.sterna_tier_features(tier.code()) & ~sterna_h.sterna_features());
    }

    private static List<String> names(long bits) {
        List<String> names = new ArrayList<>();
        for (int bit = 0; bit < FEATURE_BITS; bit++) {
            if ((bits >>> bit & 1) != 0) {
                MemorySegment name = sterna_h.sterna_feature_name(bit);
                names.add(name.equals(MemorySegment.NULL) ? "bit " + bit : name.getString(0));
            }
        }
        return names;
    }

    /**
     * The best of some short measurements with every worker of {@code slices} at once, in operations or
     * bytes a second; empty when the tier has no such instruction.
     *
     * @throws IllegalArgumentException when this machine does not grant the tier
     */
    public static OptionalDouble ceiling(Tier tier, Probe probe, Slices slices) {
        Optional<Meter> found = Meter.of(tier, probe, slices);
        if (found.isEmpty()) {
            return OptionalDouble.empty();
        }
        try (Meter meter = found.get()) {
            double best = 0;
            for (long end = System.nanoTime() + MEASURE_NANOS; System.nanoTime() < end; ) {
                best = Math.max(best, meter.sample());
            }
            return OptionalDouble.of(best);
        }
    }
}
