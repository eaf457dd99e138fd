package io.sterna.kernel;

/** How an update writes a weight back to its grid; the order is that of the native constants. */
public enum Rounding {
    /** Up or down at random, right on average. */
    STOCHASTIC,
    /** To the nearest code, ties to even: small updates are lost. */
    NEAREST;

    /** The native constant. */
    public int code() {
        return ordinal();
    }
}
