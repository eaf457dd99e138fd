package io.sterna.infer;

/**
 * How the next token is chosen from the logits.
 *
 * @param temperature divides the logits; 0 takes the most likely token
 * @param topK        only so many of the most likely tokens; 0 for all
 * @param seed        the same seed gives the same text
 */
public record Sampling(double temperature, int topK, long seed) {
    /** @throws IllegalArgumentException for a number outside its range */
    public Sampling {
        if (!(temperature >= 0 && temperature <= 100)) {
            throw new IllegalArgumentException("temperature " + temperature + ": must lie in [0, 100]");
        }
        if (topK < 0) {
            throw new IllegalArgumentException("top-k " + topK + ": must be at least 0");
        }
    }

    /** Temperature 0.8 over the 40 most likely tokens. */
    public static Sampling of(long seed) {
        return new Sampling(0.8, 40, seed);
    }
}
