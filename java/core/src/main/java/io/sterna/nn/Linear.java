package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.nn.GradientSink.Gradient;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedMatrix;

/** A linear layer without bias: y (T, N) = x (T, K) times w (N, K) transposed. */
abstract sealed class Linear {
    final Engine engine;
    final Parameter parameter;

    private Linear(Engine engine, Parameter parameter) {
        this.engine = engine;
        this.parameter = parameter;
    }

    /** The same layer, computing with another engine. */
    abstract Linear on(Engine other);

    /** y (T, N) = x w^T, or y += x w^T. */
    abstract void forward(Input x, FloatMatrix y, boolean accumulate);

    /** dx (T, K) = dy (T, N) w, or dx += dy w. */
    abstract void inputGradient(FloatMatrix dy, FloatMatrix dx, boolean accumulate);

    /** dw (N, K) = dy^T x. */
    abstract Gradient weightGradient(FloatMatrix dy, Input x);

    /** dx first, since handing over dw may update w. */
    final void backward(FloatMatrix dy, Input x, FloatMatrix dx, boolean accumulate, GradientSink sink) {
        inputGradient(dy, dx, accumulate);
        sink.acceptAll(parameter, weightGradient(dy, x));
    }

    /** Multiplies int8 activations by packed weights. */
    abstract static sealed class Quantized extends Linear {
        private Quantized(Engine engine, Parameter parameter) {
            super(engine, parameter);
        }

        /** The packed weights that both passes use. */
        abstract PackedMatrix weight();

        @Override
        void forward(Input x, FloatMatrix y, boolean accumulate) {
            PackedMatrix w = weight();
            engine.slices().rows(w.rows(), 16, (r0, r1, worker) ->
                    engine.kernels().linear(x.int8(), w, y, accumulate, r0, r1, worker.scratch()));
        }

        @Override
        void inputGradient(FloatMatrix dy, FloatMatrix dx, boolean accumulate) {
            PackedMatrix w = weight();
            engine.products(dy.rows(), (r0, r1, worker) ->
                    engine.kernels().inputGradient(dy, w, dx, accumulate, r0, r1, worker.scratch()));
        }

        @Override
        Gradient weightGradient(FloatMatrix dy, Input x) {
            QuantizedMatrix q = x.int8();
            return (dw, accumulate, r0, r1, worker) ->
                    engine.kernels().weightGradient(dy, q, dw, accumulate, r0, r1, worker.scratch());
        }
    }

    /** DQT: the stored codes are the weights. */
    static final class Packed extends Quantized {
        private final PackedMatrix weight;

        Packed(Engine engine, Parameter.Packed parameter) {
            super(engine, parameter);
            this.weight = parameter.weight();
        }

        @Override
        Linear on(Engine other) {
            return new Packed(other, (Parameter.Packed) parameter);
        }

        @Override
        PackedMatrix weight() {
            return weight;
        }
    }

    /** BitNet and ternary-forward DQT: both passes use a ternary copy, made anew each time. */
    static final class Ternarised extends Quantized {
        private final Ternary ternary;

        Ternarised(Engine engine, Parameter parameter, Ternary ternary) {
            super(engine, parameter);
            this.ternary = ternary;
        }

        @Override
        Linear on(Engine other) {
            throw new IllegalStateException(parameter.name() + ": its ternary copy belongs to one engine; deploy the model first");
        }

        @Override
        PackedMatrix weight() {
            return ternary.of(parameter);
        }
    }

    /** Plain floats. */
    static final class Floats extends Linear {
        private final FloatMatrix weight;
        private final Features features;
        private final int flags;

        Floats(Engine engine, Parameter.Plain parameter, Features features, boolean allowBf16) {
            super(engine, parameter);
            this.weight = parameter.weight();
            this.features = features;
            this.flags = allowBf16 ? Kernels.ALLOW_BF16 : 0;
        }

        @Override
        Linear on(Engine other) {
            return new Floats(other, (Parameter.Plain) parameter, features, flags != 0);
        }

        @Override
        void forward(Input x, FloatMatrix y, boolean accumulate) {
            if (x.floats().rows() <= Features.FEW_TOKENS) {
                features.product(engine, x.floats(), y, flags | (accumulate ? Kernels.ACCUMULATE : 0));
            } else {
                gemm(x.floats(), y, flags | Kernels.TRANSPOSE_B, accumulate);
            }
        }

        @Override
        void inputGradient(FloatMatrix dy, FloatMatrix dx, boolean accumulate) {
            gemm(dy, dx, flags, accumulate);
        }

        private void gemm(FloatMatrix a, FloatMatrix c, int product, boolean accumulate) {
            int all = product | (accumulate ? Kernels.ACCUMULATE : 0);
            engine.products(a.rows(), (r0, r1, worker) ->
                    engine.kernels().gemm(a, weight, c, all, r0, r1, worker.scratch()));
        }

        @Override
        Gradient weightGradient(FloatMatrix dy, Input x) {
            return outerProduct(engine, dy, 0, x.floats(), flags);
        }
    }

    /** dw = dy^T x, where column j of dy (T, n) belongs to row {@code first + j} of the weight. */
    static Gradient outerProduct(Engine engine, FloatMatrix dy, long first, FloatMatrix x, int flags) {
        return (dw, accumulate, r0, r1, worker) -> {
            FloatMatrix columns = engine.part(worker, dy, 0, dy.rows(), r0 - first, r1 - first);
            int all = flags | Kernels.TRANSPOSE_A | (accumulate ? Kernels.ACCUMULATE : 0);
            engine.kernels().gemm(columns, x, dw, all, 0, r1 - r0, worker.scratch());
        };
    }
}
