package io.sterna.cli;

import io.sterna.infer.GenerationOptions;
import io.sterna.infer.Generator;
import io.sterna.infer.Model;
import io.sterna.infer.Sampling;
import io.sterna.infer.Session;
import io.sterna.infer.SessionOptions;
import io.sterna.train.ConfigException;
import io.sterna.train.MemoryCheck;
import io.sterna.train.MemoryPlan;
import io.sterna.train.ProcessMemory;
import io.sterna.train.RunFacts;
import io.sterna.train.RunResult;
import io.sterna.train.TrainConfig;
import io.sterna.train.TrainingException;
import io.sterna.train.TrainingRun;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Trains a model; without options a small one on the JDK's own sources. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        customSynopsis = "sterna train [OPTION...]",
        description = {
            "Trains a LLaMA-structured model in packed low-bit weights.",
            "Without options: a ternary model of Java, from the JDK's own sources, in a few minutes."
        })
final class TrainCommand implements Callable<Integer> {
    private static final String SAMPLE_PROMPT = "package java.util;\n\npublic class ";
    private static final int SAMPLE_TOKENS = 120;
    private static final int SAMPLES = 3;

    @Option(names = "--config", paramLabel = "FILE", description = "Settings in YAML; options override them.")
    private Path config;

    @Option(names = "--resume", paramLabel = "DIR", description = "Go on with the run in this folder; where its data has moved, --cache says where to.")
    private Path resume;

    @Option(names = "--dry-run", description = "Print the plan: parameters, memory, arithmetic; train nothing.")
    private boolean dryRun;

    @Option(names = "--quiet", description = "Print nothing but the result and errors.")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    /** The settings as options. */
    static void addOptions(CommandSpec spec) {
        SettingOptions.addTo(spec, setting -> true);
    }

    @Override
    public Integer call() throws IOException {
        TrainConfig settings = settings();
        if (dryRun) {
            return printPlan(settings);
        }
        AtomicReference<Runnable> stop = new AtomicReference<>(() -> { });
        try (ConsoleProgress progress = ConsoleProgress.on(System.err, quiet);
                Shutdown.Hook hook = Shutdown.onSignal(() -> {
                    progress.cancel();
                    stop.get().run();
                });
                TrainingRun run = open(settings, progress, stop)) {
            ProcessMemory.startAfresh(); // without what preparing data took: the plan predicts the peak of the training
            RunResult result = run.train();
            hook.remove();
            progress.endBar();
            if (result.finished()) {
                requireFinite(run, result);
                printResult(run, result);
            } else {
                print("stopped after step " + result.step() + "; go on with: sterna train " + run.folder().resumeOption());
            }
        }
        return 0;
    }

    private TrainConfig settings() throws IOException {
        TrainConfig settings = new TrainConfig();
        if (config != null) {
            YamlConfig.apply(config, settings);
        }
        SettingOptions.apply(spec.commandLine().getParseResult(), settings);
        if (resume == null) {
            SettingOptions.requireSecondStage(spec.commandLine().getParseResult(), settings);
        }
        return settings;
    }

    /** A signal ends the preparation of data; from then on {@code stop} ends the run after the step under way. */
    private TrainingRun open(TrainConfig settings, ConsoleProgress progress, AtomicReference<Runnable> stop) throws IOException {
        TrainingRun run = resume == null
                ? TrainingRun.open(settings, progress, Tokenizers::load)
                : TrainingRun.resume(resume, settings.toMap(), progress);
        stop.set(run::stop);
        if (progress.isCancelled()) {
            run.stop(); // the signal came too late for the preparation
        }
        return run;
    }

    private int printPlan(TrainConfig settings) throws IOException {
        if (resume != null) {
            throw new ConfigException("--dry-run: plans a new run; leave --resume out");
        }
        TrainConfig resolved = TrainingRun.planned(settings, Tokenizers::load);
        MemoryPlan plan = TrainingRun.planOf(resolved);
        RunFacts.ofPlan(resolved, plan).forEach((name, fact) -> print(Units.format("%-10s%s", name, fact)));
        print(Units.format("steps     %,d of %,d tokens", resolved.steps, (long) resolved.batch * resolved.accumulate * resolved.seqLen));
        plan.parameters().forEach((kind, n) -> print(Units.format("  parameters %-12s %,15d", kind, n)));
        plan.bytes().forEach((kind, n) -> print(Units.format("  bytes %-17s %,15d", kind, n)));
        print(Units.format("  predicted peak memory   %,15d", MemoryCheck.predictedPeak(plan)));
        print(Units.format("  FLOP a token            %,15.0f", plan.flopPerToken()));
        MemoryCheck.require(plan);
        return 0;
    }

    /** A model whose loss is no number has nothing to say. */
    private static void requireFinite(TrainingRun run, RunResult result) {
        if (result.diverged()) {
            TrainConfig c = run.config();
            throw new TrainingException("run " + run.folder().path() + ": diverged: the loss is not finite after step " + result.step()
                    + "; start a new run with a lower lr (now " + c.lr + "), a longer warmup (" + c.warmup + ") or a clip (" + c.clip + ")");
        }
    }

    private void printResult(TrainingRun run, RunResult result) throws IOException {
        Map<String, Object> s = result.summary();
        print("");
        if (result.devLoss().isPresent()) {
            print(Units.format("held-out loss %.4f nats a token; token frequencies alone (unigram entropy) give %.4f",
                    result.devLoss().getAsDouble(), result.unigramEntropy()));
        } else {
            print(s.containsKey("final_loss") ? "no held-out loss: the held-out data is shorter than a sequence"
                    : "no losses: metrics.jsonl has no record of the last steps");
        }
        String loss = s.get("final_loss") instanceof Number n ? Units.format("%.4f", n.doubleValue()) : "not known";
        String speed = s.get("tokens_per_second") instanceof Number n ? Units.count(n.doubleValue()) : "?";
        print(Units.format("training loss %s, %s tokens/s, %s in all", loss, speed, Units.time(((Number) s.get("wall_seconds")).doubleValue())));
        run.close(); // a sample loads the model again: in the memory that the training took
        printSample(run, result);
        print("");
        print("checkpoint " + run.folder().checkpoints().list().getLast());
        print("model      " + run.folder().model());
        print("report     " + run.folder().report());
    }

    /** Without a sample the run is no less finished. */
    void printSample(TrainingRun run, RunResult result) throws IOException {
        List<String> samples;
        try {
            samples = samples(run);
        } catch (IOException | RuntimeException | OutOfMemoryError e) {
            spec.commandLine().getErr().println("sterna: no sample, but the run is finished: " + Errors.line(e));
            return;
        }
        run.writeReport(result, samples);
        print("");
        print("sample:");
        print(samples.getFirst());
    }

    private static List<String> samples(TrainingRun run) throws IOException {
        String prompt = run.config().data.isEmpty() && run.config().seqLen >= SAMPLE_TOKENS ? SAMPLE_PROMPT : "";
        try (Model model = Model.load(run.folder().path(), Tokenizers::load, null, run.config().threads);
                Session session = model.session(SessionOptions.of(model).withThreads(run.config().threads))) {
            Generator generator = new Generator(session, model.tokenizer());
            return IntStream.range(0, SAMPLES)
                    .mapToObj(i -> sample(session, generator, prompt, Sampling.of(run.config().seed + i)))
                    .toList();
        }
    }

    private static String sample(Session session, Generator generator, String prompt, Sampling sampling) {
        session.truncate(0);
        GenerationOptions options = GenerationOptions.of(SAMPLE_TOKENS).withSampling(sampling);
        return prompt + generator.generate(prompt, options, piece -> { }).text();
    }

    private void print(String line) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(line);
        out.flush();
    }
}
