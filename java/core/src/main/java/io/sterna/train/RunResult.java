package io.sterna.train;

import java.util.Map;
import java.util.OptionalDouble;

/**
 * How a run ended.
 *
 * @param finished   whether all steps were made; otherwise it was stopped after {@code step} and can be resumed
 * @param step       the last step made
 * @param devLoss    held-out loss at the end, in nats a token, NaN when it is not finite; empty when stopped, or without
 *                   held-out data
 * @param unigramEntropy held-out loss of the model that knows token frequencies alone; 0 without held-out data
 * @param summary    what {@code summary.json} says; empty when stopped
 */
public record RunResult(
        boolean finished, long step, OptionalDouble devLoss, double unigramEntropy, Map<String, Object> summary) {
    /** Whether the model of a finished run is of no use: its loss, over held-out data if there is some, is not finite. */
    public boolean diverged() {
        return finished && (devLoss.isPresent() ? !Double.isFinite(devLoss.getAsDouble())
                : summary.containsKey("final_loss") && summary.get("final_loss") == null);
    }
}
