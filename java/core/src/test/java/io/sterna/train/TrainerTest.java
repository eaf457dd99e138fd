package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.nn.GradientType;
import io.sterna.nn.LayerKind;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.nn.ScaleRule;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.StateType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class TrainerTest {
    private static final int STEPS = 200;

    static Stream<Arguments> methods() {
        return Stream.of(
                Arguments.of(Method.fp32(), 0.05),
                Arguments.of(Method.bf16(), 0.05),
                Arguments.of(Method.bitnet(), 0.05),
                Arguments.of(Method.dqt(Grid.INT8), 0.05),
                Arguments.of(Method.dqt(Grid.INT8).withScale(Scaling.ROW, ScaleRule.sigma(3)), 0.05),
                Arguments.of(Method.dqt(Grid.INT8).withFloatType(FloatType.BF16), 0.05),
                Arguments.of(Method.dqtTernaryForward(), 0.05),
                Arguments.of(Method.dqt(Grid.INT4).withScale(Scaling.group(64), ScaleRule.ABSMAX), 0.05),
                Arguments.of(Method.dqt(Grid.TERNARY), 0.2),
                Arguments.of(Method.dqt(Grid.BINARY), 0.5));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("methods")
    void learnsOneBatchByHeart(Method method, double bound) {
        Trainings training = Trainings.of(method).with(Schedule.cosine(5e-3, 10, STEPS));
        try (Slices slices = new Slices(2); Trainer trainer = training.start(slices)) {
            StepReport report = null;
            for (int step = 1; step <= STEPS; step++) {
                report = trainer.step(step, training.inputs(1), training.targets(1));
                assertFalse(report.nonFinite());
            }
            assertTrue(report.loss() < bound, "loss " + report.loss());
        }
    }

    static Stream<OptimizerConfig> optimizers() {
        return Stream.of(
                OptimizerConfig.adamw().withState(StateType.BF16),
                OptimizerConfig.adamw().withState(StateType.INT8),
                OptimizerConfig.adafactor(),
                new OptimizerConfig(OptimizerConfig.Kind.ADAFACTOR, 0.9, 0, 1e-30, 0, 0, 1, StateType.INT8));
    }

    @ParameterizedTest
    @MethodSource("optimizers")
    void everyOptimizerLearns(OptimizerConfig optimizer) {
        Trainings training = Trainings.of(Method.dqt(Grid.INT8)).with(optimizer).with(Schedule.cosine(5e-3, 10, STEPS));
        double bound = Tier.best() == Tier.AMX ? 0.15 : 0.1; // AMX rounds the gradients' operands to bf16
        assertTrue(lossAfter(training, STEPS) < bound, "loss " + lossAfter(training, STEPS));
    }

    @Test
    void plainSgdLearns() {
        // Its steps follow the gradient's size, so it takes another rate and learns more slowly.
        Trainings training = Trainings.of(Method.fp32()).with(OptimizerConfig.sgd()).with(Schedule.constant(0.05, 10, STEPS));
        assertTrue(lossAfter(training, STEPS) < 1, "loss " + lossAfter(training, STEPS));
    }

    private static double lossAfter(Trainings training, int steps) {
        try (Slices slices = new Slices(2); Trainer trainer = training.start(slices)) {
            for (int step = 1; step <= steps; step++) {
                trainer.step(step, training.inputs(1), training.targets(1));
            }
            return trainer.evaluate(training.inputs(1), training.targets(1)).loss();
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("methods")
    void threadsDoNotMatter(Method method, double bound) {
        Trainings training = Trainings.of(method);
        String one = training.hash(4, 1);
        assertEquals(one, training.hash(4, 2));
        assertEquals(one, training.hash(4, 3));
    }

    @Test
    void theSeedMatters() {
        Trainings training = Trainings.ternary();
        TrainSettings other = TrainSettings.of(Trainings.BATCH, 43);
        assertNotEquals(training.hash(2, 2), training.with(other).hash(2, 2));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("methods")
    void recomputationChangesNothing(Method method, double bound) {
        Trainings kept = Trainings.of(method);
        Trainings recomputed = kept.with(new TrainSettings(Trainings.BATCH, 1, Clip.NONE, Rounding.STOCHASTIC, true, FloatType.F32, GradientType.FLOAT, 42));
        assertEquals(kept.hash(3, 2), recomputed.hash(3, 2));
    }

    @Test
    void bf16ActivationsLearnAndTakeLess() {
        Trainings exact = Trainings.ternary().with(Schedule.cosine(5e-3, 10, STEPS));
        Trainings rounded = exact.with(exact.settings().withActivations(FloatType.BF16));
        assertTrue(lossAfter(rounded, STEPS) < 0.2, "loss " + lossAfter(rounded, STEPS));
        assertEquals(rounded.hash(3, 1), rounded.hash(3, 3));
        assertEquals(rounded.hash(3, 2), rounded.with(rounded.settings().withRecompute(true)).hash(3, 2));
        assertTrue(rounded.plan().bytes().get(MemoryKind.ACTIVATIONS) < 0.7 * exact.plan().bytes().get(MemoryKind.ACTIVATIONS));
    }

    @Test
    void int8GradientsLearnWhateverTheThreads() {
        for (Method method : List.of(Method.dqt(Grid.INT8).withScale(Scaling.ROW, ScaleRule.sigma(3)), Method.dqtTernaryForward())) {
            Trainings floats = Trainings.of(method).with(Schedule.cosine(5e-3, 10, STEPS));
            Trainings int8 = floats.with(floats.settings().withGradients(GradientType.INT8));
            assertTrue(lossAfter(int8, STEPS) < 0.1, "loss " + lossAfter(int8, STEPS));
            assertNotEquals(floats.hash(3, 2), int8.hash(3, 2));
            assertEquals(int8.hash(3, 1), int8.hash(3, 3));
            assertEquals(int8.hash(3, 2), int8.with(int8.settings().withRecompute(true)).hash(3, 2));
        }
    }

    @Test
    void int16GradientsLearnWhateverTheThreads() {
        for (Method method : List.of(Method.dqt(Grid.INT8), Method.dqt(Grid.INT4).withScale(Scaling.group(64), ScaleRule.ABSMAX), Method.bitnet())) {
            Trainings floats = Trainings.of(method).with(Schedule.cosine(5e-3, 10, STEPS));
            Trainings int16 = floats.with(floats.settings().withGradients(GradientType.INT16));
            assertTrue(lossAfter(int16, STEPS) < 0.1, method + ": loss " + lossAfter(int16, STEPS));
            assertEquals(int16.hash(3, 1), int16.hash(3, 3));
            assertEquals(int16.hash(3, 2), int16.with(int16.settings().withRecompute(true)).hash(3, 2));
            assertEquals(int16.hash(3, 2), int16.with(Clip.global(1e6)).hash(3, 2));
        }
    }

    /** What rounds to int16 knows it; where nothing does, the setting changes nothing. */
    @Test
    void int16GradientsAreAPermission() {
        Trainings floats = Trainings.ternary();
        boolean rounds = List.of(Tier.AVX2, Tier.AVX512VNNI).contains(Tier.best());
        assertEquals(!rounds, floats.hash(3, 2).equals(floats.with(floats.settings().withGradients(GradientType.INT16)).hash(3, 2)));
    }

    @Test
    void int8GradientsNeedInt8Products() {
        for (Method method : List.of(Method.fp32(), Method.dqt(Grid.INT4).withScale(Scaling.group(64), ScaleRule.ABSMAX))) {
            Trainings training = Trainings.of(method);
            TrainSettings int8 = training.settings().withGradients(GradientType.INT8);
            assertThrows(IllegalArgumentException.class, () -> training.with(int8).plan());
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("methods")
    void gradientBuffersChangeNothing(Method method, double bound) {
        Trainings streaming = Trainings.of(method);
        // The limits are never reached: what differs is where the gradient waits.
        assertEquals(streaming.hash(3, 2), streaming.with(Clip.global(1e6)).hash(3, 2));
        assertEquals(streaming.hash(3, 2), streaming.with(Clip.tensor(1e6)).hash(3, 2));
    }

    @Test
    void adafactorKnowsNoDifferenceBetweenItsBuffers() {
        Trainings shared = Trainings.ternary().with(OptimizerConfig.adafactor());
        assertEquals(shared.hash(3, 2), shared.with(Clip.global(1e6)).hash(3, 2));
    }

    @Test
    void clippingLimitsTheStep() {
        // Without decay and momentum, an SGD step is the clipped gradient itself.
        OptimizerConfig sgd = new OptimizerConfig(OptimizerConfig.Kind.SGD, 0, 0, 1e-6, 0, 0, 1, StateType.F32);
        Trainings training = Trainings.of(Method.fp32()).with(sgd).with(Schedule.constant(1, 0, 10));
        double free = stepLength(training);
        assertTrue(free > 0.2, "gradient norm " + free);
        assertEquals(0.1, stepLength(training.with(Clip.global(0.1))), 1e-5);
        double parameters = training.config().layers() * 9 + 3.0;
        double byTensor = stepLength(training.with(Clip.tensor(1e-3)));
        assertTrue(byTensor > 1e-3 && byTensor < 1e-3 * Math.sqrt(parameters) * 1.001, "step " + byTensor);
    }

    /** The distance that the first step moves all weights. */
    private static double stepLength(Trainings training) {
        try (Slices slices = new Slices(2); Trainer trainer = training.start(slices)) {
            List<float[]> before = floats(trainer);
            StepReport report = trainer.step(1, training.inputs(1), training.targets(1));
            List<float[]> after = floats(trainer);
            double squares = 0;
            for (int i = 0; i < before.size(); i++) {
                for (int j = 0; j < before.get(i).length; j++) {
                    squares += Math.pow((double) after.get(i)[j] - before.get(i)[j], 2);
                }
            }
            assertTrue(report.gradNorm() >= Math.sqrt(squares) * 0.999, "the norm is taken before clipping");
            return Math.sqrt(squares);
        }
    }

    private static List<float[]> floats(Trainer trainer) {
        return trainer.tensors().stream().filter(t -> t.role() == NamedTensor.Role.FLOAT_WEIGHT)
                .map(t -> t.data().toArray(ValueLayout.JAVA_FLOAT)).toList();
    }

    @Test
    void accumulationEqualsOneLargeBatch() {
        Trainings large = Trainings.of(Method.fp32());
        Trainings accumulated = large.with(new TrainSettings(Trainings.BATCH / 2, 2, Clip.NONE, Rounding.STOCHASTIC, false, FloatType.F32, GradientType.FLOAT, 42));
        double[] norms = new double[2];
        try (Slices slices = new Slices(2); Trainer one = large.start(slices); Trainer two = accumulated.start(slices)) {
            norms[0] = one.step(1, large.inputs(1), large.targets(1)).gradNorm();
            norms[1] = two.step(1, accumulated.inputs(1), accumulated.targets(1)).gradNorm();
        }
        assertEquals(norms[0], norms[1], 1e-4 * norms[0]);
    }

    @Test
    void tiedEmbeddingsLearnFromBothEnds() {
        Trainings training = Trainings.of(Method.dqt(Grid.INT8)).with(Schedule.cosine(5e-3, 10, STEPS));
        training = training.with(training.config().withTied(true));
        assertTrue(lossAfter(training, STEPS) < 0.1, "loss " + lossAfter(training, STEPS));
        assertEquals(training.hash(3, 2), training.with(Clip.global(1e6)).hash(3, 2));
        assertEquals(0, training.plan().parameters().getOrDefault(LayerKind.HEAD, 0L));
    }

    @Test
    void aRestoredTrainerGoesOnAsIfNothingHappened() {
        Trainings training = Trainings.ternary().with(OptimizerConfig.adamw().withState(StateType.INT8));
        String uninterrupted = training.hash(6, 2);
        try (Slices slices = new Slices(3); Trainer first = training.start(slices); Trainer second = training.start(slices)) {
            for (int step = 1; step <= 3; step++) {
                first.step(step, training.inputs(step), training.targets(step));
            }
            for (int i = 0; i < first.tensors().size(); i++) {
                second.tensors().get(i).data().copyFrom(first.tensors().get(i).data());
            }
            for (int step = 4; step <= 6; step++) {
                second.step(step, training.inputs(step), training.targets(step));
            }
            assertEquals(uninterrupted, Trainings.hash(second));
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("methods")
    void thePlanIsWhatIsAllocated(Method method, double bound) {
        for (Clip clip : List.of(Clip.NONE, Clip.global(1), Clip.tensor(1))) {
            Trainings training = Trainings.of(method).with(clip);
            training.run(0, 2, trainer -> assertEquals(training.plan(), trainer.plan()));
        }
    }

    /** By hand: 2 layers of width 48, 112 inside, 4 heads of which 2 have keys of their own, sequences of 16, 80 tokens. */
    @Test
    void thePlanCountsTheOperationsOfAToken() {
        int projections = 48 * 48 + 48 * 24 + 48 * 24 + 48 * 48; // q, k, v, o
        int feedForward = 3 * 48 * 112;
        int attention = 2 * 8 * 48; // scores and weighted sums, over half of the sequence
        int multiplyAdds = 2 * (projections + feedForward + attention) + 80 * 48;
        // Two operations each; the backward pass has two such products, for the inputs and for the weights.
        assertEquals(2 * 3 * multiplyAdds, Trainings.ternary().plan().flopPerToken());
        assertEquals(308_736, 2 * 3 * multiplyAdds);
    }

    @Test
    void packedWeightsHaveNoGradientBuffer() {
        assertEquals(0, Trainings.ternary().plan().bytes().get(MemoryKind.GRADIENT_BUFFERS));
        Trainings clipped = Trainings.ternary().with(Clip.tensor(1));
        long head = (long) clipped.config().vocab() * clipped.config().hidden() * Float.BYTES;
        assertEquals(head, clipped.plan().bytes().get(MemoryKind.GRADIENT_BUFFERS));
    }

    /** With a vocabulary that makes embedding and head the largest parameters; only the head's gradient is held. */
    @ParameterizedTest
    @EnumSource(FloatType.class)
    void adafactorHoldsNoGradientOfTheEmbedding(FloatType type) {
        Trainings training = Trainings.of(Method.dqt(Grid.TERNARY).withFloatType(type)).with(OptimizerConfig.adafactor());
        LlamaConfig tall = new LlamaConfig(48, 112, 2, 4, 2, 5000, 16, 1e4, 1e-5, true, false);
        assertEquals(5000L * 48 * type.bytes(), training.with(tall).plan().bytes().get(MemoryKind.GRADIENT_BUFFERS));
        LlamaConfig grouped = new LlamaConfig(48, 112, 2, 4, 2, 3000, 512, 1e4, 1e-5, true, false);
        assertEquals(3000L * 48 * Float.BYTES, training.with(grouped).plan().bytes().get(MemoryKind.GRADIENT_BUFFERS), "parts are added in f32");
    }

    @Test
    void flipRatesAreSharesOfCodes() {
        Trainings training = Trainings.ternary();
        try (Slices slices = new Slices(2); Trainer trainer = training.start(slices)) {
            Map<String, byte[]> before = codes(trainer);
            StepReport report = trainer.step(1, training.inputs(1), training.targets(1));
            Map<String, byte[]> after = codes(trainer);
            Map<String, Long> changed = new HashMap<>();
            before.forEach((name, codes) -> changed.put(name, changedTrits(codes, after.get(name))));
            assertFlips(changed, trainer.model().parameters(), report, 1e-6);
        }
    }

    /** The rates of a report against the codes that changed, by name of the tensor; some codes of each may differ. */
    private static void assertFlips(Map<String, Long> changed, List<Parameter> parameters, StepReport report, double codes) {
        List<Parameter> layers = parameters.stream().filter(p -> p.kind().linear()).toList();
        assertEquals(layers.stream().map(Parameter::name).toList(), List.copyOf(report.flipRatesByLayer().keySet()));
        long flips = 0;
        for (Parameter p : layers) {
            long expected = changed.get(p.name());
            assertTrue(expected > 0, p.name());
            assertEquals(expected, report.flipRatesByLayer().get(p.name()) * p.size(), codes, p.name());
            flips += expected;
        }
        assertEquals(flips, report.flipRate() * layers.stream().mapToLong(Parameter::size).sum(), codes);
        for (LayerKind kind : LayerKind.values()) {
            List<Parameter> same = layers.stream().filter(p -> p.kind() == kind).toList();
            assertEquals(!same.isEmpty(), report.flipRates().containsKey(kind));
            if (!same.isEmpty()) {
                long ofKind = same.stream().mapToLong(p -> changed.get(p.name())).sum();
                assertEquals(ofKind, report.flipRates().get(kind) * same.stream().mapToLong(Parameter::size).sum(), codes);
            }
        }
    }

    @Test
    void flipRatesOfBitNetAreSharesOfItsTernaryCodes() {
        Trainings training = Trainings.of(Method.bitnet());
        StepReport[] reports = new StepReport[2];
        for (int threads = 1; threads <= 2; threads++) {
            try (Slices slices = new Slices(threads); Trainer trainer = training.start(slices)) {
                StepReport uncounted = trainer.step(1, training.inputs(1), training.targets(1));
                assertEquals(0, uncounted.flipRate());
                assertTrue(uncounted.flipRatesByLayer().isEmpty() && uncounted.flipRates().isEmpty());
                Map<String, int[]> before = ternarised(trainer);
                StepReport report = trainer.step(2, training.inputs(2), training.targets(2), true);
                Map<String, int[]> after = ternarised(trainer);
                Map<String, Long> changed = new HashMap<>();
                before.forEach((name, codes) -> changed.put(name,
                        IntStream.range(0, codes.length).filter(i -> codes[i] != after.get(name)[i]).count()));
                assertFlips(changed, trainer.model().parameters(), report, 2); // ties of the division may round otherwise
                reports[threads - 1] = report;
            }
        }
        assertEquals(reports[0], reports[1]);
        assertNotEquals(0, reports[0].flipRate());
    }

    /** clip(round(w / mean|w|), -1, 1) of every linear layer, by name. */
    private static Map<String, int[]> ternarised(Trainer trainer) {
        Map<String, int[]> codes = new HashMap<>();
        for (Parameter p : trainer.model().parameters()) {
            if (p instanceof Parameter.Plain plain && p.kind().linear()) {
                float[] w = plain.weight().data().toArray(ValueLayout.JAVA_FLOAT);
                double mean = IntStream.range(0, w.length).mapToDouble(i -> Math.abs(w[i])).average().orElseThrow();
                codes.put(p.name(), IntStream.range(0, w.length).map(i -> (int) Math.clamp(Math.rint(w[i] / mean), -1, 1)).toArray());
            }
        }
        return codes;
    }

    @Test
    void countingTernaryFlipsChangesNothing() {
        for (Method method : List.of(Method.bitnet(), Method.dqtTernaryForward())) {
            Trainings training = Trainings.of(method);
            try (Slices slices = new Slices(2); Trainer trainer = training.start(slices)) {
                for (int step = 1; step <= 3; step++) {
                    trainer.step(step, training.inputs(step), training.targets(step), true);
                }
                assertEquals(training.hash(3, 2), Trainings.hash(trainer));
            }
        }
    }

    private static Map<String, byte[]> codes(Trainer trainer) {
        return trainer.tensors().stream().filter(t -> t.role() == NamedTensor.Role.PACKED_WEIGHT)
                .collect(Collectors.toMap(NamedTensor::name, t -> t.data().toArray(ValueLayout.JAVA_BYTE)));
    }

    private static long changedTrits(byte[] a, byte[] b) {
        long changed = 0;
        for (int i = 0; i < a.length; i++) {
            for (int shift = 0; shift < 8; shift += 2) {
                changed += ((a[i] ^ b[i]) >> shift & 3) != 0 ? 1 : 0;
            }
        }
        return changed;
    }

    @Test
    void nearestRoundingStalls() {
        Trainings training = Trainings.ternary();
        TrainSettings nearest = new TrainSettings(Trainings.BATCH, 1, Clip.NONE, Rounding.NEAREST, false, FloatType.F32, GradientType.FLOAT, 42);
        try (Slices slices = new Slices(2); Trainer trainer = training.with(nearest).start(slices)) {
            for (int step = 1; step <= 5; step++) {
                assertEquals(0, trainer.step(step, training.inputs(step), training.targets(step)).flipRate());
            }
        }
    }

    @Test
    void aForwardPassThatIsNotFiniteChangesNothing() {
        Trainings training = Trainings.ternary();
        try (Slices slices = new Slices(2); Trainer trainer = training.start(slices)) {
            Parameter.Plain embedding = (Parameter.Plain) trainer.model().parameters().getFirst();
            embedding.weight().set(0, 0, Float.NaN);
            String before = Trainings.hash(trainer);
            StepReport report = trainer.step(1, training.inputs(1), training.targets(1));
            assertTrue(report.nonFinite());
            assertTrue(Double.isNaN(report.loss()));
            assertTrue(Double.isNaN(trainer.evaluate(training.inputs(1), training.targets(1)).loss()));
            assertEquals(before, Trainings.hash(trainer));
        }
    }

    @Test
    void evaluationChangesNothing() {
        Trainings training = Trainings.ternary();
        training.run(2, 2, trainer -> {
            String before = Trainings.hash(trainer);
            Evaluation evaluation = trainer.evaluate(training.inputs(9), training.targets(9));
            assertEquals((long) Trainings.BATCH * training.config().seqLen(), evaluation.tokens());
            assertEquals(before, Trainings.hash(trainer));
        });
    }

    @Test
    void ignoredTargetsCountNothing() {
        Trainings training = Trainings.of(Method.fp32());
        training.run(0, 2, trainer -> {
            MemorySegment targets = training.targets(1);
            long half = targets.byteSize() / 2 / Integer.BYTES;
            Evaluation all = trainer.evaluate(training.inputs(1), targets);
            for (long t = half; t < 2 * half; t++) {
                targets.setAtIndex(ValueLayout.JAVA_INT, t, -1);
            }
            Evaluation first = trainer.evaluate(training.inputs(1), targets);
            assertEquals(half, first.tokens());
            assertTrue(first.lossSum() < all.lossSum());
            targets.fill((byte) -1);
            assertThrows(IllegalArgumentException.class, () -> trainer.evaluate(training.inputs(1), targets));
        });
    }

    @Test
    void badTokensAreNamed() {
        Trainings training = Trainings.ternary();
        training.run(0, 2, trainer -> {
            MemorySegment inputs = training.inputs(1);
            inputs.setAtIndex(ValueLayout.JAVA_INT, 3, training.config().vocab());
            var unknown = assertThrows(IllegalArgumentException.class, () -> trainer.step(1, inputs, training.targets(1)));
            assertEquals("input 80 at 3: the vocabulary has 80", unknown.getMessage());
            MemorySegment targets = training.targets(1);
            targets.setAtIndex(ValueLayout.JAVA_INT, 3, training.config().vocab());
            var refusal = assertThrows(IllegalArgumentException.class, () -> trainer.step(1, training.inputs(1), targets));
            assertEquals("target 80 at 3: the vocabulary has 80", refusal.getMessage());
            MemorySegment few = training.inputs(1).asSlice(0, 8);
            assertThrows(IllegalArgumentException.class, () -> trainer.step(1, few, training.targets(1)));
        });
    }

    @Test
    void aClosedTrainerIsAnException() {
        Trainings training = Trainings.ternary();
        try (Slices slices = new Slices(2)) {
            Trainer trainer = training.start(slices);
            List<NamedTensor> tensors = trainer.tensors();
            trainer.close();
            trainer.close();
            assertThrows(IllegalStateException.class, () -> trainer.step(1, training.inputs(1), training.targets(1)));
            assertThrows(IllegalStateException.class, () -> tensors.getFirst().data().get(ValueLayout.JAVA_BYTE, 0));
        }
    }

    @Test
    void trainingsSideBySideDoNotDisturbEachOther() {
        Trainings a = Trainings.ternary();
        Trainings b = Trainings.of(Method.dqt(Grid.INT4));
        try (Slices one = new Slices(2); Slices two = new Slices(2); Trainer first = a.start(one); Trainer second = b.start(two)) {
            for (int step = 1; step <= 3; step++) {
                first.step(step, a.inputs(step), a.targets(step));
                second.step(step, b.inputs(step), b.targets(step));
            }
            assertEquals(a.hash(3, 1), Trainings.hash(first));
            assertEquals(b.hash(3, 1), Trainings.hash(second));
        }
    }

    @Test
    void theReferenceTierFollowsTheBestOne() {
        Trainings training = Trainings.of(Method.dqt(Grid.INT8));
        double[] losses = new double[2];
        for (int i = 0; i < 2; i++) {
            Kernels kernels = Kernels.of(i == 0 ? Tier.REFERENCE : Tier.best());
            try (Slices slices = new Slices(2); Trainer trainer = new Trainer(training.config(), training.method(),
                    training.optimizer(), training.schedule(), training.settings(), kernels, slices)) {
                losses[i] = trainer.step(1, training.inputs(1), training.targets(1)).loss();
            }
        }
        double bound = Tier.best() == Tier.AMX ? 1e-3 : 1e-4; // AMX rounds the operands of attention to bf16
        assertEquals(losses[0], losses[1], bound);
    }
}
