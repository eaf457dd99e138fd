package io.sterna.train;

import java.util.Map;

import io.sterna.nn.LayerKind;

/**
 * What a step did.
 *
 * @param step             the step, counted from 1
 * @param tokens           tokens that had a target
 * @param loss             mean cross-entropy of those tokens in nats
 * @param rate             learning rate
 * @param gradNorm         Euclidean norm of the gradient of all parameters, before clipping
 * @param flipRate         share of the codes that changed: of the packed codes that are stored, and where the step was
 *                         asked to count them, of the ternary codes that BitNet makes of its floats; 0 when none were
 *                         counted
 * @param flipRates        the same by kind of layer, for kinds with codes that were counted
 * @param flipRatesByLayer the same by name of the tensor, in the model's order
 * @param nonFinite        whether a NaN or an infinity appeared: in the forward pass (then nothing changed, and
 *                         loss is NaN), or in a gradient (then the rows concerned kept their weights and state; the whole
 *                         tensor where all of its gradient is needed first, as for a clip by tensor, accumulation or
 *                         Adafactor; with a global clip, all tensors). Gradients in int8 cannot hold it and end the
 *                         step where it appears: layers nearer the loss may have changed, and loss is NaN
 */
public record StepReport(long step, long tokens, double loss, double rate, double gradNorm, double flipRate,
                         Map<LayerKind, Double> flipRates, Map<String, Double> flipRatesByLayer, boolean nonFinite) {
}
