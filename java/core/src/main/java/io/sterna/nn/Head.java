package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

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
    private final int flags;

    Head(Engine engine, Parameter.Plain parameter, boolean allowBf16) {
        this.engine = engine;
        this.parameter = parameter;
        this.flags = allowBf16 ? Kernels.ALLOW_BF16 : 0;
    }

    /** Buffers of the head for T tokens. */
    static final class Tape {
        private final FloatMatrix memory;
        private final FloatMatrix logits;
        private final FloatMatrix weight;
        private final FloatMatrix max;
        private final FloatMatrix sum;
        private final FloatMatrix target;
        private final long chunk;

        Tape(LlamaConfig config, long tokens, Workspace workspace) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            chunk = Math.min(config.vocab(), Math.max(1, CHUNK / tokens / 64) * 64);
            memory = FloatMatrix.allocate(section, FloatType.F32, tokens, chunk);
            logits = FloatMatrix.window(section);
            weight = FloatMatrix.window(section);
            max = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
            sum = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
            target = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
        }
    }

    /** The head's weights; the embedding's when they are tied. */
    Parameter.Plain parameter() {
        return parameter;
    }

    /** The sum of the cross-entropies of all tokens whose target is not -1; targets int32 (T). */
    double loss(FloatMatrix x, MemorySegment targets, Tape tape) {
        tape.max.data().fill((byte) 0);
        tape.sum.data().fill((byte) 0);
        for (long t = 0; t < x.rows(); t++) {
            tape.max.set(0, t, Float.NEGATIVE_INFINITY);
        }
        chunks(tape, (vocab0, vocab1) -> engine.products(x.rows(), (r0, r1, worker) -> {
            engine.kernels().gemm(x, tape.weight, tape.logits, flags | Kernels.TRANSPOSE_B, r0, r1, worker.scratch());
            engine.kernels().crossEntropy(tape.logits, vocab0, targets, tape.max, tape.sum, tape.target, r0, r1);
        }));
        return sum(targets, tape);
    }

    /** Logits out (1, vocab) of row {@code row} of x. */
    void logits(FloatMatrix x, long row, FloatMatrix out) {
        engine.slices().run(1, (i, worker) -> engine.kernels().gemm(engine.rows(worker, x, row, row + 1),
                parameter.weight(), out, flags | Kernels.TRANSPOSE_B, 0, 1, worker.scratch()));
    }

    private static double sum(MemorySegment targets, Tape tape) {
        double loss = 0;
        for (long t = 0; t < tape.max.cols(); t++) {
            if (targets.getAtIndex(ValueLayout.JAVA_INT, t) >= 0) {
                loss += tape.max.get(0, t) + StrictMath.log(tape.sum.get(0, t)) - tape.target.get(0, t);
            }
        }
        return loss;
    }

    /** dx (T, H) of factor * loss, after {@link #loss} of the same x and targets; hands rows over, completes nothing. */
    void backward(FloatMatrix x, MemorySegment targets, float factor, FloatMatrix dx, Tape tape, GradientSink sink) {
        Kernels kernels = engine.kernels();
        chunks(tape, (vocab0, vocab1) -> {
            boolean recompute = tape.chunk < parameter.rows();
            int add = vocab0 > 0 ? Kernels.ACCUMULATE : 0;
            engine.products(x.rows(), (r0, r1, worker) -> {
                if (recompute) {
                    kernels.gemm(x, tape.weight, tape.logits, flags | Kernels.TRANSPOSE_B, r0, r1, worker.scratch());
                }
                kernels.crossEntropyGradient(tape.logits, vocab0, targets, tape.max, tape.sum, factor, r0, r1);
                kernels.gemm(tape.logits, tape.weight, dx, flags | add, r0, r1, worker.scratch());
            });
            sink.accept(parameter, vocab0, vocab1, Linear.outerProduct(engine, tape.logits, vocab0, x, flags));
        });
    }

    private interface Chunk {
        void run(long vocab0, long vocab1);
    }

    /** Lays the windows over each chunk in turn. */
    private void chunks(Tape tape, Chunk body) {
        for (long v = 0; v < parameter.rows(); v += tape.chunk) {
            long end = Math.min(parameter.rows(), v + tape.chunk);
            tape.logits.shaped(tape.memory, tape.memory.rows(), end - v);
            tape.weight.overRows(parameter.weight(), v, end);
            body.run(v, end);
        }
    }
}
