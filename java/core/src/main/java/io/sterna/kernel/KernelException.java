package io.sterna.kernel;

import java.util.Locale;

/** A kernel refused its arguments, or met a number that is not finite. The message names kernel, argument, value and reason. */
public final class KernelException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** Why a kernel refused; the order is that of the native constants, from 1. */
    public enum Reason {
        BAD_NULL("no memory"),
        BAD_ALIGNMENT("not aligned"),
        BAD_SHAPE("does not fit the other arguments"),
        BAD_RANGE("outside its range"),
        BAD_TYPE("not a type this kernel takes"),
        BAD_TIER("a tier this machine does not grant"),
        BAD_VALUE("holds a value with no meaning"),
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
