package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Logits (T, vocab) = x (T, H) times the head (vocab, H) transposed, and their cross-entropy, in chunks of
 * the vocabulary so that no (T, vocab) matrix exists: one pass for the softmax's statistics, one that
 * computes the logits again and turns them into gradients.
 */
final class Head {
    /** Floats of a chunk of logits: 32 MiB. */
    private static final long CHUNK = 1 << 23;

    private final Engine engine;
    private final Parameter.Plain parameter;
    private final Features features;
    private final int flags;

    Head(Engine engine, Parameter.Plain parameter, Features features, boolean allowBf16) {
        this.engine = engine;
        this.parameter = parameter;
        this.features = features;
        this.flags = allowBf16 ? Kernels.ALLOW_BF16 : 0;
    }

    /** The same head, computing with another engine. */
    Head on(Engine other) {
        return new Head(other, parameter, features, flags != 0);
    }

    /** Buffers of the head for T tokens, and its weights in chunks. */
    static final class Tape {
        private final FloatMatrix memory;
        private final FloatMatrix logits;
        private final List<FloatMatrix> weights;
        private final FloatMatrix max;
        private final FloatMatrix sum;
        private final FloatMatrix target;
        private final long chunk;

        /** For training: chunks as long as memory allows. The workspace is that of the weights. */
        static Tape large(Head head, long tokens, Workspace workspace) {
            FloatMatrix weight = head.parameter.weight();
            long chunk = Math.min(weight.rows(), Math.max(1, CHUNK / tokens / 64) * 64);
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            return new Tape(FloatMatrix.windows(section, weight, chunk), chunk, tokens, section);
        }

        /** For up to {@code tokens} tokens of a forward pass alone, in any workspace. */
        static Tape small(Head head, long tokens, Workspace workspace) {
            long chunk = Math.min(head.parameter.rows(), Features.PART);
            return new Tape(head.features.parts(), chunk, tokens, workspace.section(MemoryKind.SCRATCH));
        }

        private Tape(List<FloatMatrix> weights, long chunk, long tokens, Workspace.Section section) {
            this.weights = weights;
            this.chunk = chunk;
            memory = FloatMatrix.allocate(section, FloatType.F32, tokens, chunk);
            logits = FloatMatrix.window(section);
            max = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
            sum = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
            target = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
        }

        void resize(long tokens) {
            memory.reshape(tokens, chunk);
            max.reshape(1, tokens);
            sum.reshape(1, tokens);
            target.reshape(1, tokens);
        }
    }

    /** The head's weights; the embedding's when they are tied. */
    Parameter.Plain parameter() {
        return parameter;
    }

    /** The sum of the cross-entropies of all tokens whose target is not -1; targets int32 (T). */
    double loss(FloatMatrix x, MemorySegment targets, Tape tape) {
        double sum = 0;
        for (double loss : losses(x, targets, tape)) {
            sum += loss;
        }
        return sum;
    }

    /** The cross-entropy of each token (T), 0 where the target is -1; targets int32 (T). */
    double[] losses(FloatMatrix x, MemorySegment targets, Tape tape) {
        tape.max.data().fill((byte) 0);
        tape.sum.data().fill((byte) 0);
        for (long t = 0; t < x.rows(); t++) {
            tape.max.set(0, t, Float.NEGATIVE_INFINITY);
        }
        chunks(tape, (vocab0, vocab1, weight) -> engine.products(x.rows(), (r0, r1, worker) -> {
            engine.kernels().gemm(x, weight, tape.logits, flags | Kernels.TRANSPOSE_B, r0, r1, worker.scratch());
            engine.kernels().crossEntropy(tape.logits, vocab0, targets, tape.max, tape.sum, tape.target, r0, r1);
        }));
        return losses(targets, tape);
    }

    /** Logits (T, vocab) of a few tokens x (T, H). */
    void logits(FloatMatrix x, FloatMatrix out) {
        features.product(engine, x, out, flags);
    }

    private static double[] losses(MemorySegment targets, Tape tape) {
        double[] losses = new double[Math.toIntExact(tape.max.cols())];
        for (int t = 0; t < losses.length; t++) {
            if (targets.getAtIndex(ValueLayout.JAVA_INT, t) >= 0) {
                losses[t] = tape.max.get(0, t) + StrictMath.log(tape.sum.get(0, t)) - tape.target.get(0, t);
            }
        }
        return losses;
    }

    /** dx (T, H) of factor * loss, after {@link #loss} of the same x and targets; hands rows over, completes nothing. */
    void backward(FloatMatrix x, MemorySegment targets, float factor, FloatMatrix dx, Tape tape, GradientSink sink) {
        Kernels kernels = engine.kernels();
        chunks(tape, (vocab0, vocab1, weight) -> {
            boolean recompute = tape.chunk < parameter.rows();
            int add = vocab0 > 0 ? Kernels.ACCUMULATE : 0;
            engine.products(x.rows(), (r0, r1, worker) -> {
                if (recompute) {
                    kernels.gemm(x, weight, tape.logits, flags | Kernels.TRANSPOSE_B, r0, r1, worker.scratch());
                }
                kernels.crossEntropyGradient(tape.logits, vocab0, targets, tape.max, tape.sum, factor, r0, r1);
                kernels.gemm(tape.logits, weight, dx, flags | add, r0, r1, worker.scratch());
            });
            sink.accept(parameter, vocab0, vocab1, Linear.outerProduct(engine, tape.logits, vocab0, x, flags));
        });
    }

    private interface Chunk {
        void run(long vocab0, long vocab1, FloatMatrix weight);
    }

    /** Takes the chunks of the vocabulary in turn. */
    private void chunks(Tape tape, Chunk body) {
        long vocab0 = 0;
        for (FloatMatrix weight : tape.weights) {
            tape.logits.shaped(tape.memory, tape.memory.rows(), weight.rows());
            body.run(vocab0, vocab0 + weight.rows(), weight);
            vocab0 += weight.rows();
        }
    }
}
