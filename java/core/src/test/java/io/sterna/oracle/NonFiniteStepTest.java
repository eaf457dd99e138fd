package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Grid;
import io.sterna.train.Clip;
import io.sterna.train.NamedTensor;
import io.sterna.train.StepReport;
import io.sterna.train.TrainSettings;
import io.sterna.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A step whose loss is finite but whose gradients are not. */
class NonFiniteStepTest {
    private static final LlamaConfig CONFIG = new LlamaConfig(64, 96, 2, 4, 2, 30, 8, 1e4, 1e-5, true, false);
    private static final int TARGET = 5;
    private static final int COLUMN = 3;

    private static Trainer trainer(Clip clip, Slices slices) {
        return new Trainer(CONFIG, Method.dqt(Grid.TERNARY), OptimizerConfig.adamw(), Schedule.constant(3e-3, 0, 10),
                TrainSettings.of(1, 42).withClip(clip), Kernels.best(), slices);
    }

    /** One token has a target, so that its gradient is not divided by anything. */
    private static StepReport step(Trainer trainer) {
        int[] targets = new int[CONFIG.seqLen()];
        Arrays.fill(targets, -1);
        targets[4] = TARGET;
        int[] inputs = IntStream.range(0, CONFIG.seqLen()).toArray();
        return trainer.step(1, MemorySegment.ofArray(inputs), MemorySegment.ofArray(targets));
    }

    /**
     * The head tells the target from all others by one column of huge numbers, which a tiny gain in front of it
     * keeps out of the logits, but not out of the gradient: it is the difference of such numbers.
     */
    private static void provoke(Trainer trainer, float huge) {
        FloatMatrix gain = weight(trainer, "model.norm.weight");
        FloatMatrix head = weight(trainer, "lm_head.weight");
        for (long c = 0; c < CONFIG.hidden(); c++) {
            gain.set(0, c, 1e-20f);
            for (long token = 0; token < CONFIG.vocab(); token++) {
                head.set(token, c, c != COLUMN ? 0 : token == TARGET ? -huge : huge);
            }
        }
    }

    private static FloatMatrix weight(Trainer trainer, String name) {
        return trainer.model().parameters().stream().filter(p -> p.name().equals(name))
                .map(p -> ((Parameter.Plain) p).weight()).findFirst().orElseThrow();
    }

    private static Map<String, byte[]> bytes(Trainer trainer, Predicate<NamedTensor> which) {
        Map<String, byte[]> result = new TreeMap<>();
        trainer.tensors().stream().filter(which).forEach(t -> result.put(t.name(), t.data().toArray(ValueLayout.JAVA_BYTE)));
        return result;
    }

    private static void assertSame(Map<String, byte[]> expected, Map<String, byte[]> actual) {
        assertEquals(expected.keySet(), actual.keySet());
        expected.forEach((name, bytes) -> assertArrayEquals(bytes, actual.get(name), name));
    }

    /** The sign of the normed activation decides whether the target looks sure or impossible; it must be impossible. */
    private static float huge(Slices slices) {
        try (Trainer trainer = trainer(Clip.NONE, slices)) {
            provoke(trainer, 3e38f);
            return step(trainer).loss() > 1 ? 3e38f : -3e38f;
        }
    }

    @Test
    void underAGlobalClipItChangesNothingAndLeavesNoTrace() {
        try (Slices slices = new Slices(2); Trainer trainer = trainer(Clip.global(1), slices);
                Trainer other = trainer(Clip.global(1), slices)) {
            Map<String, byte[]> initial = bytes(trainer, tensor -> true);
            provoke(trainer, huge(slices));
            Map<String, byte[]> before = bytes(trainer, tensor -> true);
            StepReport report = step(trainer);
            assertTrue(report.nonFinite());
            assertTrue(report.loss() > 1e15 && Double.isFinite(report.loss()), "loss " + report.loss());
            assertEquals(0, report.flipRate());
            assertSame(before, bytes(trainer, tensor -> true));

            trainer.tensors().forEach(tensor -> tensor.data().copyFrom(MemorySegment.ofArray(initial.get(tensor.name()))));
            assertFalse(step(trainer).nonFinite());
            assertFalse(step(other).nonFinite());
            assertSame(bytes(other, tensor -> true), bytes(trainer, tensor -> true));
        }
    }

    /** Without a clip a step has no gradient buffers: what comes before the bad gradients has been learnt by then. */
    @Test
    void withoutAClipThePackedWeightsAndTheirStateStay() {
        try (Slices slices = new Slices(2); Trainer trainer = trainer(Clip.NONE, slices)) {
            List<String> packed = trainer.model().parameters().stream()
                    .filter(p -> p instanceof Parameter.Packed).map(Parameter::name).toList();
            Predicate<NamedTensor> quantized = tensor -> packed.stream().anyMatch(tensor.name()::startsWith);
            provoke(trainer, huge(slices));
            Map<String, byte[]> before = bytes(trainer, quantized);
            StepReport report = step(trainer);
            assertTrue(report.nonFinite());
            assertEquals(0, report.flipRate());
            assertSame(before, bytes(trainer, quantized));
        }
    }
}
