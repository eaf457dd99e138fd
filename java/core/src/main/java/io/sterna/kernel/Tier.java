package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_h;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Instruction-set tiers of the kernels, lowest first; each needs all that the one before it does. The order is that of
 * the native constants.
 */
public enum Tier {
    /** Plain C: defines every result, runs everywhere. */
    REFERENCE,
    /** x86 with vectors of 256 bits: AVX2, FMA, F16C, BMI and BMI2. */
    AVX2,
    /** All of AVX2, and vectors of 512 bits: AVX-512 F, BW, DQ, VL and CD. */
    AVX512,
    /** All of AVX512, and dot products of int8: AVX-512 VNNI and VBMI. */
    AVX512VNNI,
    /** All of AVX512VNNI, and a matrix unit for int8 and bf16: AMX, with AVX-512 BF16. */
    AMX;

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
