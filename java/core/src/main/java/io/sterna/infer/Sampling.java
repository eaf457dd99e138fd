package io.sterna.infer;

/**
 * How the next token is chosen from the logits. The rules apply in this order.
 *
 * @param repetitionPenalty logits of tokens that occurred are divided by it when positive, multiplied when
 *                          negative (Keskar et al., CTRL, 2019); 1 for none
 * @param temperature       divides the logits; 0 takes the most likely token
 * @param topK              only so many of the most likely tokens; 0 for all
 * @param topP              only the most likely tokens that together reach this probability; 1 for all
 * @param minP              only tokens of at least this share of the most likely one's probability; 0 for all
 * @param seed              the same seed gives the same tokens
 */
public record Sampling(double repetitionPenalty, double temperature, int topK, double topP, double minP, long seed) {
    /** @throws IllegalArgumentException for a number outside its range */
    public Sampling {
        require(repetitionPenalty >= 0.01 && repetitionPenalty <= 100, "repetition-penalty", repetitionPenalty, "in 0.01...100");
        require(temperature >= 0 && temperature <= 100, "temperature", temperature, "in 0...100");
        require(topK >= 0, "top-k", topK, "at or above 0");
        require(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1");
        require(minP >= 0 && minP <= 1, "min-p", minP, "in 0...1");
    }

    /** Temperature 0.8 over the 40 most likely tokens. */
    public static Sampling of(long seed) {
        return new Sampling(1, 0.8, 40, 1, 0, seed);
    }

    /** The most likely token, always. */
    public static Sampling greedy() {
        return new Sampling(1, 0, 0, 1, 0, 0);
    }

    /** The same with another temperature. */
    public Sampling withTemperature(double value) {
        return new Sampling(repetitionPenalty, value, topK, topP, minP, seed);
    }

    /** The same with another top-k. */
    public Sampling withTopK(int value) {
        return new Sampling(repetitionPenalty, temperature, value, topP, minP, seed);
    }

    /** The same with another top-p. */
    public Sampling withTopP(double value) {
        return new Sampling(repetitionPenalty, temperature, topK, value, minP, seed);
    }

    /** The same with another min-p. */
    public Sampling withMinP(double value) {
        return new Sampling(repetitionPenalty, temperature, topK, topP, value, seed);
    }

    /** The same with another repetition penalty. */
    public Sampling withRepetitionPenalty(double value) {
        return new Sampling(value, temperature, topK, topP, minP, seed);
    }

    private static void require(boolean condition, String name, Number value, String range) {
        if (!condition) {
            throw new IllegalArgumentException(name + " " + value + ": must lie " + range);
        }
    }
}
