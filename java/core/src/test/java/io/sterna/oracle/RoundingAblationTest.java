package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Slices;
import io.sterna.nn.GradientType;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.train.Clip;
import io.sterna.train.StepReport;
import io.sterna.train.TrainSettings;
import io.sterna.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * The paper's ablation: the same ternary run with both ways of rounding. Random sequences over a vocabulary of
 * eight are learnt by heart. Embeddings, norms and head are floats and learn in both runs, but are too small to
 * get far alone. A step moves a packed weight by less than half a grid step, so rounding to nearest loses it.
 */
class RoundingAblationTest {
    private static final int STEPS = 120;
    private static final int BATCH = 40;
    private static final LlamaConfig CONFIG = new LlamaConfig(64, 128, 2, 4, 2, 8, 16, 1e4, 1e-5, true, false);

    /** What a run came to: its last loss, and the mean flip rate. */
    private record Outcome(double loss, double flipRate) {
    }

    private static Outcome run(Rounding rounding) {
        TrainSettings settings = new TrainSettings(BATCH, 1, Clip.NONE, rounding, false, FloatType.F32, GradientType.FLOAT, 42);
        Random random = new Random(1);
        int[] inputs = random.ints((long) BATCH * CONFIG.seqLen(), 0, CONFIG.vocab()).toArray();
        int[] targets = random.ints((long) BATCH * CONFIG.seqLen(), 0, CONFIG.vocab()).toArray();
        double flips = 0;
        double loss = 0;
        try (Slices slices = new Slices(2); Trainer trainer = new Trainer(CONFIG, Method.dqt(Grid.TERNARY),
                OptimizerConfig.adamw(), Schedule.cosine(5e-3, 5, STEPS), settings, Kernels.best(), slices)) {
            for (int step = 1; step <= STEPS; step++) {
                StepReport report = trainer.step(step, MemorySegment.ofArray(inputs), MemorySegment.ofArray(targets));
                flips += report.flipRate() / STEPS;
                loss = report.loss();
            }
        }
        return new Outcome(loss, flips);
    }

    @Test
    void nearestStallsWhereStochasticRoundingLearns() {
        Outcome nearest = run(Rounding.NEAREST);
        Outcome stochastic = run(Rounding.STOCHASTIC);
        assertEquals(0, nearest.flipRate);
        assertTrue(stochastic.flipRate > 1e-3, stochastic.toString());
        assertTrue(stochastic.loss < nearest.loss / 2, stochastic + ", nearest " + nearest);
    }
}
