package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Team;
import io.sterna.kernel.Worker;
import io.sterna.nn.GradientSink.Gradient;
import io.sterna.nn.GradientSink.Part;
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

    /** Makes ready for products with the weights as they are now. */
    void prepare() {
        // Weights that are multiplied as they are stored need nothing.
    }

    /**
     * y (T, N) = x w^T, for a team to run.
     *
     * @param residual (T, N), what the product is added to, maybe y; or null
     * @param team     all workers, for a decoder's pass: a token's numbers don't depend on the others then; or one worker
     *                 by itself, for a chunk of a training's tokens, where float sums may go in another order
     */
    abstract Team.Work forwardWork(Input x, FloatMatrix residual, FloatMatrix y, Team team);

    /**
     * dx (T, K) = dy (T, N) w, or dx += dy w; keeps of dy what {@link #weightGradient} needs.
     *
     * @param codes room for dy in int8 (T, N); null where it is kept as floats
     * @param key   of the random bits that round dy to int8
     */
    final void inputGradient(FloatMatrix dy, OutputGradient kept, QuantizedMatrix codes, long key, FloatMatrix dx,
            boolean accumulate, Worker worker) {
        switch (kept) {
            case OutputGradient.Int8 int8 -> inputGradient(dy, int8, codes, key, dx, accumulate, worker);
            case OutputGradient.Floats floats -> {
                if (floats.matrix() != dy) {
                    engine.kernels().copy(dy, floats.matrix(), 0, dy.rows());
                }
                inputGradient(dy, floats, dx, accumulate, worker);
            }
        }
    }

    abstract void inputGradient(FloatMatrix dy, OutputGradient.Floats kept, FloatMatrix dx, boolean accumulate, Worker worker);

    abstract void inputGradient(FloatMatrix dy, OutputGradient.Int8 kept, QuantizedMatrix codes, long key, FloatMatrix dx,
            boolean accumulate, Worker worker);

    /** dw (N, K) = dy^T x. Taking it may update w, so all dx come first. */
    abstract Part weightGradient(OutputGradient dy, Input x);

    /** Multiplies int8 activations by packed weights. */
    abstract static sealed class Quantized extends Linear {
        /** Tokens up to which weights come from memory faster than they are multiplied. */
        private static final long FEW_TOKENS = 16;
        /** Bytes of weights that few tokens should meet in a slice: memory is slow where a slice begins. */
        private static final long STREAM = 1 << 18;

        private Quantized(Engine engine, Parameter parameter) {
            super(engine, parameter);
        }

        /** The packed weights that both passes use. */
        abstract PackedMatrix weight();

        @Override
        Team.Work forwardWork(Input x, FloatMatrix residual, FloatMatrix y, Team team) {
            PackedMatrix w = weight();
            long worth = x.int8().rows() > FEW_TOKENS ? 1 : STREAM / w.grid().rowBytes(w.cols());
            return team.rowWork(w.rows(), 16, worth, (r0, r1, worker) ->
                    engine.kernels().linear(x.int8(), w, y, residual, r0, r1, worker.scratch()));
        }

        @Override
        void inputGradient(FloatMatrix dy, OutputGradient.Floats kept, FloatMatrix dx, boolean accumulate, Worker worker) {
            engine.kernels().inputGradient(dy, weight(), dx, kept.flags(accumulate), 0, dy.rows(), worker.scratch());
        }

        @Override
        void inputGradient(FloatMatrix dy, OutputGradient.Int8 kept, QuantizedMatrix codes, long key, FloatMatrix dx,
                boolean accumulate, Worker worker) {
            PackedMatrix w = weight();
            engine.kernels().quantizeGradient(dy, w, kept.input(), codes, kept.matrix(), kept.first(), key, 0, dy.rows());
            engine.kernels().inputGradient(codes, w, dx, accumulate, 0, dy.rows(), worker.scratch());
        }

        @Override
        Part weightGradient(OutputGradient dy, Input x) {
            QuantizedMatrix q = x.int8();
            return Part.of(parameter, switch (dy) {
                case OutputGradient.Floats floats -> (dw, accumulate, r0, r1, worker) ->
                        engine.kernels().weightGradient(floats.matrix(), q, dw, floats.flags(accumulate), r0, r1, worker.scratch());
                case OutputGradient.Int8(var codes, var input, var first) -> (dw, accumulate, r0, r1, worker) ->
                        engine.kernels().weightGradient(codes, q, dw, accumulate, r0, r1, worker.scratch());
            });
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

    /** BitNet and ternary-forward DQT: both passes use a ternary copy, made anew for each. */
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
        void prepare() {
            ternary.refresh(parameter);
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
        Team.Work forwardWork(Input x, FloatMatrix residual, FloatMatrix y, Team team) {
            boolean accumulate = residual != null;
            if (accumulate && residual != y) {
                engine.copy(residual, y, team);
            }
            return switch (team) {
                case Slices all -> features.product(engine, x.floats(), y, flags | (accumulate ? Kernels.ACCUMULATE : 0));
                case Worker alone -> new Team.Work(1, (i, worker) -> gemm(x.floats(), y, flags | Kernels.TRANSPOSE_B, accumulate, worker));
            };
        }

        @Override
        void inputGradient(FloatMatrix dy, OutputGradient.Floats kept, FloatMatrix dx, boolean accumulate, Worker worker) {
            gemm(dy, dx, kept.productFlags(flags), accumulate, worker);
        }

        @Override
        void inputGradient(FloatMatrix dy, OutputGradient.Int8 kept, QuantizedMatrix codes, long key, FloatMatrix dx,
                boolean accumulate, Worker worker) {
            throw new IllegalStateException(parameter.name() + ": float weights have no int8 gradients");
        }

        private void gemm(FloatMatrix a, FloatMatrix c, int product, boolean accumulate, Worker worker) {
            int all = product | (accumulate ? Kernels.ACCUMULATE : 0);
            engine.kernels().gemm(a, weight, c, all, 0, a.rows(), worker.scratch());
        }

        @Override
        Part weightGradient(OutputGradient dy, Input x) {
            OutputGradient.Floats floats = (OutputGradient.Floats) dy;
            return Part.of(parameter, outerProduct(engine, floats.matrix(), 0, x.floats(), floats.productFlags(flags)));
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
