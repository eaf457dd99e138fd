package io.sterna.nn;

import io.sterna.kernel.Team;
import io.sterna.nn.GradientSink.Part;
import io.sterna.tensor.FloatMatrix;

/** y (T, K) = x / sqrt(mean(x^2) + epsilon) * gain, gain (1, K). */
final class RmsNorm {
    private final Engine engine;
    private final Parameter.Plain parameter;
    private final float epsilon;

    RmsNorm(Engine engine, Parameter.Plain parameter, float epsilon) {
        this.engine = engine;
        this.parameter = parameter;
        this.epsilon = epsilon;
    }

    /** The same norm, computing with another engine. */
    RmsNorm on(Engine other) {
        return new RmsNorm(other, parameter, epsilon);
    }

    /** y = norm(x), quantized when y is int8; invRms (1, T) is kept for the backward pass. */
    void forward(FloatMatrix x, Input y, FloatMatrix invRms, Team team) {
        FloatMatrix gain = parameter.weight();
        Engine.tokens(x.rows(), team, (r0, r1, worker) -> {
            switch (y) {
                case Input.Int8(var q) -> engine.kernels().rmsnormQuantize(x, gain, epsilon, q, invRms, r0, r1);
                case Input.Floats(var f) -> engine.kernels().rmsnorm(x, gain, epsilon, f, invRms, r0, r1);
            }
        });
    }

    /**
     * dx (T, K) from dy, or added to dx; dx may be dy when not added to.
     *
     * @param dgain (1, K): receives what these tokens give to the gradient of the gain
     */
    void backward(FloatMatrix x, FloatMatrix invRms, FloatMatrix dy, FloatMatrix dx, boolean accumulate, FloatMatrix dgain) {
        engine.kernels().rmsnormBackward(x, parameter.weight(), invRms, dy, dx, accumulate, dgain, 0, x.rows());
    }

    /** The gradient of the gain: the sum of dgains (chunks, K) in order of the chunks. */
    Part gradient(FloatMatrix dgains) {
        return Part.of(parameter, (dw, accumulate, r0, r1, worker) -> {
            for (long chunk = 0; chunk < dgains.rows(); chunk++) {
                FloatMatrix dgain = engine.part(worker, dgains, chunk, chunk + 1, 0, dgains.cols());
                if (accumulate || chunk > 0) {
                    engine.kernels().add(dgain, dw, 0, 1);
                } else {
                    engine.kernels().copy(dgain, dw, 0, 1);
                }
            }
        });
    }
}
