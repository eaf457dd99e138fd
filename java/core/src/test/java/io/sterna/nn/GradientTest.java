package io.sterna.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Each parameter's gradient against the change of the loss along it, in a whole model. */
class GradientTest {
    private static final int SEQUENCES = 2;

    /** Keeps whole gradients. */
    private static final class Capture implements GradientSink {
        private final Engine engine;
        private final Workspace.Section section;
        private final Map<Parameter, FloatMatrix> gradients = new HashMap<>();

        Capture(Engine engine, Workspace workspace) {
            this.engine = engine;
            this.section = workspace.section(MemoryKind.GRADIENT_BUFFERS);
        }

        @Override
        public void accept(List<Part> parts) {
            for (Part part : parts) {
                FloatMatrix whole = gradients.computeIfAbsent(part.parameter(),
                        p -> FloatMatrix.allocate(section, FloatType.F32, p.rows(), p.cols()));
                engine.slices().tiles(part.row1() - part.row0(), 16, (r0, r1, worker) -> {
                    long row0 = part.row0() + r0;
                    long row1 = part.row0() + r1;
                    part.gradient().compute(engine.rows(worker, whole, row0, row1), true, row0, row1, worker);
                });
            }
        }

        @Override
        public void complete(Parameter p) {
            assertTrue(gradients.containsKey(p));
        }
    }

    /** A model with its pass, in a workspace of its own. */
    private static final class Fixture implements AutoCloseable {
        private final Workspace workspace = new Workspace();
        private final Slices slices = new Slices(2);
        private final Llama model;
        private final LlamaPass pass;
        private final Capture capture;
        private final MemorySegment inputs;
        private final MemorySegment targets;

        Fixture(LlamaConfig config, Method method, FloatType activations, boolean recompute) {
            this(config, method, new Batch(SEQUENCES, config.seqLen(), activations, GradientType.FLOAT), recompute, Head.LOGITS);
        }

        Fixture(LlamaConfig config, Method method, GradientType gradients) {
            this(config, method, new Batch(SEQUENCES, config.seqLen(), FloatType.F32, gradients), false, Head.LOGITS);
        }

        /** Plain floats, with room for so many logits. */
        Fixture(LlamaConfig config, long logits) {
            this(config, Method.fp32(), new Batch(SEQUENCES, config.seqLen()), false, logits);
        }

        private Fixture(LlamaConfig config, Method method, Batch batch, boolean recompute, long logits) {
            Engine engine = new Engine(method.kernels(Kernels.best()), slices, 2, workspace, config.widest());
            model = new Llama(config, method, engine, workspace);
            model.initialize(3);
            pass = new LlamaPass(model, engine, batch, recompute, logits, workspace);
            capture = new Capture(engine, workspace);
            int tokens = SEQUENCES * config.seqLen();
            inputs = MemorySegment.ofArray(new Random(5).ints(tokens, 0, config.vocab()).toArray());
            targets = MemorySegment.ofArray(new Random(6).ints(tokens, -1, config.vocab()).toArray());
        }

        double loss() {
            return pass.forward(inputs, targets);
        }

        /** The loss again; fills the capture. */
        double gradients() {
            return pass.backward(inputs, targets, 1, 0, 1, capture);
        }

        @Override
        public void close() {
            workspace.close();
            slices.close();
        }
    }

    static Stream<LlamaConfig> configs() {
        return Stream.of(
                new LlamaConfig(48, 80, 2, 4, 2, 70, 20, 1e4, 1e-5, true, false),
                new LlamaConfig(32, 112, 1, 4, 4, 70, 20, 1e4, 1e-5, false, false),
                new LlamaConfig(48, 80, 2, 2, 1, 70, 20, 1e4, 1e-5, true, true),
                new LlamaConfig(48, 80, 2, 4, 2, 70, 20, 1e4, 1e-5, true, false).withHeadDim(22),
                new LlamaConfig(48, 80, 2, 4, 2, 70, 20, 1e4, 1e-5, false, true).withHeadDim(6));
    }

    @ParameterizedTest
    @MethodSource("configs")
    void everyGradientIsTheSlopeOfTheLoss(LlamaConfig config) {
        try (Fixture f = new Fixture(config, Method.fp32(), FloatType.F32, false)) {
            assertEquals(f.loss(), f.gradients(), 1e-6);
            assertEquals(f.model.parameters().size(), f.capture.gradients.size());
            for (Parameter p : f.model.parameters()) {
                FloatMatrix weight = ((Parameter.Plain) p).weight();
                FloatMatrix gradient = f.capture.gradients.get(p);
                double norm = norm(gradient);
                double step = 0.02 * norm(weight) / Math.sqrt(p.rows());
                double up = lossAt(f, weight, gradient, step / norm);
                double down = lossAt(f, weight, gradient, -step / norm);
                assertEquals(norm, (up - down) / (2 * step), 0.01 * norm, p.name());
            }
        }
    }

    /** The loss with weight + scale * direction. */
    private static double lossAt(Fixture f, FloatMatrix weight, FloatMatrix direction, double scale) {
        byte[] before = weight.data().toArray(ValueLayout.JAVA_BYTE);
        for (long r = 0; r < weight.rows(); r++) {
            for (long c = 0; c < weight.cols(); c++) {
                weight.set(r, c, (float) (weight.get(r, c) + scale * direction.get(r, c)));
            }
        }
        double loss = f.loss();
        weight.data().copyFrom(MemorySegment.ofArray(before));
        return loss;
    }

    private static double norm(FloatMatrix x) {
        double squares = 0;
        for (long r = 0; r < x.rows(); r++) {
            for (long c = 0; c < x.cols(); c++) {
                squares += (double) x.get(r, c) * x.get(r, c);
            }
        }
        return Math.sqrt(squares);
    }

    /** All logits at once; groups of 480 tokens, the last one shorter; the vocabulary in chunks of 64 and 6: of twice the logits, which fit. */
    @Test
    void theHeadMayCutTokensOrVocabulary() {
        LlamaConfig config = new LlamaConfig(16, 32, 1, 2, 2, 70, 600, 1e4, 1e-5, true, false);
        try (Fixture whole = new Fixture(config, Method.fp32(), FloatType.F32, false);
                Fixture groups = new Fixture(config, 35 * 600);
                Fixture chunks = new Fixture(config, 15_000)) {
            Parameter head = whole.model.head.parameter();
            assertEquals(List.of(false, true, false), Stream.of(whole, groups, chunks).map(f -> f.pass.addsUp(f.model.head.parameter())).toList());
            double loss = whole.gradients();
            for (Fixture other : List.of(groups, chunks)) {
                assertEquals(loss, other.gradients(), 1e-6 * loss);
                assertEquals(loss, other.loss(), 1e-6 * loss);
                for (Parameter p : List.of(head, whole.model.embedding)) {
                    assertClose(whole.capture.gradients.get(p), other.capture.gradients.get(other.model.parameters().get(p.id())), 1e-5);
                }
            }
        }
    }

    /** Every element to within a share of the norm of all. */
    private static void assertClose(FloatMatrix expected, FloatMatrix actual, double share) {
        double bound = share * norm(expected);
        for (long r = 0; r < expected.rows(); r++) {
            for (long c = 0; c < expected.cols(); c++) {
                assertEquals(expected.get(r, c), actual.get(r, c), bound, "(" + r + ", " + c + ")");
            }
        }
    }

    /** By a few units of the last of 16 bits, relative to the largest, and of 12 bits of the head's weights. */
    @Test
    void int16GradientsStayClose() {
        LlamaConfig config = configs().findFirst().orElseThrow();
        for (Method method : List.of(Method.dqt(Grid.INT8), Method.dqt(Grid.TERNARY).withScale(Scaling.ROW, ScaleRule.ABSMEAN))) {
            try (Fixture floats = new Fixture(config, method, GradientType.FLOAT); Fixture int16 = new Fixture(config, method, GradientType.INT16)) {
                double loss = floats.gradients();
                assertEquals(loss, int16.gradients(), 1e-5 * loss);
                for (Parameter p : floats.model.parameters()) {
                    assertClose(floats.capture.gradients.get(p), int16.capture.gradients.get(int16.model.parameters().get(p.id())), 1e-3);
                }
            }
        }
    }

    @Test
    void bf16ActivationsStayClose() {
        LlamaConfig config = configs().findFirst().orElseThrow();
        Method method = Method.dqt(Grid.INT8);
        try (Fixture exact = new Fixture(config, method, FloatType.F32, false);
                Fixture rounded = new Fixture(config, method, FloatType.BF16, true)) {
            double loss = exact.gradients();
            assertEquals(loss, rounded.gradients(), 1e-3 * loss);
            for (Parameter p : exact.model.parameters()) {
                FloatMatrix a = exact.capture.gradients.get(p);
                FloatMatrix b = rounded.capture.gradients.entrySet().stream()
                        .filter(e -> e.getKey().id() == p.id()).findFirst().orElseThrow().getValue();
                assertEquals(1, norm(b) / norm(a), 0.05, p.name());
            }
        }
    }
}
