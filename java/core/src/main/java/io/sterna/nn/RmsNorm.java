package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;

/** y (T, K) = x / sqrt(mean(x^2) + epsilon) * gain, gain (1, K). */
final class RmsNorm {
    private final Engine engine;
    private final Parameter.Plain parameter;
    private final float epsilon;
    private final FloatMatrix dgain;

    /** @param dgain F32 (1, K): where the gradient of the gain is summed; shared by the norms of one width */
    RmsNorm(Engine engine, Parameter.Plain parameter, float epsilon, FloatMatrix dgain) {
        this.engine = engine;
        this.parameter = parameter;
        this.epsilon = epsilon;
        this.dgain = dgain;
    }

    /** The same norm, computing with another engine. */
    RmsNorm on(Engine other) {
        return new RmsNorm(other, parameter, epsilon, dgain);
    }

    /** y = norm(x), quantized when y is int8; invRms (1, T) is kept for the backward pass. */
    void forward(FloatMatrix x, Input y, FloatMatrix invRms) {
        FloatMatrix gain = parameter.weight();
        engine.tokens(x.rows(), (r0, r1, worker) -> {
            switch (y) {
                case Input.Int8(var q) -> engine.kernels().rmsnormQuantize(x, gain, epsilon, q, invRms, r0, r1);
                case Input.Floats(var f) -> engine.kernels().rmsnorm(x, gain, epsilon, f, invRms, r0, r1);
            }
        });
    }

    /** dx (T, K) from dy, or added to dx; dx may be dy when not added to. */
    void backward(FloatMatrix x, FloatMatrix invRms, FloatMatrix dy, FloatMatrix dx, boolean accumulate, GradientSink sink) {
        engine.slices().rows(x.cols(), 16, (c0, c1, worker) ->
                engine.kernels().rmsnormGainGradient(x, invRms, dy, dgain, c0, c1));
        engine.tokens(x.rows(), (r0, r1, worker) ->
                engine.kernels().rmsnormBackward(x, parameter.weight(), invRms, dy, dx, accumulate, r0, r1));
        sink.acceptAll(parameter, (dw, add, r0, r1, worker) -> {
            if (add) {
                engine.kernels().add(dgain, dw, 0, 1);
            } else {
                engine.kernels().copy(dgain, dw, 0, 1);
            }
        });
    }
}
