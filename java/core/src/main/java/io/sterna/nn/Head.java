package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Worker;
import io.sterna.nn.GradientSink.Part;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Logits (T, vocab) = x (T, H) times the head (vocab, H) transposed, and their cross-entropy. No (T, vocab)
 * matrix exists: tokens come in groups whose logits fit in memory. Where a group would be too small to be worth
 * unpacking the weights for, all tokens come at once and the vocabulary in chunks: one pass for the softmax's
 * statistics, one that computes the logits again and turns them into gradients.
 */
final class Head {
    /** Floats of the logits of a group or a chunk: 8 MiB. */
    static final long LOGITS = 1 << 21;
    /** Tokens of a group, at least. */
    private static final long MIN_GROUP = 512;

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

    /** Of what the products of a training multiply: bf16 where they would round it to that anyway. */
    FloatType operandType() {
        Kernels kernels = engine.kernels();
        return flags != 0 && kernels != null && kernels.multiplyBf16() ? FloatType.BF16 : FloatType.F32; // a plan has none
    }

    /** The same head, computing with another engine. */
    Head on(Engine other) {
        return new Head(other, parameter, features, flags != 0);
    }

    /**
     * The tokens that a training's {@link Tape} takes at once.
     *
     * @param floats room for logits
     * @param unit   what the tokens of a group are a multiple of, if there are several
     */
    long group(long tokens, long floats, long unit) {
        long fit = floats / parameter.rows();
        return fit >= tokens || fit < Math.max(MIN_GROUP, unit) ? tokens : fit / unit * unit;
    }

    /** A part of the vocabulary: its first word and the weights of its words. */
    private record Words(long first, FloatMatrix weight) {
        /** Windows over a weight, of {@code size} words each. */
        static List<Words> of(List<FloatMatrix> weights, long size) {
            return IntStream.range(0, weights.size()).mapToObj(i -> new Words(i * size, weights.get(i))).toList();
        }
    }

    /** Buffers of the head for T tokens, and its weights in chunks of the vocabulary. */
    static final class Tape {
        private final FloatMatrix memory;
        private final FloatMatrix logits;
        private final FloatMatrix gradient;
        private final boolean bf16;
        private final List<Words> words;
        private final FloatMatrix max;
        private final FloatMatrix sum;
        private final FloatMatrix target;
        private final long chunk;
        private final int flags;

        /** For training: chunks as large as {@code floats} logits. The section is of the weights' workspace. */
        static Tape large(Head head, long tokens, long floats, GradientType gradients, Workspace.Section section) {
            FloatMatrix weight = head.parameter.weight();
            long fit = floats / tokens;
            long even = 2 * Engine.tileRows(weight.rows(), weight.cols()); // two workers share a chunk's tiles evenly
            long unit = fit < even ? 64 : even;
            long chunk = Math.min(weight.rows(), Math.max(1, fit / unit) * unit);
            int flags = gradients.flags(head.flags);
            return new Tape(FloatMatrix.windows(section, weight, chunk), chunk, tokens, flags, head.operandType(), section);
        }

        /** For up to {@code tokens} tokens of a forward pass alone, in any workspace. */
        static Tape small(Head head, long tokens, Workspace workspace) {
            long chunk = Math.min(head.parameter.rows(), Features.PART);
            return new Tape(head.features.parts(), chunk, tokens, head.flags, FloatType.F32, workspace.section(MemoryKind.SCRATCH));
        }

        /** @param type of the gradients of logits */
        private Tape(List<FloatMatrix> weights, long chunk, long tokens, int flags, FloatType type, Workspace.Section section) {
            this.flags = flags;
            this.bf16 = type == FloatType.BF16;
            this.words = Words.of(weights, chunk);
            this.chunk = chunk;
            memory = FloatMatrix.allocate(section, FloatType.F32, tokens, chunk);
            logits = FloatMatrix.window(section);
            gradient = FloatMatrix.window(section);
            max = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
            sum = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
            target = FloatMatrix.allocate(section, FloatType.F32, 1, tokens);
        }

        void resize(long tokens) {
            if (tokens != max.cols()) {
                memory.reshape(tokens, chunk);
                max.reshape(1, tokens);
                sum.reshape(1, tokens);
                target.reshape(1, tokens);
            }
        }

        private void layOver(Words words) {
            logits.shaped(memory, memory.rows(), words.weight.rows());
            if (bf16) {
                gradient.asBf16(logits);
            } else {
                gradient.overRows(logits, 0, logits.rows());
            }
        }

        private void clear() {
            max.data().fill((byte) 0);
            sum.data().fill((byte) 0);
            for (long t = 0; t < max.cols(); t++) {
                max.set(0, t, Float.NEGATIVE_INFINITY);
            }
        }
    }

    /** The head's weights; the embedding's when they are tied. */
    Parameter.Plain parameter() {
        return parameter;
    }

    /** The sum of the cross-entropies of all tokens whose target is not -1; targets int32 (T). */
    double loss(FloatMatrix x, MemorySegment targets, Tape tape) {
        return sum(losses(x, targets, tape));
    }

    /** The cross-entropy of each token (T), 0 where the target is -1; targets int32 (T). */
    double[] losses(FloatMatrix x, MemorySegment targets, Tape tape) {
        tape.clear();
        for (Words words : tape.words) {
            tape.layOver(words);
            engine.products(x.rows(), (r0, r1, worker) -> {
                multiply(x, words, tape, r0, r1, worker);
                engine.kernels().crossEntropy(tape.logits, words.first, targets, tape.max, tape.sum, tape.target, r0, r1);
            });
        }
        return losses(targets, tape);
    }

    /**
     * The loss, and dx (T, H) of factor * loss; hands over what these tokens give to the gradient of the weights,
     * completes nothing. When the loss is not finite, it hands nothing over.
     */
    double backward(FloatMatrix x, MemorySegment targets, float factor, FloatMatrix dx, Tape tape, GradientSink sink) {
        return tape.words.size() == 1 ? backwardAtOnce(x, targets, factor, dx, tape, sink)
                : backwardInChunks(x, targets, factor, dx, tape, sink);
    }

    private double backwardAtOnce(FloatMatrix x, MemorySegment targets, float factor, FloatMatrix dx, Tape tape, GradientSink sink) {
        Words words = tape.words.getFirst();
        tape.clear();
        tape.layOver(words);
        engine.products(x.rows(), (r0, r1, worker) -> {
            multiply(x, words, tape, r0, r1, worker);
            engine.kernels().crossEntropy(tape.logits, 0, targets, tape.max, tape.sum, tape.target, r0, r1);
            multiplyBack(targets, factor, dx, words, tape, r0, r1, worker);
        });
        double loss = sum(losses(targets, tape));
        if (Double.isFinite(loss)) {
            sink.accept(List.of(weightGradient(x, words, tape)));
        }
        return loss;
    }

    private double backwardInChunks(FloatMatrix x, MemorySegment targets, float factor, FloatMatrix dx, Tape tape, GradientSink sink) {
        double loss = loss(x, targets, tape);
        if (!Double.isFinite(loss)) {
            return loss;
        }
        for (Words words : tape.words) {
            tape.layOver(words);
            engine.products(x.rows(), (r0, r1, worker) -> {
                multiply(x, words, tape, r0, r1, worker);
                multiplyBack(targets, factor, dx, words, tape, r0, r1, worker);
            });
            sink.accept(List.of(weightGradient(x, words, tape)));
        }
        return loss;
    }

    private void multiply(FloatMatrix x, Words words, Tape tape, long r0, long r1, Worker worker) {
        engine.kernels().gemm(x, words.weight, tape.logits, tape.flags | Kernels.TRANSPOSE_B, r0, r1, worker.scratch());
    }

    /** Turns the logits into their gradient, where they stand, and adds what it gives to dx. */
    private void multiplyBack(MemorySegment targets, float factor, FloatMatrix dx, Words words, Tape tape, long r0, long r1, Worker worker) {
        int add = words.first > 0 ? Kernels.ACCUMULATE : 0;
        engine.kernels().crossEntropyGradient(tape.logits, words.first, targets, tape.max, tape.sum, factor, tape.gradient, r0, r1);
        engine.kernels().gemm(tape.gradient, words.weight, dx, tape.flags | add, r0, r1, worker.scratch());
    }

    private Part weightGradient(FloatMatrix x, Words words, Tape tape) {
        return new Part(parameter, words.first, words.first + words.weight.rows(),
                Linear.outerProduct(engine, tape.gradient, words.first, x, tape.flags));
    }

    /** Logits (T, vocab) of a few tokens x (T, H). */
    void logits(FloatMatrix x, FloatMatrix out) {
        engine.slices().run(features.product(engine, x, out, flags));
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

    private static double sum(double[] losses) {
        double sum = 0;
        for (double loss : losses) {
            sum += loss;
        }
        return sum;
    }
}
