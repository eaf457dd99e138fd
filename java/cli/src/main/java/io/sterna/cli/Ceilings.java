package io.sterna.cli;

import io.sterna.kernel.Machine;
import io.sterna.kernel.Machine.Probe;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** The most that a tier's instructions and the memory have been seen to give: operations or bytes a second, by probe. */
final class Ceilings {
    private final Tier tier;
    private final Slices slices;
    private final Set<Probe> probes;
    private final Map<Probe, Double> best = new EnumMap<>(Probe.class);

    /** Measured once, {@code probes} alone. */
    Ceilings(Tier tier, Slices slices, Set<Probe> probes) {
        this.tier = tier;
        this.slices = slices;
        this.probes = probes;
        measure();
    }

    /** Measures again: on a shared machine one measurement may meet a busy neighbour. */
    void measure() {
        for (Probe probe : probes) {
            Machine.ceiling(tier, probe, slices).ifPresent(value -> best.merge(probe, value, Math::max));
        }
    }

    /** Whether the tier has such an instruction. */
    boolean has(Probe probe) {
        return best.containsKey(probe);
    }

    /** 0 where the tier has no such instruction, or it was not measured. */
    double of(Probe probe) {
        return best.getOrDefault(probe, 0.0);
    }

    /** What float products are up against: bf16 where it is faster than f32. */
    Probe floats() {
        return of(Probe.BF16) > of(Probe.F32) ? Probe.BF16 : Probe.F32;
    }

    Map<String, Double> toMap() {
        Map<String, Double> named = new LinkedHashMap<>();
        best.forEach((probe, value) -> named.put(name(probe), value));
        return named;
    }

    static String name(Probe probe) {
        return probe.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public String toString() {
        return best.entrySet().stream().map(e -> Units.format("%s %.1f G%s/s", name(e.getKey()), e.getValue() / 1e9,
                e.getKey().isMemory() ? "B" : "OP")).collect(Collectors.joining(", "));
    }
}
