package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.nn.LayerKind;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.rng.SrKey;
import io.sterna.tensor.Grid;
import io.sterna.tensor.StateType;
import io.sterna.train.StepReport;
import io.sterna.train.TrainSettings;
import io.sterna.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The whole training step with Adafactor against float64: the factored second moment, the clip of the update, and
 * the first moment on and off. The oracle takes over the weights before each step and keeps moments of its own, which
 * so must stay right over all steps; codes must be the oracle's, except where the error that is allowed to the update
 * carries z across u.
 */
class AdafactorStepOracleTest {
    private static final int STEPS = 20;
    private static final int SEED = 5;
    private static final double RATE = 3e-3f;
    private static final double DECAY = 0.1;
    private static final double EPSILON = 1e-30;
    private static final double CLIP = 0.5; // which the first steps exceed: the root mean square of their update is 1
    private static final LlamaConfig CONFIG = new LlamaConfig(72, 104, 2, 4, 2, 50, 12, 1e4, 1e-5, true, false);

    /** Errors of the loss, and of an element of an update as a share of the largest the clip lets through, RATE. */
    private static final double LOSS = 1e-6;
    private static final double ELEMENT = 1e-4;
    /** Share of the codes that the errors may leave undecided. */
    private static final double UNDECIDED = 1e-2;

    private final Map<String, Moments> moments = new HashMap<>();
    private long codes;
    private long flips;
    private long undecided;
    private int clipped;

    /** Of a tensor (N, K): the second moment's means by row (N) and by column (K), and the first moment. */
    private record Moments(double[] r, double[] c, double[] m) {
        static Moments zero(Matrix like) {
            return new Moments(new double[like.rows()], new double[like.cols()], new double[like.data().length]);
        }
    }

    static Stream<Arguments> cases() {
        return Stream.of(Tier.REFERENCE, Tier.best()).distinct().filter(tier -> tier != Tier.AMX) // too coarse for codes
                .flatMap(tier -> Stream.of(Method.fp32(), Method.dqt(Grid.TERNARY), Method.dqt(Grid.INT8))
                        .flatMap(method -> Stream.of(0.0, 0.9).map(beta1 -> Arguments.of(tier, method, beta1))));
    }

    @ParameterizedTest(name = "{0} {1}, first moment {2}")
    @MethodSource("cases")
    void followsTheOracle(Tier tier, Method method, double beta1) {
        OptimizerConfig adafactor = new OptimizerConfig(
                OptimizerConfig.Kind.ADAFACTOR, beta1, 0, EPSILON, DECAY, 0, CLIP, StateType.F32);
        try (Slices slices = new Slices(2); Trainer trainer = new Trainer(CONFIG, method, adafactor,
                Schedule.constant(RATE, 0, STEPS), TrainSettings.of(1, SEED), Kernels.of(tier), slices)) {
            for (int step = 1; step <= STEPS; step++) {
                follow(trainer, step, beta1);
            }
        }
        assertTrue(clipped > 0, "the clip had something to do");
        assertTrue(undecided <= UNDECIDED * codes, undecided + " of " + codes + " codes undecided");
        assertTrue(codes == 0 || flips > 0.002 * codes, flips + " of " + codes + " codes flipped");
    }

    private void follow(Trainer trainer, int step, double beta1) {
        int[] tokens = new Random(step).ints(CONFIG.seqLen() + 1L, 0, CONFIG.vocab()).toArray();
        int[] ids = Arrays.copyOf(tokens, CONFIG.seqLen());
        int[] targets = Arrays.copyOfRange(tokens, 1, tokens.length);
        Map<String, Snapshot> before = Snapshot.of(trainer);
        StepReport report = trainer.step(step, MemorySegment.ofArray(ids), MemorySegment.ofArray(targets));
        Map<String, Snapshot> after = Snapshot.of(trainer);

        LlamaOracle oracle = oracle(trainer, before, ids, targets, report.loss());
        assertEquals(oracle.loss(), report.loss(), LOSS * oracle.loss(), "loss of step " + step);
        for (String name : before.keySet()) {
            Matrix gradient = oracle.gradient(name);
            Matrix delta = delta(moments.computeIfAbsent(name, n -> Moments.zero(gradient)), gradient, step, beta1);
            compare(before.get(name), after.get(name), delta, step);
        }
    }

    /** The oracle whose doubtful quantizations fell as those of the real step did, told by the loss. */
    private static LlamaOracle oracle(Trainer trainer, Map<String, Snapshot> before, int[] ids, int[] targets, double loss) {
        LlamaOracle best = null;
        int outcomes = 1;
        for (int choices = 0; choices < outcomes; choices++) {
            LlamaOracle oracle = new LlamaOracle(CONFIG, trainer.model().method(), Snapshot.weights(before), ids, targets, choices);
            outcomes = Math.max(outcomes, 1 << oracle.doubts());
            if (best == null || Math.abs(oracle.loss() - loss) < Math.abs(best.loss() - loss)) {
                best = oracle;
            }
        }
        return best;
    }

    /** What the weights lose; the moments take the gradient in. */
    private Matrix delta(Moments moments, Matrix g, int step, double beta1) {
        double beta2 = 1 - Math.pow(step, -0.8);
        double[] rows = new double[g.rows()];
        double[] cols = new double[g.cols()];
        for (int i = 0; i < g.rows(); i++) {
            for (int j = 0; j < g.cols(); j++) {
                double square = g.get(i, j) * g.get(i, j) + EPSILON;
                rows[i] += square / g.cols();
                cols[j] += square / g.rows();
            }
        }
        Arrays.setAll(moments.r, i -> beta2 * moments.r[i] + (1 - beta2) * rows[i]);
        Arrays.setAll(moments.c, j -> beta2 * moments.c[j] + (1 - beta2) * cols[j]);
        double mean = Arrays.stream(moments.r).average().orElseThrow();
        Matrix u = new Matrix(g.rows(), g.cols());
        for (int i = 0; i < g.rows(); i++) {
            for (int j = 0; j < g.cols(); j++) {
                u.set(i, j, g.get(i, j) / Math.sqrt(moments.r[i] * moments.c[j] / mean));
            }
        }
        double excess = u.norm() / Math.sqrt(u.data().length) / CLIP;
        clipped += excess > 1 ? 1 : 0;
        for (int i = 0; i < u.data().length; i++) {
            moments.m[i] = beta1 * moments.m[i] + (1 - beta1) * u.data()[i] / Math.max(1, excess);
            u.data()[i] = RATE * moments.m[i];
        }
        return u;
    }

    private void compare(Snapshot before, Snapshot after, Matrix delta, int step) {
        double keep = before.parameter().kind() == LayerKind.NORM ? 1 : 1 - RATE * DECAY;
        for (int r = 0; r < delta.rows(); r++) {
            for (int c = 0; c < delta.cols(); c++) {
                String element = before.parameter().name() + " (" + r + ", " + c + ") in step " + step;
                if (before.parameter() instanceof Parameter.Packed packed) {
                    compareCode(packed, before, after, r, c, keep, delta.get(r, c), step, element);
                } else {
                    double expected = before.weight().get(r, c) * keep - delta.get(r, c);
                    assertEquals(expected, after.weight().get(r, c), ELEMENT * RATE + 1e-6 * Math.abs(expected), element);
                }
            }
        }
    }

    /** The real code lies between those that the smallest and the largest delta lead to. */
    private void compareCode(Parameter.Packed parameter, Snapshot before, Snapshot after, int r, int c, double keep,
                             double delta, int step, String element) {
        Grid grid = parameter.weight().grid();
        double old = before.codes().get(r, c);
        double real = after.codes().get(r, c);
        double scale = before.scales()[r];
        double slack = 1e-6 * (1 + Math.abs(old)) + ELEMENT * RATE / scale;
        double u = UpdateOracle.uniform(SrKey.of(SEED, parameter.id(), step), r, c, (int) parameter.cols());
        int low = UpdateOracle.round(grid, old * keep - delta / scale - slack, u);
        int high = UpdateOracle.round(grid, old * keep - delta / scale + slack, u);
        assertTrue(real >= low && real <= high, () -> element + ": " + real + ", expected " + low + " to " + high);
        codes++;
        flips += real != old ? 1 : 0;
        undecided += low != high ? 1 : 0;
    }
}
