package io.sterna.cli;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Machine.Probe;
import io.sterna.kernel.Slices;
import io.sterna.train.ConfigException;
import io.sterna.train.MemoryCheck;
import io.sterna.train.MemoryPlan;
import io.sterna.train.ProcessMemory;
import io.sterna.train.Setting.Group;
import io.sterna.train.TrainConfig;
import io.sterna.train.Trainer;
import io.sterna.train.TrainingRun;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Times whole training steps on random tokens. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        customSynopsis = "sterna bench train [OPTION...]",
        description = {
            "Times training steps on random tokens: speed, memory beside its prediction; then, in steps apart, time by kernel.",
            "Weights are random; with --init too, which gives the shape alone."
        })
final class BenchTrainCommand implements Callable<Integer> {
    /** As MemoryCheck.PROCESS_BYTES, without what data, checkpoints and reports take. */
    private static final long PROCESS_BYTES = 71_000_000;
    /** Seconds of profile for each one that is timed. */
    private static final double PROFILED = 0.2;
    private static final Set<String> RUN_SETTINGS = Set.of("batch", "accumulate", "recompute", "activations", "gradients", "seed",
            "threads", "vocab");
    /** Sequences a step where nothing is said: those of the measurements that others publish. */
    private static final Map<String, Integer> BATCHES = Map.of("nano", 16, "8m", 16);
    private static final int OTHER_BATCH = 4;

    @Option(names = "--seconds", paramLabel = "X", defaultValue = "20", description = "Time to measure. Default: ${DEFAULT-VALUE}")
    private double seconds;

    @Option(names = "--warm-up", paramLabel = "N", defaultValue = "3", description = "Steps before. Default: ${DEFAULT-VALUE}")
    private int warmUp;

    @Mixin
    private JsonFile json;

    @Spec
    private CommandSpec spec;

    /** The settings of model, method and optimizer as options. */
    static void addOptions(CommandSpec spec) {
        SettingOptions.addShape(spec, Set.of(Group.MODEL, Group.METHOD, Group.OPTIMIZER), RUN_SETTINGS);
    }

    @Override
    public Integer call() throws IOException {
        json.check();
        BenchCommand.requireSeconds(seconds);
        if (warmUp < 0) {
            throw new ConfigException("warm-up " + warmUp + ": must be at least 0");
        }
        TrainConfig config = new TrainConfig();
        SettingOptions.apply(spec.commandLine().getParseResult(), config);
        if (config.batch == null) {
            config.batch = BATCHES.getOrDefault(config.preset == null ? "nano" : config.preset, OTHER_BATCH);
        }
        if (config.lr == null && "sgd".equals(config.optimizer)) {
            config.lr = 1e-3; // it has no default, and what is learnt does not matter
        }
        SettingOptions.requireSecondStage(spec.commandLine().getParseResult(), config);
        config = config.resolved();
        MemoryCheck.require(TrainingRun.planOf(config));
        Map<String, Object> figures = measure(config);
        json.write(figures);
        return 0;
    }

    private Map<String, Object> measure(TrainConfig config) throws IOException {
        Kernels kernels = Kernels.best();
        try (Slices slices = new Slices(config.threads);
                Trainer trainer = config.newTrainer(kernels, slices);
                Arena arena = Arena.ofShared()) {
            MemorySegment tokens = randomTokens(config, arena);
            long perStep = tokens.byteSize() / Integer.BYTES - 1;
            Samples times = new Samples();
            Steps steps = new Steps(trainer, tokens);
            steps.run(warmUp);
            steps.run(seconds, times);
            long peak = ProcessMemory.peakRss().orElse(0); // before profile and ceilings take memory of their own
            OperationProfile profile = new OperationProfile(Thread.currentThread());
            try (profile) { // apart, since its samples take a twentieth of the processors
                do {
                    steps.run(seconds * PROFILED, new Samples());
                } while (profile.isUnseen());
            }
            Ceilings ceilings = new Ceilings(kernels.tier(), slices, EnumSet.of(Probe.BF16, Probe.F32));
            ceilings.measure(); // one measurement alone may meet a busy neighbour
            return report(config, trainer.plan(), kernels, perStep, times, profile, peak, ceilings);
        }
    }

    /** Steps on the same tokens, one after the other. */
    private static final class Steps {
        private final Trainer trainer;
        private final MemorySegment tokens;
        private long number;

        Steps(Trainer trainer, MemorySegment tokens) {
            this.trainer = trainer;
            this.tokens = tokens;
        }

        void run(int count) {
            for (int i = 0; i < count; i++) {
                trainer.step(++number, tokens, tokens.asSlice(Integer.BYTES));
            }
        }

        /** For some seconds, one step at least, each timed. */
        void run(double seconds, Samples times) {
            long end = System.nanoTime() + (long) (seconds * 1e9);
            do {
                times.time(() -> run(1));
            } while (System.nanoTime() < end);
        }
    }

    /** Inputs, and behind them one more token, so that targets are the inputs shifted by one. */
    private static MemorySegment randomTokens(TrainConfig config, Arena arena) {
        long count = (long) config.batch * config.accumulate * config.seqLen + 1;
        MemorySegment tokens = arena.allocate(ValueLayout.JAVA_INT, count);
        SplittableRandom random = new SplittableRandom(config.seed);
        for (long i = 0; i < count; i++) {
            tokens.setAtIndex(ValueLayout.JAVA_INT, i, random.nextInt(config.vocab));
        }
        return tokens;
    }

    private Map<String, Object> report(TrainConfig config, MemoryPlan plan, Kernels kernels, long tokens, Samples times,
            OperationProfile profile, long peak, Ceilings ceilings) {
        double median = times.median();
        double flops = plan.flopPerToken() * tokens / median;
        Probe probe = ceilings.floats();
        double stepMillis = times.mean() * 1e3;
        Map<String, Object> f = new LinkedHashMap<>();
        SettingOptions.putModel(f, config);
        f.put("method", config.method);
        f.put("bits", config.bits);
        f.put("optimizer", config.optimizer);
        f.put("state", config.state);
        f.put("activations", config.activations);
        f.put("gradients", config.gradients);
        f.put("recompute", config.recompute);
        f.put("threads", config.threads);
        f.put("tier", kernels.tier().toString());
        f.put("tokens_per_step", tokens);
        f.put("steps", times.count());
        f.put("tokens_per_second", tokens / median);
        f.put("tokens_per_second_best", tokens / times.least());
        f.put("flop_per_token", plan.flopPerToken());
        f.put("flops_per_second", flops);
        f.put("ceiling", Ceilings.name(probe));
        f.put("ceiling_flops_per_second", ceilings.of(probe));
        f.put("share_of_ceiling", flops / ceilings.of(probe));
        f.put("peak_rss_bytes", peak);
        f.put("predicted_peak_bytes", plan.totalBytes() + PROCESS_BYTES);
        f.put("ms_per_step", stepMillis);
        f.put("ms_by_operation", profile.operations(stepMillis));
        f.put("ms_by_phase", profile.phases(stepMillis));
        Map<String, Object> bytes = new LinkedHashMap<>();
        plan.bytes().forEach((kind, n) -> bytes.put(kind.toString(), n));
        f.put("bytes_by_kind", bytes);
        print(f);
        return f;
    }

    private void print(Map<String, Object> f) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(Units.format("%s %s%s, %s with %s state: %d steps of %d tokens, tier %s, %d threads",
                SettingOptions.model(f), f.get("method"),
                f.get("bits") == null ? "" : " " + f.get("bits"), f.get("optimizer"), f.get("state"), f.get("steps"),
                f.get("tokens_per_step"), f.get("tier"), f.get("threads")));
        out.println(Units.format("speed    %,.0f tokens/s (best %,.0f); %.1f GFLOP/s, %.1f %% of the %s ceiling of %.0f GFLOP/s",
                f.get("tokens_per_second"), f.get("tokens_per_second_best"), (double) f.get("flops_per_second") / 1e9,
                100 * (double) f.get("share_of_ceiling"), f.get("ceiling"), (double) f.get("ceiling_flops_per_second") / 1e9));
        long peak = (long) f.get("peak_rss_bytes");
        long predicted = (long) f.get("predicted_peak_bytes");
        out.println(Units.format("memory   %s at the peak, predicted %s (%+.1f %%)", Units.bytes(peak), Units.bytes(predicted),
                100.0 * (predicted - peak) / peak));
        table(out, "ms a step by kernel", (Map<?, ?>) f.get("ms_by_operation"), 1);
        table(out, "ms a step by phase", (Map<?, ?>) f.get("ms_by_phase"), 1);
        table(out, "MB by kind", (Map<?, ?>) f.get("bytes_by_kind"), 1e-6);
        out.flush();
    }

    private static void table(PrintWriter out, String title, Map<?, ?> rows, double unit) {
        out.println(title);
        rows.forEach((name, value) -> out.println(Units.format("  %-22s %10.2f", name, ((Number) value).doubleValue() * unit)));
    }
}
