package io.sterna.kernel;

import io.sterna.kernel.Machine.Probe;
import io.sterna.kernel.ffm.sterna_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * Measures a ceiling again and again, so that it can be taken by turns with what is held against it: on a shared machine
 * both then meet the same neighbours. Belongs to the thread that calls its slices; holds {@link #BYTES} of memory for each
 * worker when it measures memory.
 */
public final class Meter implements AutoCloseable {
    /** Bytes a thread reads or updates for the memory ceilings: two threads together exceed any cache of today. */
    public static final long BYTES = 256L << 20;
    /** Long enough to time, short enough to repeat. */
    private static final double SAMPLE_SECONDS = 0.02;

    private final Arena arena = Arena.ofShared();
    private final Tier tier;
    private final Probe probe;
    private final Slices slices;
    private final MemorySegment[] buffers;
    private long rounds = 1;

    private Meter(Tier tier, Probe probe, Slices slices) {
        this.tier = tier;
        this.probe = probe;
        this.slices = slices;
        this.buffers = new MemorySegment[slices.workers()];
    }

    private void allocate() {
        for (int i = 0; i < buffers.length; i++) {
            buffers[i] = arena.allocate(probe.isMemory() ? BYTES : 64, 64);
            buffers[i].fill((byte) 1); // pages that were never written share one of zeros
        }
    }

    /**
     * A meter of all workers of {@code slices} at once; empty when the tier has no such instruction.
     *
     * @throws IllegalArgumentException when this machine does not grant the tier
     */
    public static Optional<Meter> of(Tier tier, Probe probe, Slices slices) {
        Meter meter = new Meter(Kernels.of(tier).tier(), probe, slices);
        boolean ready = false;
        try {
            meter.allocate();
            if (meter.work(0).isEmpty()) {
                return Optional.empty();
            }
            while (meter.seconds() < SAMPLE_SECONDS) {
                meter.rounds *= 2;
            }
            ready = true;
            return Optional.of(meter);
        } finally {
            if (!ready) {
                meter.close();
            }
        }
    }

    /** Measures for some hundredths of a second: operations or bytes a second of all workers together. */
    public double sample() {
        double[] work = new double[buffers.length];
        long start = System.nanoTime();
        slices.run(buffers.length, (i, worker) -> work[(int) i] = work((int) i).orElseThrow());
        double seconds = (System.nanoTime() - start) * 1e-9;
        double sum = 0;
        for (double w : work) {
            sum += w;
        }
        return sum / seconds;
    }

    /** Returns the memory. */
    @Override
    public void close() {
        arena.close();
    }

    private double seconds() {
        long start = System.nanoTime();
        work(0);
        return (System.nanoTime() - start) * 1e-9;
    }

    /** The work done in one buffer, or empty when the tier has no such instruction. */
    private OptionalDouble work(int buffer) {
        MemorySegment memory = buffers[buffer];
        try (Arena call = Arena.ofConfined()) {
            MemorySegment work = call.allocate(ValueLayout.JAVA_DOUBLE);
            int status = sterna_h.sterna_probe(tier.code(), probe.code(), memory, memory.byteSize(), rounds, work);
            if (status == -(2 * 16 + sterna_h.STERNA_BAD_TYPE())) {
                return OptionalDouble.empty();
            }
            if (status != sterna_h.STERNA_OK()) {
                throw new KernelException("probe", status, "probe buffer bytes rounds work", probe, "buffer",
                        memory.byteSize(), rounds, "work");
            }
            return OptionalDouble.of(work.get(ValueLayout.JAVA_DOUBLE, 0));
        }
    }
}
