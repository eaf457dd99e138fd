package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_h;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** Instruction-set tiers of the kernels, lowest first; the order is that of the native constants. */
public enum Tier {
    /** Plain C: defines every result, runs everywhere. */
    REFERENCE, AVX2, AVX512, AVX512VNNI, AMX;

    /** Environment variable that lowers the tier {@link #best} chooses. */
    public static final String VARIABLE = "STERNA_TIER";

    /** The native constant. */
    public int code() {
        return ordinal();
    }

    /**
     * The highest tier that this CPU and OS grant.
     *
     * @throws NativeLibraryException when the library cannot be loaded
     */
    public static Tier granted() {
        NativeLibrary.load(); // a binding's initializer would say only once what is missing
        return values()[sterna_h.sterna_best_tier()];
    }

    /**
     * The tier to use: the highest granted, lowered to the one that {@value #VARIABLE} names, never raised.
     *
     * @throws IllegalArgumentException when the variable names no tier
     */
    public static Tier best() {
        Tier granted = granted();
        return Optional.ofNullable(System.getenv(VARIABLE)).filter(name -> !name.isEmpty())
                .map(Tier::ofVariable).filter(named -> named.compareTo(granted) < 0).orElse(granted);
    }

    private static Tier ofVariable(String name) {
        try {
            return parse(name);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(VARIABLE + ": " + e.getMessage(), e);
        }
    }

    /** The tier of that name, or an {@link IllegalArgumentException} that lists them. */
    public static Tier parse(String name) {
        for (Tier tier : values()) {
            if (tier.toString().equals(name.strip().toLowerCase(Locale.ROOT))) {
                return tier;
            }
        }
        throw new IllegalArgumentException("tier \"" + name + "\": expected one of "
                + Arrays.stream(values()).map(Tier::toString).collect(Collectors.joining(", ")));
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
