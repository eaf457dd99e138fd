package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.sterna.kernel.Slices;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/** A step makes small objects, a few for each operation on a chunk of tokens, and never any of a tensor's size. */
class StepGarbageTest {
    private static final int WARM = 100;
    private static final int STEPS = 50;
    private static final long MOST_BYTES = 60_000; // before the compiler has seen to most of them

    @Test
    void aStepLeavesLittleOnTheHeap() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (Slices slices = new Slices(2); Trainer trainer = Trainings.ternary().start(slices)) {
            train(trainer, 0, WARM);
            long before = threads.getTotalThreadAllocatedBytes();
            train(trainer, WARM, STEPS);
            long bytes = (threads.getTotalThreadAllocatedBytes() - before) / STEPS;
            assertTrue(bytes < MOST_BYTES, bytes + " bytes a step");
        }
    }

    private static void train(Trainer trainer, int from, int steps) {
        Trainings trainings = Trainings.ternary();
        for (int step = from + 1; step <= from + steps; step++) {
            trainer.step(step, trainings.inputs(step), trainings.targets(step));
        }
    }
}
