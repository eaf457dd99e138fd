package io.sterna.train;

import java.io.IOException;
import java.util.Optional;

/** Whether the machine has the memory that a training needs. */
public final class MemoryCheck {
    /** What a run of the command line takes besides: the JVM, its heap and code, and the native libraries. */
    public static final long PROCESS_BYTES = 95_000_000;

    private MemoryCheck() {}

    /** Memory of the whole process at its peak, as far as the plan tells. */
    public static long predictedPeak(MemoryPlan plan) {
        return plan.totalBytes() + PROCESS_BYTES;
    }

    /**
     * Refuses a training that needs more memory than is available. Where the system does not say how much is, none is.
     *
     * @throws TrainingException when less than the plan's bytes are free
     * @throws IOException when what the system says of its memory cannot be read
     */
    public static void require(MemoryPlan plan) throws IOException {
        Optional<String> shortage = ProcessMemory.shortage(plan.totalBytes());
        if (shortage.isPresent()) {
            throw new TrainingException("memory: the training " + shortage.get()
                    + "; lower batch or seq-len, or choose recompute, state int8 or optimizer adafactor");
        }
    }
}
