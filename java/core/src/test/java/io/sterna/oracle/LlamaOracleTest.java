package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.train.TrainSettings;
import io.sterna.train.Trainer;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The oracle itself: each of its gradients against finite differences of its loss, in float64, quantizers off. */
class LlamaOracleTest {
    private static final double STEP = 1e-6;
    /** Some five times what the differences are off by: the loss's rounding over the step, and the step's square, small as embeddings begin. */
    private static final double BOUND = 1e-7;

    @ParameterizedTest(name = "{0} layers, SubLN {1}, heads of {2}")
    @CsvSource({"1, true, 6", "1, false, 6", "2, true, 6", "2, false, 6", "1, true, 8", "1, false, 4"})
    void everyGradientIsAFiniteDifference(int layers, boolean subLn, int headDim) {
        LlamaConfig config = new LlamaConfig(12, 20, layers, 2, 1, 11, 6, 1e4, 1e-5, subLn, false).withHeadDim(headDim);
        int[] tokens = new Random(layers).ints(config.seqLen() + 1L, 0, config.vocab()).toArray();
        int[] ids = Arrays.copyOf(tokens, config.seqLen());
        int[] targets = Arrays.copyOfRange(tokens, 1, tokens.length);
        Map<String, Matrix> weights = weights(config);
        assertEquals(layers * (subLn ? 11 : 9) + 3, weights.size());
        LlamaOracle oracle = new LlamaOracle(config, Method.fp32(), weights, ids, targets, 0);
        double largest = 0;
        for (String name : weights.keySet()) {
            double[] w = weights.get(name).data();
            for (int i = 0; i < w.length; i++) {
                double before = w[i];
                w[i] = before + STEP;
                double up = new LlamaOracle(config, Method.fp32(), weights, ids, targets, 0).loss();
                w[i] = before - STEP;
                double down = new LlamaOracle(config, Method.fp32(), weights, ids, targets, 0).loss();
                w[i] = before;
                double gradient = oracle.gradient(name).data()[i];
                assertEquals((up - down) / (2 * STEP), gradient, BOUND, name + " " + i);
                largest = Math.max(largest, Math.abs(gradient));
            }
        }
        assertTrue(largest > 1e5 * BOUND, "gradients are far above the bound");
    }

    /** Those that a training begins with, and gains that differ from each other. */
    private static Map<String, Matrix> weights(LlamaConfig config) {
        try (Slices slices = new Slices(1); Trainer trainer = new Trainer(config, Method.fp32(), OptimizerConfig.sgd(),
                Schedule.constant(0.1, 0, 1), TrainSettings.of(1, 7), Kernels.of(Tier.REFERENCE), slices)) {
            Map<String, Matrix> weights = Snapshot.weights(Snapshot.of(trainer));
            Random random = new Random(5);
            weights.forEach((name, w) -> Arrays.setAll(w.data(), i -> w.data()[i] + (name.contains("norm") ? random.nextDouble() : 0)));
            return weights;
        }
    }
}
