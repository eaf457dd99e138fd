package io.sterna.train;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.Grid;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Random;
import java.util.function.Consumer;

/** A training small enough for a test, whose parts a test may replace one by one. */
record Trainings(LlamaConfig config, Method method, OptimizerConfig optimizer, Schedule schedule, TrainSettings settings) {
    static final int BATCH = 4;

    /** Two layers over sequences of 16 tokens of a vocabulary of 80; odd sizes, grouped-query heads. */
    static Trainings of(Method method) {
        LlamaConfig config = new LlamaConfig(48, 112, 2, 4, 2, 80, 16, 1e4, 1e-5, method.quantized(), false);
        return new Trainings(config, method, OptimizerConfig.adamw(), Schedule.constant(3e-3, 5, 1000), TrainSettings.of(BATCH, 42));
    }

    static Trainings ternary() {
        return of(Method.dqt(Grid.TERNARY));
    }

    Trainings with(LlamaConfig other) {
        return new Trainings(other, method, optimizer, schedule, settings);
    }

    Trainings with(OptimizerConfig other) {
        return new Trainings(config, method, other, schedule, settings);
    }

    Trainings with(Schedule other) {
        return new Trainings(config, method, optimizer, other, settings);
    }

    Trainings with(TrainSettings other) {
        return new Trainings(config, method, optimizer, schedule, other);
    }

    Trainings with(Clip clip) {
        return with(settings.withClip(clip));
    }

    Trainer start(Slices slices) {
        return new Trainer(config, method, optimizer, schedule, settings, Kernels.best(), slices);
    }

    MemoryPlan plan() {
        return MemoryPlan.of(config, method, optimizer, settings, 2);
    }

    /** Random tokens of a step: those of step {@code seed} are always the same. */
    MemorySegment inputs(long seed) {
        return MemorySegment.ofArray(tokens(seed, 0));
    }

    /** The token after each of {@link #inputs}. */
    MemorySegment targets(long seed) {
        return MemorySegment.ofArray(tokens(seed, 1));
    }

    private int[] tokens(long seed, int offset) {
        int sequences = settings.accumulation() * settings.batch();
        int[] result = new int[sequences * config.seqLen()];
        Random random = new Random(seed);
        for (int s = 0; s < sequences; s++) {
            // The first token tells the sequence, so that a batch can be learnt by heart.
            int[] sequence = random.ints(config.seqLen() + 1L, 0, config.vocab()).toArray();
            sequence[0] = s;
            System.arraycopy(sequence, offset, result, s * config.seqLen(), config.seqLen());
        }
        return result;
    }

    /** Trains on a fresh batch each step, on so many threads, and looks at the result. */
    void run(int steps, int threads, Consumer<Trainer> look) {
        try (Slices slices = new Slices(threads); Trainer trainer = start(slices)) {
            for (int step = 1; step <= steps; step++) {
                trainer.step(step, inputs(step), targets(step));
            }
            look.accept(trainer);
        }
    }

    /** A hash of all weights and all state after so many steps. */
    String hash(int steps, int threads) {
        String[] result = new String[1];
        run(steps, threads, trainer -> result[0] = hash(trainer));
        return result[0];
    }

    /** A hash of all weights and all state. */
    static String hash(Trainer trainer) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (NamedTensor tensor : trainer.tensors()) {
                digest.update(tensor.data().toArray(ValueLayout.JAVA_BYTE));
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }
}
