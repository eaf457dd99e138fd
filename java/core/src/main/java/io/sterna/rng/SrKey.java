package io.sterna.rng;

/**
 * The stochastic-rounding key of one tensor at one step. Elements are counted from zero under this key,
 * so random bits depend on (seed, tensor, step, element) alone.
 */
public final class SrKey {
    /** "STER": keeps these keys apart from every other use of Philox under the same seed. */
    private static final int DOMAIN = 0x53544552;

    private SrKey() {}

    /**
     * First two words (word0 | word1 &lt;&lt; 32) of Philox with counter (tensor, step low, step high,
     * "STER") and key (seed low, seed high).
     */
    public static long of(long seed, int tensor, long step) {
        int[] out = new int[4];
        Philox.block(tensor, (int) step, (int) (step >>> 32), DOMAIN, (int) seed, (int) (seed >>> 32), out);
        return Integer.toUnsignedLong(out[0]) | (long) out[1] << 32;
    }
}
