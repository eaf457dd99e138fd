package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

/** What the CPU and the OS grant, and what a thread reaches with nothing in its way. Thread-safe. */
public final class Machine {
    private static final int FEATURE_BITS = 64;
    /** Long enough to time, short enough to repeat. */
    private static final double PROBE_SECONDS = 0.02;
    /** Bytes a thread reads or updates for the memory ceilings: two threads together exceed any cache of today. */
    public static final long PROBE_BYTES = 256L << 20;
    /** Repeated for so long: an OS may take its time to give each thread a core of its own. */
    private static final double MEASURE_SECONDS = 1;

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
     */
    public static OptionalDouble ceiling(Tier tier, Probe probe, Slices slices) {
        try (Arena arena = Arena.ofShared()) {
            int workers = slices.workers();
            MemorySegment[] buffers = new MemorySegment[workers];
            for (int i = 0; i < workers; i++) {
                buffers[i] = arena.allocate(probe.isMemory() ? PROBE_BYTES : 64, 64);
                buffers[i].fill((byte) 1); // pages that were never written share one of zeros
            }
            long rounds = 1;
            if (probe(tier, probe, buffers[0], rounds).isEmpty()) {
                return OptionalDouble.empty();
            }
            while (seconds(tier, probe, buffers[0], rounds) < PROBE_SECONDS) {
                rounds *= 2;
            }
            return OptionalDouble.of(best(tier, probe, slices, buffers, rounds));
        }
    }

    private static double seconds(Tier tier, Probe probe, MemorySegment buffer, long rounds) {
        long start = System.nanoTime();
        probe(tier, probe, buffer, rounds);
        return (System.nanoTime() - start) * 1e-9;
    }

    private static double best(Tier tier, Probe probe, Slices slices, MemorySegment[] buffers, long rounds) {
        double[] work = new double[buffers.length];
        double best = 0;
        for (double total = 0; total < MEASURE_SECONDS; ) {
            long start = System.nanoTime();
            slices.run(buffers.length, (i, worker) ->
                    work[(int) i] = probe(tier, probe, buffers[(int) i], rounds).orElseThrow());
            double seconds = (System.nanoTime() - start) * 1e-9;
            double sum = 0;
            for (double w : work) {
                sum += w;
            }
            best = Math.max(best, sum / seconds);
            total += seconds;
        }
        return best;
    }

    /** The work done, or empty when the tier has no such instruction. */
    private static OptionalDouble probe(Tier tier, Probe probe, MemorySegment buffer, long rounds) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment work = arena.allocate(ValueLayout.JAVA_DOUBLE);
            int status = sterna_h.sterna_probe(tier.code(), probe.code(), buffer, buffer.byteSize(), rounds, work);
            if (status == -(2 * 16 + sterna_h.STERNA_BAD_TYPE())) {
                return OptionalDouble.empty();
            }
            if (status != sterna_h.STERNA_OK()) {
                throw new KernelException("probe", status, "probe buffer bytes rounds work", probe, "buffer",
                        buffer.byteSize(), rounds, "work");
            }
            return OptionalDouble.of(work.get(ValueLayout.JAVA_DOUBLE, 0));
        }
    }
}
