package io.sterna.train;

import java.util.Map;

import io.sterna.nn.LayerKind;

/**
 * What a step did.
 *
 * @param step      the step, counted from 1
 * @param tokens    tokens that had a target
 * @param loss      mean cross-entropy of those tokens in nats
 * @param rate      learning rate
 * @param gradNorm  Euclidean norm of the gradient of all parameters, before clipping
 * @param flipRate  share of the packed codes that changed; 0 without packed weights
 * @param flipRates the same by kind of layer, for kinds with packed codes
 * @param nonFinite whether a NaN or an infinity appeared: in the forward pass (then nothing changed, and
 *                  loss is NaN), or in a gradient (then the rows concerned kept their weights and state; with
 *                  a global clip, all of them did)
 */
public record StepReport(long step, long tokens, double loss, double rate, double gradNorm, double flipRate,
                         Map<LayerKind, Double> flipRates, boolean nonFinite) {
}
