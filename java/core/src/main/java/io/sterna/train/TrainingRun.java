package io.sterna.train;

import io.sterna.data.Batches;
import io.sterna.data.FolderLock;
import io.sterna.data.Shards;
import io.sterna.data.Windows;
import io.sterna.io.CheckpointException;
import io.sterna.io.CheckpointFolder;
import io.sterna.io.CheckpointReader;
import io.sterna.io.CheckpointWriter;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.optim.OptimizerConfig;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A training from data to a run folder, the same that the command line runs:
 *
 * <pre>{@code
 * TrainConfig config = new TrainConfig().set("preset", "nano").set("data", "notes/").set("out", "runs/notes");
 * TrainListener listener = new TrainListener() {
 *     @Override
 *     public void stepped(Progress p) {
 *         System.out.println(p.report().step() + ": " + p.report().loss());
 *     }
 * };
 * try (TrainingRun run = TrainingRun.open(config, listener)) {
 *     Thread.ofVirtual().start(() -> {
 *         waitForTheUser();
 *         run.stop(); // finishes the step and writes a checkpoint
 *     });
 *     RunResult result = run.train();
 * }
 * try (TrainingRun run = TrainingRun.resume(Path.of("runs/notes"), Map.of(), listener)) {
 *     run.train(); // goes on as if it had never been stopped
 * }
 * }</pre>
 *
 * <p>Memory outside the heap is allocated when a run is opened, stays as it is, and returns with
 * {@link #close}. Runs in one JVM do not disturb each other. A run belongs to one thread, but for
 * {@link #stop}: to train or close it while it trains is an {@link IllegalStateException}.
 */
public final class TrainingRun implements AutoCloseable {
    /** Steps in a row whose loss or gradients are not finite, after which a run gives up. */
    private static final int MAX_NON_FINITE = 20;

    private final TrainConfig config;
    private final TrainListener listener;
    private final RunFolder folder;
    private final FolderLock lock;
    private final String dataFolder;
    private final Shards shards;
    private final Slices slices;
    private final Kernels kernels;
    private final Trainer trainer;
    private final Batches batches;
    private final Optional<HeldOutLoss> heldOut;
    private long step;
    private long tokens;
    private int nonFinite;
    private RunHistory history; // null before the end
    private List<Report.Histogram> histograms; // of the final codes; null before the end
    private volatile boolean stopped;
    private boolean interrupted;
    private boolean stepping; // or broken off within a step
    private final AtomicReference<Phase> phase = new AtomicReference<>(Phase.OPEN);

    private enum Phase { OPEN, TRAINING, CLOSED }

    /**
     * Starts a new run: prepares the data, makes the run folder and the model.
     *
     * @throws IOException as {@link #open(TrainConfig, TrainListener, PreparedData.TokenizerLoader)}, which says what
     *     else is thrown
     */
    public static TrainingRun open(TrainConfig config, TrainListener listener) throws IOException {
        return open(config, listener, PreparedData.TokenizerLoader.BPE);
    }

    /**
     * Starts a new run.
     *
     * @param loader reads a {@code tokenizer.json} that the configuration names
     * @throws ConfigException       for a setting that cannot be or contradicts the initial model, a run folder
     *     that holds something, or data that is not there
     * @throws io.sterna.data.DataException for data that cannot be read or is too little
     * @throws TrainingException     when the machine has not got the memory
     */
    public static TrainingRun open(TrainConfig config, TrainListener listener, PreparedData.TokenizerLoader loader)
            throws IOException {
        Objects.requireNonNull(listener, "listener");
        TrainConfig given = config.copy();
        requireBeginTokenKnown(given);
        if (given.init != null) {
            InitialModel.of(given).settle(given);
        }
        TrainConfig c = given.resolved();
        requireUsed(c);
        if (bringsVocabulary(given, c)) {
            requireVocabulary(given, c, PreparedData.vocabulary(c, loader));
        }
        RunFolder.choose(c.out, name(c)); // before the long preparation, should it be taken
        Kernels kernels = Kernels.best(); // the same, should there be none
        MemoryCheck.require(plan(c)); // the same; once more when the tokenizer has said its vocabulary
        PreparedData data = PreparedData.prepare(c, loader, listener);
        c.vocab = vocabulary(c, data.tokenizer().vocabSize());
        c.cache = Path.of(c.cache).toAbsolutePath().normalize().toString();
        RunFolder folder = RunFolder.claim(c.out, name(c));
        c.out = folder.path().toString();
        try {
            return begin(c, listener, folder, data, kernels);
        } catch (IOException | RuntimeException | Error e) {
            abandon(folder, e);
            throw e;
        }
    }

    private static void abandon(RunFolder folder, Throwable reason) {
        try {
            folder.abandon();
        } catch (IOException | RuntimeException e) {
            reason.addSuppressed(e); // it is the reason that the user has to know
        }
    }

    static void requireBeginTokenKnown(TrainConfig config) {
        if (config.init == null && config.beginToken != null) { // no window of the data would hold it
            throw new ConfigException("begin-token " + config.beginToken + ": a model trained from nothing never meets it; leave it out");
        }
    }

    /**
     * Settings that would change nothing, so that nobody believes they did; runs that were begun with such a one may go on.
     */
    private static void requireUsed(TrainConfig resolved) {
        OptimizerConfig kind = Parts.optimizerOf(resolved.optimizer);
        boolean dqt = resolved.method.equals("dqt");
        requireUsed("scale-rule", resolved.scaleRule, "absmean", dqt, "only method dqt has a choice of scales", resolved.method);
        requireUsed("momentum", resolved.momentum, kind.momentum(), kind.kind() == OptimizerConfig.Kind.SGD,
                "only sgd has it; what the others keep of past gradients is beta1", resolved.optimizer);
        requireUsed("update-clip", resolved.updateClip, kind.clip(), kind.kind() == OptimizerConfig.Kind.ADAFACTOR,
                "only adafactor has it", resolved.optimizer);
        requireUsed("beta1", resolved.beta1, kind.beta1(), kind.kind() != OptimizerConfig.Kind.SGD,
                "only adamw and adafactor have it; sgd has momentum", resolved.optimizer);
        requireUsed("beta2", resolved.beta2, kind.beta2(), kind.kind() == OptimizerConfig.Kind.ADAMW,
                "only adamw has it", resolved.optimizer);
        requireUsed("epsilon", resolved.epsilon, kind.epsilon(), kind.kind() != OptimizerConfig.Kind.SGD, "only adamw and adafactor divide by it",
                resolved.optimizer);
        requireUsed("rounding", resolved.rounding, "stochastic", dqt || resolved.floatType.equals("bf16"),
                "only method dqt's weights and those of bf16 are rounded", resolved.method);
        requireUsed("lr-floor", resolved.lrFloor, 0.0, List.of("cosine", "linear").contains(resolved.schedule),
                "only cosine and linear end at it", resolved.schedule);
    }

    private static void requireUsed(String name, Object value, Object usual, boolean used, String reason, String choice) {
        if (!used && !value.equals(usual)) {
            throw new ConfigException(name + " " + value + ": " + reason + "; leave it out for " + choice);
        }
    }

    private static TrainingRun begin(
            TrainConfig c, TrainListener listener, RunFolder folder, PreparedData data, Kernels kernels) throws IOException {
        TrainingRun run = ready(c, listener, folder, data, kernels);
        try {
            if (c.init != null) {
                InitialModel init = InitialModel.of(c);
                init.write(run.trainer.model(), kernels);
                ModelFolder.writeChatTemplate(folder.model(), init.folder().chatTemplate());
            }
            folder.writeConfig(c);
            return run;
        } catch (IOException | RuntimeException | Error e) {
            run.close();
            throw e;
        }
    }

    private static TrainingRun ready(
            TrainConfig c, TrainListener listener, RunFolder folder, PreparedData data, Kernels kernels) throws IOException {
        FolderLock lock = folder.lock();
        try {
            Shards shards = Shards.open(data.folder(), data.result().reused());
            try {
                MemoryCheck.require(plan(c));
                return new TrainingRun(c, listener, folder, lock, data.folder(), shards, kernels);
            } catch (IOException | RuntimeException | Error e) {
                shards.close();
                throw e;
            }
        } catch (IOException | RuntimeException | Error e) {
            lock.close();
            throw e;
        }
    }

    /**
     * Goes on with a run from its last checkpoint.
     *
     * @param folder  the run folder
     * @param changes settings of this process: threads, by default those of {@code config.yaml} as far as there are
     *     processors, stop-after, and the cache that holds the data, should it have moved
     * @throws CheckpointException when there is no checkpoint, or it is damaged; then the message names the
     *     one to go on from
     * @throws io.sterna.data.DataException when the data has gone or is damaged
     * @throws TrainingException   when the data has changed, or the machine has not got the memory
     */
    public static TrainingRun resume(Path folder, Map<String, ?> changes, TrainListener listener) throws IOException {
        RunFolder run = RunFolder.of(folder);
        changes.keySet().forEach(TrainingRun::checkChange);
        if (!run.hasLock()) {
            run.checkpoints().last(); // the lock would leave its file in a folder that is no run's
        }
        FolderLock lock = run.lock();
        try {
            return resume(run, lock, changes, listener);
        } catch (IOException | RuntimeException | Error e) {
            lock.close();
            throw e;
        }
    }

    private static TrainingRun resume(RunFolder run, FolderLock lock, Map<String, ?> changes, TrainListener listener)
            throws IOException {
        CheckpointFolder checkpoints = run.checkpoints();
        try (CheckpointReader reader = checkpoints.openLast()) {
            Path file = checkpoints.list().getLast();
            RunState state = RunState.of(reader, file);
            requireUnfinished(run, state);
            requireAhead(changes.get("stop-after"), state);
            TrainConfig began = settings(state, file);
            run.requireConfig(RunState.lasting(began));
            Path data = dataFolder(state, changes.get("cache"));
            TrainConfig c = began.set("threads", changes.containsKey("threads") ? null : run.threads()).setAll(changes).set("out", run.path())
                    .set("cache", data.getParent()).resolved();
            Shards shards = state.openShards(data, true);
            try {
                MemoryCheck.require(plan(c));
                TrainingRun resumed = new TrainingRun(c, listener, run, lock, data, shards, Kernels.best());
                resumed.restore(reader, file, state);
                return resumed;
            } catch (CheckpointException e) {
                shards.close();
                throw checkpoints.offerEarlier(file, e);
            } catch (IOException | RuntimeException | Error e) {
                shards.close();
                throw e;
            }
        }
    }

    private TrainingRun(
            TrainConfig config,
            TrainListener listener,
            RunFolder folder,
            FolderLock lock,
            Path dataFolder,
            Shards shards,
            Kernels kernels)
            throws IOException {
        this.config = config;
        this.listener = listener;
        this.folder = folder;
        this.lock = lock;
        this.dataFolder = dataFolder.toAbsolutePath().normalize().toString();
        this.shards = shards;
        this.kernels = kernels;
        this.batches = new Batches(new Windows(shards.train(), config.seqLen), config.batch * config.accumulate, config.seed);
        this.heldOut = shards.dev().size() > config.seqLen
                ? Optional.of(new HeldOutLoss(
                        new Windows(shards.dev(), config.seqLen), config.evalSequences, config.batch, config.seqLen))
                : Optional.empty();
        this.slices = new Slices(config.threads);
        try {
            this.trainer = config.newTrainer(kernels, slices);
        } catch (RuntimeException | Error e) {
            slices.close();
            throw e;
        }
    }

    private void restore(CheckpointReader reader, Path file, RunState state) throws IOException {
        try {
            StoredTensors.of(trainer).read(reader, file);
        } catch (IOException | RuntimeException | Error e) {
            trainer.close();
            slices.close();
            throw e;
        }
        step = state.step();
        tokens = state.tokens();
        nonFinite = state.nonFinite();
    }

    private static void requireAhead(Object stopAfter, RunState state) {
        if (stopAfter instanceof Number step && step.longValue() <= state.step()) {
            throw new ConfigException("stop-after " + step + ": the run is at step " + state.step() + "; give a later one, or leave it out");
        }
    }

    private static void checkChange(String key) {
        if (!RunState.PROCESS_SETTINGS.contains(Setting.of(key).key()) || key.equals("out")) {
            throw new ConfigException(key + ": a resumed run keeps its settings; a new run may start from its model with --init");
        }
    }

    private static void requireUnfinished(RunFolder run, RunState state) {
        if (Files.exists(run.summary())) {
            throw new ConfigException("run " + run.path() + ": is finished at step " + state.step()
                    + "; a new run may start from its model with --init " + run.path());
        }
    }

    /** Where the run began to read, or the folder of that name in the cache that is given. */
    private static Path dataFolder(RunState state, Object cache) {
        Path began = Path.of(state.data());
        return (cache == null ? began : Path.of(cache.toString()).resolve(began.getFileName())).toAbsolutePath().normalize();
    }

    private static TrainConfig settings(RunState state, Path file) throws CheckpointException {
        try {
            TrainConfig config = new TrainConfig().setAll(state.config());
            if (config.init != null && !InitialModel.isSettled(config)) {
                throw new ConfigException("init " + config.init + ": the shape must stand beside it");
            }
            config.resolved();
            return config;
        } catch (ConfigException e) {
            throw new CheckpointException(file, "its settings: " + e.getMessage(), "use an earlier checkpoint", e);
        }
    }

    private static MemoryPlan plan(TrainConfig c) {
        Parts parts = Parts.of(c);
        return MemoryPlan.of(parts.model(), parts.method(), parts.optimizer(), parts.settings(), c.threads);
    }

    /**
     * What a run of {@code config} would take, without data or memory; its vocabulary is the configured one.
     *
     * @throws ConfigException for a setting that cannot be, or would change nothing
     */
    public static MemoryPlan planOf(TrainConfig config) {
        TrainConfig c = config.resolved();
        requireUsed(c);
        return plan(c);
    }

    /**
     * The resolved settings of a run, with the vocabulary of its tokenizer; looks for data and tokenizer and prepares nothing.
     *
     * @throws ConfigException for a setting that cannot be, a run folder that holds something, or data that is not there
     * @throws IOException of the loader
     */
    public static TrainConfig planned(TrainConfig config, PreparedData.TokenizerLoader loader) throws IOException {
        requireBeginTokenKnown(config);
        TrainConfig c = config.resolved();
        requireUsed(c);
        RunFolder.choose(c.out, name(c));
        int tokens = PreparedData.vocabulary(c, loader);
        requireVocabulary(config, c, tokens);
        c.vocab = vocabulary(c, tokens);
        return c;
    }

    /** Whether a vocabulary is given and the tokenizer, which is not trained, has its own. */
    private static boolean bringsVocabulary(TrainConfig given, TrainConfig resolved) {
        return given.vocab != null && given.init == null && !resolved.tokenizer.equals("train");
    }

    private static void requireVocabulary(TrainConfig given, TrainConfig resolved, int tokens) {
        if (bringsVocabulary(given, resolved) && given.vocab != tokens) {
            throw new ConfigException("vocab " + given.vocab + ": tokenizer " + resolved.tokenizer + " has " + tokens + "; leave it out");
        }
    }

    /** Rows of the embedding: one for each token, or those that the initial model has. */
    private static int vocabulary(TrainConfig config, int tokens) {
        if (config.init == null) {
            return tokens;
        }
        if (tokens > config.vocab) {
            throw new ConfigException("init " + config.init + ": its tokenizer has " + tokens + " tokens, its embeddings " + config.vocab
                    + "; restore the files of the model");
        }
        return config.vocab;
    }

    private static String name(TrainConfig c) {
        String bits = c.bits == null ? "" : "-" + c.bits;
        String model = c.init == null ? c.preset : "tuned";
        return model + "-" + c.method + bits + (c.forward.equals("ternary") ? "-ternary" : "");
    }

    /** The run folder. */
    public RunFolder folder() {
        return folder;
    }

    /** The resolved settings; a copy. */
    public TrainConfig config() {
        return config.copy();
    }

    /** The trainer, for reading while no step runs. */
    public Trainer trainer() {
        return trainer;
    }

    /** Asks the run to stop after the step under way; safe from any thread. */
    public void stop() {
        stopped = true;
    }

    /**
     * Trains until the last step, or until it is stopped; both end with a checkpoint. To interrupt the thread stops it
     * too, and the thread's mark is set again when the checkpoint is there. After an exception of the listener or of a file, the
     * run is as it was after its last whole step, and this method goes on from there; one within a step leaves weights that are
     * neither before nor after it.
     *
     * @throws IllegalStateException when it is closed or training already, or a step did not end: resume it from its last checkpoint
     * @throws TrainingException when 20 steps in a row met numbers that are not finite
     * @throws IOException when the run folder cannot be written
     */
    public RunResult train() throws IOException {
        if (!phase.compareAndSet(Phase.OPEN, Phase.TRAINING)) {
            throw new IllegalStateException("run " + folder.path() + (phase.get() == Phase.CLOSED ? ": closed already" : ": training already"));
        }
        try {
            requireWholeStep();
            return trainToTheEnd();
        } finally {
            phase.set(Phase.OPEN);
            if (interrupted) {
                interrupted = false; // it is the thread's again
                Thread.currentThread().interrupt();
            }
        }
    }

    private void requireWholeStep() {
        if (stepping) {
            throw new IllegalStateException("run " + folder.path() + ": step " + (step + 1)
                    + " was broken off by an error; close the run and resume it from its last checkpoint");
        }
    }

    private RunResult trainToTheEnd() throws IOException {
        listener.ready(RunFacts.of(config, trainer.plan(), kernels, shards.manifest(), step));
        long end = config.stopAfter == null ? config.steps : Math.min(config.steps, config.stopAfter);
        try (Recorder recorder = new Recorder(folder, step);
                Arena arena = Arena.ofShared()) {
            long ints = (long) batches.batch() * config.seqLen;
            MemorySegment inputs = arena.allocate(ValueLayout.JAVA_INT, ints);
            MemorySegment targets = arena.allocate(ValueLayout.JAVA_INT, ints);
            while (step < end && !isStopped()) {
                TrainListener.Progress progress = step(inputs, targets, recorder);
                OptionalDouble devLoss = evaluate();
                if (logged(step)) {
                    recorder.record(progress.report(), tokens, devLoss);
                }
                tell(progress, devLoss);
                if (config.checkpointEvery > 0 && step % config.checkpointEvery == 0 && step < end) {
                    checkpoint(recorder);
                }
            }
            checkpoint(recorder);
            return step < config.steps ? stoppedResult() : finish(recorder.wallSeconds());
        }
    }

    /** An interrupt's mark would close the files that are written next. */
    private boolean isStopped() {
        interrupted |= Thread.interrupted();
        return stopped || interrupted;
    }

    private boolean logged(long number) {
        return evaluated(number) || number % config.logEvery == 0 || number == 1 || number == config.steps;
    }

    private TrainListener.Progress step(MemorySegment inputs, MemorySegment targets, Recorder recorder) throws IOException {
        long start = System.nanoTime();
        batches.fill(step, inputs, targets); // batches count from 0
        stepping = true;
        StepReport report = trainer.step(step + 1, inputs, targets, logged(step + 1));
        stepping = false;
        long nanos = System.nanoTime() - start;
        step++;
        tokens += report.tokens();
        recorder.count(report.tokens(), nanos);
        nonFinite = report.nonFinite() ? nonFinite + 1 : 0;
        if (nonFinite >= MAX_NON_FINITE) {
            throw new TrainingException("step " + step + ": " + nonFinite
                    + " steps in a row met numbers that are not finite; lower lr (now " + report.rate() + ") or clip gradients");
        }
        return new TrainListener.Progress(report, config.steps, report.tokens() / (nanos * 1e-9));
    }

    private boolean evaluated(long number) {
        boolean due = number == config.steps || config.evalEvery > 0 && number % config.evalEvery == 0;
        return due && heldOut.isPresent();
    }

    private OptionalDouble evaluate() {
        if (!evaluated(step)) {
            return OptionalDouble.empty();
        }
        return OptionalDouble.of(heldOut.get().of(trainer));
    }

    /** After the record, which a listener that throws would leave out. */
    private void tell(TrainListener.Progress progress, OptionalDouble devLoss) {
        listener.stepped(progress);
        devLoss.ifPresent(loss -> listener.evaluated(step, loss));
    }

    /** Writes the checkpoint of this step and drops those that are too old. */
    private void checkpoint(Recorder recorder) throws IOException {
        CheckpointFolder checkpoints = folder.checkpoints();
        Path file = checkpoints.file(step);
        try {
            write(checkpoints, recorder);
        } catch (IOException e) {
            if (!Thread.interrupted()) {
                throw e;
            }
            interrupted = true;
            write(checkpoints, recorder); // the interrupt closed the first one
        }
        checkpoints.prune(config.keep);
        listener.checkpointed(step, file);
    }

    /** After the records of its steps, which a resumed run does not write again. */
    private void write(CheckpointFolder checkpoints, Recorder recorder) throws IOException {
        recorder.sync();
        try (CheckpointWriter writer = checkpoints.write(step)) {
            StoredTensors.of(trainer).write(writer);
            writer.commit(state().toMeta());
        }
        folder.writeSeconds(recorder.wallSeconds());
    }

    private RunState state() {
        return new RunState(
                step, tokens, nonFinite, RunState.lasting(config), dataFolder, shards.manifest().fingerprint());
    }

    private RunResult stoppedResult() {
        return new RunResult(false, step, OptionalDouble.empty(), shards.manifest().devUnigramEntropy(), Map.of());
    }

    private RunResult finish(double wallSeconds) throws IOException {
        ModelFolder.of(folder.model(), config).write(state().toMeta(), trainer.model().parameters(), Path.of(dataFolder));
        history = RunHistory.of(folder.metrics(), config.steps);
        Map<String, Object> summary =
                RunSummary.of(config, trainer.plan(), kernels.tier(), shards.manifest(), history, wallSeconds);
        histograms = CodeHistograms.of(trainer.codes(), kernels);
        writeReport(summary, List.of());
        folder.writeSummary(summary); // last: its presence says that the run is finished
        return new RunResult(true, step, history.devLoss(), shards.manifest().devUnigramEntropy(), summary);
    }

    /**
     * Writes {@code report.html} of a run that {@link #train} has finished once more, with texts that the model generated; also
     * when it is closed, so that they can be generated in the memory that the training took.
     *
     * @throws IllegalStateException when it is not finished
     * @throws IOException when the report cannot be written
     */
    public void writeReport(RunResult result, List<String> samples) throws IOException {
        if (histograms == null) { // what is set last
            throw new IllegalStateException("run " + folder.path() + ": is not finished; train it first");
        }
        writeReport(result.summary(), samples);
    }

    private void writeReport(Map<String, Object> summary, List<String> samples) throws IOException {
        Report.write(folder, summary, config.toMap(), history, histograms, samples);
    }

    /**
     * Ends the threads and returns all memory; more than once is once.
     *
     * @throws IllegalStateException while it trains: {@link #stop} ends that
     */
    @Override
    public void close() {
        if (!phase.compareAndSet(Phase.OPEN, Phase.CLOSED)) {
            if (phase.get() == Phase.TRAINING) {
                throw new IllegalStateException("run " + folder.path() + ": is training; stop it first");
            }
            return;
        }
        try (lock; shards; slices; trainer) {
            return; // all are closed, whatever one of them throws, the last one first
        }
    }
}
