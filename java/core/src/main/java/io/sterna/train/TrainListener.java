package io.sterna.train;

import io.sterna.data.DataProgress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Hears how a run goes, on the thread that prepares the data or trains. What it throws comes out of
 * {@link TrainingRun#open} or {@link TrainingRun#train}; the run can be trained on, or resumed from its last checkpoint, and
 * where there is none yet its folder has to be deleted. It may call {@link TrainingRun#stop}.
 */
public interface TrainListener extends DataProgress {
    /** Hears nothing. */
    TrainListener NONE = new TrainListener() {};

    /**
     * What a step did and what it took.
     *
     * @param report what the trainer says
     * @param steps  steps of the whole run
     * @param tokensPerSecond of this step
     */
    record Progress(StepReport report, long steps, double tokensPerSecond) {
        /** Resident memory of the process now, in bytes, where the system tells; to ask takes some kilobytes of heap. */
        public OptionalLong rssBytes() {
            try {
                return ProcessMemory.rss();
            } catch (IOException e) {
                return OptionalLong.empty();
            }
        }
    }

    /** Data preparation has come so far. */
    @Override
    default void update(String phase, double fraction, long bytes) {}

    /** The run is ready to train; {@code facts} describes data, model and memory, in words to print. */
    default void ready(Map<String, String> facts) {}

    /** After each step, its evaluation and its record. */
    default void stepped(Progress progress) {}

    /** After an evaluation; {@code loss} in nats a token over the held-out data. */
    default void evaluated(long step, double loss) {}

    /** After a checkpoint is safe on disk. */
    default void checkpointed(long step, Path file) {}
}
