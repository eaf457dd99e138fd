package io.sterna.train;

import io.sterna.data.Windows;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The loss on held-out data: always the same windows, evenly spread over it. */
final class HeldOutLoss {
    private final Windows windows;
    private final long[] chosen;
    private final int batch;
    private final int seqLen;

    /**
     * @param atMost windows read
     * @param batch  sequences of a micro-batch
     */
    HeldOutLoss(Windows windows, int atMost, int batch, int seqLen) {
        this.windows = windows;
        this.chosen = windows.spread(atMost);
        this.batch = batch;
        this.seqLen = seqLen;
    }

    /** Mean cross-entropy in nats a token. */
    double of(Trainer trainer) {
        long tokens = (long) batch * seqLen;
        Evaluation sum = new Evaluation(0, 0);
        try (Arena arena = Arena.ofShared()) {
            MemorySegment inputs = arena.allocate(ValueLayout.JAVA_INT, tokens);
            MemorySegment targets = arena.allocate(ValueLayout.JAVA_INT, tokens);
            for (int first = 0; first < chosen.length; first += batch) {
                targets.fill((byte) -1); // rows of the last batch that are left over have no target
                for (int row = 0; row < Math.min(batch, chosen.length - first); row++) {
                    windows.read(chosen[first + row], inputs, targets, row);
                }
                sum = sum.plus(trainer.evaluate(inputs, targets));
            }
        }
        return sum.loss();
    }
}
