package io.sterna.train;

/**
 * The loss of a model on tokens it does not learn from.
 *
 * @param lossSum sum of the cross-entropies in nats
 * @param tokens  tokens that had a target
 */
public record Evaluation(double lossSum, long tokens) {
    /** Both sums added. */
    public Evaluation plus(Evaluation other) {
        return new Evaluation(lossSum + other.lossSum, tokens + other.tokens);
    }

    /** Mean cross-entropy in nats; NaN without tokens. */
    public double loss() {
        return lossSum / tokens;
    }
}
