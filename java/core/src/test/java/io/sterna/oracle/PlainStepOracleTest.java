package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.train.Clip;
import io.sterna.train.StepReport;
import io.sterna.train.TrainSettings;
import io.sterna.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Training of float weights by SGD with momentum against float64: clipping, tied embeddings, and blocks without
 * SubLN. The oracle takes over the weights before each step and keeps moments of its own.
 */
class PlainStepOracleTest {
    private static final int STEPS = 10;
    private static final double RATE = 0.05f;
    private static final double MOMENTUM = 0.9f;

    /** Errors of loss, gradient norm and updates, relative. */
    private static double limit(Tier tier) {
        return tier == Tier.AMX ? 0.15 : 1e-4; // AMX rounds the operands of products to bf16
    }

    @ParameterizedTest(name = "SubLN {0}, tied {1}, clip {2}, heads of {3}")
    @CsvSource({
        "true, false, none, 18", "false, false, none, 18", "true, true, none, 18", "false, false, global:0.5, 18",
        "true, true, global:0.5, 18", "true, false, tensor:0.1, 18", "true, true, tensor:0.1, 18",
        "true, false, none, 26", "false, false, global:0.5, 26", "true, false, none, 10", "false, true, none, 10"})
    void followsTheOracle(boolean subLn, boolean tied, String clip, int headDim) {
        LlamaConfig config = new LlamaConfig(72, 104, 2, 4, 2, 50, 12, 1e4, 1e-5, subLn, tied).withHeadDim(headDim);
        TrainSettings settings = TrainSettings.of(1, 7).withClip(Clip.parse(clip));
        for (Tier tier : new Tier[] {Tier.REFERENCE, Tier.best()}) {
            try (Slices slices = new Slices(2); Trainer trainer = new Trainer(config, Method.fp32(), OptimizerConfig.sgd(),
                    Schedule.constant(RATE, 0, STEPS), settings, Kernels.of(tier), slices)) {
                Map<String, double[]> moments = new HashMap<>();
                for (int step = 1; step <= STEPS; step++) {
                    follow(trainer, config, settings.clip(), moments, step, limit(tier));
                }
            }
        }
    }

    private static void follow(Trainer trainer, LlamaConfig config, Clip clip, Map<String, double[]> moments, int step, double limit) {
        int[] tokens = new Random(step).ints(config.seqLen() + 1L, 0, config.vocab()).toArray();
        int[] ids = Arrays.copyOf(tokens, config.seqLen());
        int[] targets = Arrays.copyOfRange(tokens, 1, tokens.length);
        Map<String, Matrix> before = weights(trainer);
        StepReport report = trainer.step(step, MemorySegment.ofArray(ids), MemorySegment.ofArray(targets));
        Map<String, Matrix> after = weights(trainer);

        Map<String, Matrix> known = new HashMap<>(before);
        known.putIfAbsent("lm_head.weight", before.get("model.embed_tokens.weight"));
        LlamaOracle oracle = new LlamaOracle(config, Method.fp32(), known, ids, targets, 0);
        assertEquals(oracle.loss(), report.loss(), limit * oracle.loss(), "loss");
        Map<String, double[]> gradients = new LinkedHashMap<>();
        before.keySet().forEach(name -> gradients.put(name, gradient(oracle, name, before.containsKey("lm_head.weight"))));
        double norm = Math.sqrt(gradients.values().stream().mapToDouble(PlainStepOracleTest::squares).sum());
        assertEquals(norm, report.gradNorm(), limit * norm, "norm of the gradient");
        assertTrue(norm > clip.limit(), "the clip has something to do");
        gradients.forEach((name, g) -> {
            double factor = factor(clip, clip.kind() == Clip.Kind.GLOBAL ? norm : Math.sqrt(squares(g)));
            double[] m = moments.computeIfAbsent(name, n -> new double[g.length]);
            compare(name + " in step " + step, before.get(name).data(), after.get(name).data(), g, factor, m, limit);
        });
    }

    /** That of a tied embedding comes from both ends. */
    private static double[] gradient(LlamaOracle oracle, String name, boolean hasHead) {
        double[] g = oracle.gradient(name).data().clone();
        if (name.equals("model.embed_tokens.weight") && !hasHead) {
            double[] head = oracle.gradient("lm_head.weight").data();
            Arrays.setAll(g, i -> g[i] + head[i]);
        }
        return g;
    }

    private static double factor(Clip clip, double norm) {
        return clip.kind() == Clip.Kind.NONE ? 1 : Math.min(1, clip.limit() / norm);
    }

    private static void compare(String what, double[] before, double[] after, double[] g, double factor, double[] m, double limit) {
        double error = 0;
        double update = 0;
        for (int i = 0; i < g.length; i++) {
            m[i] = MOMENTUM * m[i] + factor * g[i];
            double expected = before[i] - RATE * m[i];
            error += (after[i] - expected) * (after[i] - expected);
            update += RATE * m[i] * RATE * m[i];
        }
        double rounding = 1e-7 * Math.sqrt(squares(before)); // of weights stored as floats
        assertTrue(Math.sqrt(error) <= limit * Math.sqrt(update) + rounding,
                () -> what + ": the update is off");
    }

    private static double squares(double[] x) {
        return Arrays.stream(x).map(v -> v * v).sum();
    }

    private static Map<String, Matrix> weights(Trainer trainer) {
        Map<String, Matrix> weights = new LinkedHashMap<>();
        for (Parameter parameter : trainer.model().parameters()) {
            MemorySegment data = ((Parameter.Plain) parameter).weight().data();
            Matrix copy = new Matrix((int) parameter.rows(), (int) parameter.cols());
            Arrays.setAll(copy.data(), i -> data.getAtIndex(ValueLayout.JAVA_FLOAT, i));
            weights.put(parameter.name(), copy);
        }
        return weights;
    }
}
