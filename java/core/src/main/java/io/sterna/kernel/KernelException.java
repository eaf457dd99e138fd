package io.sterna.kernel;

import java.util.Locale;

/** A kernel refused its arguments, or met a number that is not finite. The message names kernel, argument, value and reason. */
public final class KernelException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** Why a kernel refused; the order is that of the native constants, from 1. */
    public enum Reason {
        /** A pointer is null: the argument has no memory. */
        BAD_NULL("no memory"),
        /** A pointer or stride breaks the alignment that {@code sterna.h} states. */
        BAD_ALIGNMENT("not aligned"),
        /** Rows, columns, stride or group do not fit the other arguments. */
        BAD_SHAPE("does not fit the other arguments"),
        /** A number is outside its stated range. */
        BAD_RANGE("outside its range"),
        /** An element type, grid or scaling that the kernel does not take. */
        BAD_TYPE("not a type this kernel takes"),
        /** There is no such tier, or the CPU or the OS does not grant it. */
        BAD_TIER("a tier this machine does not grant"),
        /** Data with no meaning: a token outside the vocabulary, a byte that is no five trits. */
        BAD_VALUE("holds a value with no meaning"),
        /** A NaN or an infinity where only finite numbers make sense. */
        NONFINITE("holds a NaN or an infinity");

        private final String text;

        Reason(String text) {
            this.text = text;
        }
    }

    private final Reason reason;

    /**
     * @param kernel    name of the operation
     * @param status    its negative status
     * @param names     names of the arguments after the tier, separated by spaces
     * @param arguments their values, in that order
     */
    KernelException(String kernel, int status, String names, Object... arguments) {
        super(message(kernel, status, names.split(" "), arguments));
        this.reason = Reason.values()[(-status & 15) - 1];
    }

    /** Why the kernel refused. */
    public Reason reason() {
        return reason;
    }

    private static String message(String kernel, int status, String[] names, Object[] arguments) {
        int argument = (-status >> 4) - 2;
        String text = Reason.values()[(-status & 15) - 1].text;
        boolean named = argument >= 0 && argument < names.length;
        String value = named && argument < arguments.length ? " = " + arguments[argument] : "";
        return kernel.toLowerCase(Locale.ROOT) + ": " + (named ? names[argument] : "tier") + value + ": " + text;
    }
}
