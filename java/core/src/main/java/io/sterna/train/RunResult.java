package io.sterna.train;

import java.util.Map;
import java.util.OptionalDouble;

/**
 * How a run ended.
 *
 * @param finished   whether all steps were made; otherwise it was stopped after {@code step} and can be resumed
 * @param step       the last step made
 * @param devLoss    held-out loss at the end, in nats a token; empty when stopped, or without held-out data
 * @param unigramEntropy held-out loss of the model that knows token frequencies alone; 0 without held-out data
 * @param summary    what {@code summary.json} says; empty when stopped
 */
public record RunResult(
        boolean finished, long step, OptionalDouble devLoss, double unigramEntropy, Map<String, Object> summary) {}
