package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
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
import io.sterna.rng.SrKey;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import io.sterna.train.StepReport;
import io.sterna.train.TrainSettings;
import io.sterna.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The whole training step against float64. Before each step the oracle takes over the real weights and
 * moments, so that rounding errors do not add up from step to step; then both do the step. Loss, gradients and
 * moments must agree within the bounds below, and every code must be the oracle's, except where the error
 * that is allowed to the gradient carries z across u.
 *
 * <p>The forward pass decides too: where an activation lies within rounding error of the middle of two int8
 * codes, the oracle tries both, and the real step must agree with one of the outcomes.
 */
class TrainingStepOracleTest {
    private static final int STEPS = 20;
    private static final int SEED = 11;
    private static final double RATE = 3e-3;
    private static final int WARMUP = 5;
    private static final double DECAY = 0.1;

    /** Odd sizes: rows end within a block of 64, and two query heads share a key-value head. */
    private static final LlamaConfig CONFIG = new LlamaConfig(72, 104, 2, 4, 2, 50, 12, 1e4, 1e-5, true, false);

    /** An element of a gradient may be off by this share of the root mean square of all of them. */
    private static final double ELEMENT = 1e-4;
    /** Float arithmetic of the update itself, relative. */
    private static final double UPDATE = 1e-6;
    /** Share of the codes that the errors may leave undecided: finer grids have more decisions to be close to. */
    private static final double UNDECIDED = 2e-3;

    /** Errors of a step: of the loss, and of the worst gradient by norm, each relative. */
    private record Errors(double loss, double gradient) {
        /** Some ten times what f32 products were seen to do, and three times what rounding their operands to bf16 or int16 does. */
        static Errors limit(Tier tier, GradientType gradients) {
            if (tier == Tier.AMX) {
                return new Errors(1e-2, 0.15);
            }
            return gradients == GradientType.INT16 ? new Errors(3e-5, 5e-3) : new Errors(1e-6, 2e-5);
        }

        boolean within(Errors limit) {
            return loss <= limit.loss && gradient <= limit.gradient;
        }
    }

    private long codes;
    private long flips;
    private long undecided;

    static Stream<Arguments> methods() {
        List<Method> methods = List.of(
                Method.fp32(),
                Method.bitnet(),
                Method.dqtTernaryForward(),
                Method.dqt(Grid.BINARY),
                Method.dqt(Grid.TERNARY),
                Method.dqt(Grid.TERNARY).withScale(Scaling.ROW, ScaleRule.ABSMEAN),
                Method.dqt(Grid.INT3),
                Method.dqt(Grid.INT3).withScale(Scaling.ROW, ScaleRule.sigma(2.5)),
                Method.dqt(Grid.INT8),
                Method.dqt(Grid.INT8).withScale(Scaling.ROW, ScaleRule.sigma(3)));
        Stream<Arguments> floats = Stream.of(Tier.REFERENCE, Tier.best()).distinct()
                .flatMap(tier -> methods.stream().map(method -> Arguments.of(tier, method, GradientType.FLOAT, CONFIG.headDim())));
        Stream<Arguments> int16 = methods.stream().filter(Method::quantized)
                .map(method -> Arguments.of(Tier.best(), method, GradientType.INT16, CONFIG.headDim()));
        Stream<Arguments> heads = Stream.of(10, 26).flatMap(headDim -> Stream.of(Method.bitnet(), Method.dqt(Grid.TERNARY))
                .flatMap(method -> Stream.of(GradientType.FLOAT, GradientType.INT16).map(type -> Arguments.of(Tier.best(), method, type, headDim))));
        return Stream.of(floats, int16, heads).flatMap(arguments -> arguments);
    }

    @ParameterizedTest(name = "{0} {1} {2}, heads of {3}")
    @MethodSource("methods")
    void followsTheOracle(Tier tier, Method method, GradientType gradients, int headDim) {
        OptimizerConfig adamw = OptimizerConfig.adamw().withWeightDecay(DECAY);
        Schedule schedule = Schedule.constant(RATE, WARMUP, STEPS);
        try (Slices slices = new Slices(2); Trainer trainer = new Trainer(CONFIG.withHeadDim(headDim), method, adamw, schedule,
                TrainSettings.of(1, SEED).withGradients(gradients), Kernels.of(tier), slices)) {
            for (int step = 1; step <= STEPS; step++) {
                follow(trainer, tier, gradients, step);
            }
        }
        assertTrue(undecided <= UNDECIDED * codes, undecided + " of " + codes + " codes undecided");
        assertTrue(codes == 0 || flips > 0.005 * codes, flips + " of " + codes + " codes flipped");
    }

    private void follow(Trainer trainer, Tier tier, GradientType gradients, int step) {
        int[] tokens = new Random(step).ints(CONFIG.seqLen() + 1L, 0, CONFIG.vocab()).toArray();
        int[] ids = Arrays.copyOf(tokens, CONFIG.seqLen());
        int[] targets = Arrays.copyOfRange(tokens, 1, tokens.length);
        targets[step % targets.length] = -1;
        Map<String, Snapshot> before = Snapshot.of(trainer);
        StepReport report = trainer.step(step, MemorySegment.ofArray(ids), MemorySegment.ofArray(targets));
        Map<String, Snapshot> after = Snapshot.of(trainer);

        LlamaOracle oracle;
        Errors errors;
        int choices = 0;
        int outcomes = 1;
        do {
            oracle = new LlamaOracle(trainer.model().config(), trainer.model().method(), Snapshot.weights(before), ids, targets, choices++);
            errors = errors(oracle, report.loss(), before, after);
            outcomes = Math.max(outcomes, 1 << oracle.doubts());
        } while (!errors.within(Errors.limit(tier, gradients)) && choices < outcomes);
        assertTrue(errors.within(Errors.limit(tier, gradients)), "step " + step + ": " + errors);
        if (tier != Tier.AMX) { // whose gradients leave too many codes undecided
            long flipped = flips;
            long seen = codes;
            for (String name : before.keySet()) {
                Matrix gradient = gradients == GradientType.FLOAT ? oracle.gradient(name) : gradient(before.get(name), after.get(name));
                compareUpdate(before.get(name), after.get(name), gradient, step);
            }
            assertEquals(codes == seen ? 0 : (double) (flips - flipped) / (codes - seen), report.flipRate());
        }
    }

    /** The gradient of the real step shows in its first moment, and its square in the second. */
    private static Errors errors(LlamaOracle oracle, double loss, Map<String, Snapshot> before, Map<String, Snapshot> after) {
        double worst = 0;
        UpdateOracle update = new UpdateOracle(1, 0);
        for (String name : before.keySet()) {
            Matrix expected = oracle.gradient(name);
            Matrix gradient = new Matrix(expected.rows(), expected.cols());
            Matrix squares = new Matrix(expected.rows(), expected.cols());
            for (int i = 0; i < expected.data().length; i++) {
                double g = expected.data()[i];
                double m = before.get(name).m().data()[i];
                double v = before.get(name).v().data()[i];
                gradient.data()[i] = (after.get(name).m().data()[i] - update.m(g, m)) / (1 - UpdateOracle.BETA1);
                squares.data()[i] = after.get(name).v().data()[i] - update.v(g, v);
            }
            worst = Math.max(worst, gradient.norm() / expected.norm());
            worst = Math.max(worst, squares.norm() / after.get(name).v().norm() / 2);
        }
        return new Errors(Math.abs(loss - oracle.loss()) / oracle.loss(), worst);
    }

    /** The gradient that the real step took: where it was rounded, that of the oracle would leave too many codes undecided. */
    private static Matrix gradient(Snapshot before, Snapshot after) {
        Matrix gradient = new Matrix(before.m().rows(), before.m().cols());
        for (int i = 0; i < gradient.data().length; i++) {
            gradient.data()[i] = (after.m().data()[i] - UpdateOracle.BETA1 * before.m().data()[i]) / (1 - UpdateOracle.BETA1);
        }
        return gradient;
    }

    private void compareUpdate(Snapshot before, Snapshot after, Matrix gradient, int step) {
        double rate = RATE * Math.min(1, (double) step / WARMUP);
        double keep = before.parameter().kind() == LayerKind.NORM ? 1 : 1 - rate * DECAY;
        double error = ELEMENT * gradient.norm() / Math.sqrt(gradient.data().length);
        UpdateOracle update = new UpdateOracle(step, rate);
        for (int r = 0; r < gradient.rows(); r++) {
            for (int c = 0; c < gradient.cols(); c++) {
                double m = before.m().get(r, c);
                double v = before.v().get(r, c);
                double g = gradient.get(r, c);
                double[] deltas = {update.delta(g - error, m, v), update.delta(g, m, v), update.delta(g + error, m, v)};
                Arrays.sort(deltas);
                String element = before.parameter().name() + " (" + r + ", " + c + ") in step " + step;
                if (before.parameter() instanceof Parameter.Packed packed) {
                    compareCode(packed, before, after, r, c, keep, deltas, step, element);
                } else {
                    double weight = before.weight().get(r, c) * keep;
                    double slack = UPDATE * (Math.abs(weight) + Math.abs(deltas[1]));
                    between(weight - deltas[2] - slack, weight - deltas[0] + slack, after.weight().get(r, c), element);
                }
            }
        }
    }

    /** The real code lies between those that the smallest and the largest delta lead to. */
    private void compareCode(Parameter.Packed parameter, Snapshot before, Snapshot after, int r, int c, double keep,
                             double[] deltas, int step, String element) {
        Grid grid = parameter.weight().grid();
        double old = before.codes().get(r, c);
        double scale = before.scales()[r];
        double slack = UPDATE * (1 + Math.abs(old) + Math.abs(deltas[1]) / scale);
        double u = UpdateOracle.uniform(SrKey.of(SEED, parameter.id(), step), r, c, (int) parameter.cols());
        int low = UpdateOracle.round(grid, old * keep - deltas[2] / scale - slack, u);
        int high = UpdateOracle.round(grid, old * keep - deltas[0] / scale + slack, u);
        between(low, high, after.codes().get(r, c), element);
        codes++;
        flips += after.codes().get(r, c) != old ? 1 : 0;
        undecided += low != high ? 1 : 0;
    }

    private static void between(double low, double high, double real, String element) {
        assertTrue(real >= low && real <= high, () -> element + ": " + real + ", expected " + low + " to " + high);
    }
}
