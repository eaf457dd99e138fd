package io.sterna.train;

import io.sterna.kernel.KernelException;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.NativeHeap;
import io.sterna.kernel.Slices;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.LlamaPass;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Trains one model: all its memory is allocated here, reused every step, and returned by {@link #close}.
 *
 * <p>Weights are a function of the settings, the seed and the batches: the same bytes for any number of
 * threads. A trainer serves one thread at a time; several trainers may work side by side, each with its
 * own {@link Slices}.
 */
public final class Trainer implements AutoCloseable {
    private final LlamaConfig config;
    private final TrainSettings settings;
    private final Schedule schedule;
    private final Workspace workspace = new Workspace();
    private final Llama model;
    private final LlamaPass pass;
    private final Updater updater;
    private final TernaryFlips ternaryFlips;
    private final MemoryPlan plan;

    /**
     * Allocates a model with initial weights drawn from the settings' seed.
     *
     * @param slices the threads to use; closing them remains the caller's
     */
    public Trainer(LlamaConfig config, Method method, OptimizerConfig optimizer, Schedule schedule,
                   TrainSettings settings, Kernels kernels, Slices slices) {
        this.config = config;
        this.settings = settings;
        this.schedule = schedule;
        try {
            Machinery parts = Machinery.of(config, method, optimizer, schedule, settings, kernels, slices, slices.workers(), workspace);
            this.model = parts.model();
            this.pass = parts.pass();
            this.updater = parts.updater();
            this.ternaryFlips = parts.ternaryFlips();
            this.plan = parts.plan();
            model.initialize(settings.seed());
        } catch (RuntimeException | Error e) {
            workspace.close();
            throw e;
        }
    }

    /** A step without the flip rates of BitNet's codes: see {@link #step(long, MemorySegment, MemorySegment, boolean)}. */
    public StepReport step(long step, MemorySegment inputs, MemorySegment targets) {
        return step(step, inputs, targets, false);
    }

    /**
     * One training step: forward, and a backward pass that updates the weights.
     *
     * @param step    counted from 1
     * @param inputs  int32 (accumulation * batch, seqLen): tokens
     * @param targets off-heap int32, as inputs: the token after each, or -1 for none
     * @param countTernary whether to count the flips of the codes that BitNet makes of its floats, which takes
     *                time: it ternarises all weights before and after the step; those of stored codes always count
     * @throws IllegalArgumentException when a segment is too small, a token is not in the vocabulary, or none
     *                                  has a target
     */
    public StepReport step(long step, MemorySegment inputs, MemorySegment targets, boolean countTernary) {
        long tokens = countTargets(inputs, targets, settings.accumulation());
        updater.begin(step);
        double loss = 0;
        try {
            if (countTernary) {
                ternaryFlips.begin();
            }
            for (int i = 0; i < settings.accumulation(); i++) {
                loss += pass.backward(microBatch(inputs, i), microBatch(targets, i), 1f / tokens, settings.seed(),
                        step * settings.accumulation() + i, updater);
                if (!Double.isFinite(loss)) {
                    return skipped(step, tokens, countTernary);
                }
            }
            updater.finish();
            long[] flips = updater.flips();
            if (countTernary) {
                ternaryFlips.count(flips);
            }
            return report(step, tokens, loss / tokens, flips, countTernary, !updater.finite());
        } catch (KernelException e) {
            nanOr(e);
            return skipped(step, tokens, countTernary);
        }
    }

    /**
     * The loss of one micro-batch, NaN when it is not finite; changes nothing that lasts.
     *
     * @param inputs  int32 (batch, seqLen): tokens
     * @param targets off-heap int32, as inputs: the token after each, or -1 for none
     */
    public Evaluation evaluate(MemorySegment inputs, MemorySegment targets) {
        long tokens = countTargets(inputs, targets, 1);
        try {
            return new Evaluation(pass.forward(microBatch(inputs, 0), microBatch(targets, 0)), tokens);
        } catch (KernelException e) {
            return new Evaluation(nanOr(e), tokens);
        }
    }

    /** NaN for a refusal of numbers that are not finite; any other refusal is thrown. */
    private static double nanOr(KernelException refusal) {
        if (refusal.reason() != KernelException.Reason.NONFINITE) {
            throw refusal;
        }
        return Double.NaN;
    }

    private StepReport skipped(long step, long tokens, boolean countTernary) {
        return report(step, tokens, Double.NaN, updater.flips(), countTernary, true);
    }

    private StepReport report(long step, long tokens, double loss, long[] flips, boolean countTernary, boolean nonFinite) {
        List<Parameter> counted = new ArrayList<>(model.parameters());
        counted.removeIf(p -> !(p instanceof Parameter.Packed));
        if (countTernary) {
            counted.addAll(ternaryFlips.parameters());
        }
        FlipRates rates = FlipRates.of(counted, flips);
        return new StepReport(step, tokens, loss, schedule.rate(step), updater.gradientNorm(), rates.total(), rates.byKind(),
                rates.byLayer(), nonFinite);
    }

    private MemorySegment microBatch(MemorySegment all, int index) {
        long bytes = (long) settings.batch() * config.seqLen() * Integer.BYTES;
        return all.asSlice(index * bytes, bytes);
    }

    private long countTargets(MemorySegment inputs, MemorySegment targets, int microBatches) {
        long tokens = (long) microBatches * settings.batch() * config.seqLen();
        if (inputs.byteSize() < tokens * Integer.BYTES || targets.byteSize() < tokens * Integer.BYTES) {
            throw new IllegalArgumentException("inputs " + inputs.byteSize() + " bytes, targets " + targets.byteSize()
                    + " bytes: each needs " + tokens + " tokens of 4 bytes");
        }
        long count = 0;
        for (long t = 0; t < tokens; t++) {
            checkToken("input", inputs, t, 0);
            count += checkToken("target", targets, t, -1) >= 0 ? 1 : 0;
        }
        if (count == 0) {
            throw new IllegalArgumentException("targets: none of " + tokens + " tokens has one");
        }
        return count;
    }

    private int checkToken(String name, MemorySegment tokens, long at, int low) {
        int token = tokens.getAtIndex(ValueLayout.JAVA_INT, at);
        if (token < low || token >= config.vocab()) {
            throw new IllegalArgumentException(name + " " + token + " at " + at + ": the vocabulary has " + config.vocab());
        }
        return token;
    }

    /** Everything that a checkpoint stores, in the order of the model. */
    public List<NamedTensor> tensors() {
        List<NamedTensor> tensors = new ArrayList<>();
        for (Updater.Slot slot : updater.slots()) {
            NamedTensor.ofWeight(slot.parameter(), tensors);
            NamedTensor.ofState(slot.parameter(), slot.state(), tensors);
        }
        return tensors;
    }

    /**
     * The codes of the model's layers, by name of the tensor: those stored, or those that BitNet makes of its floats;
     * floats that are not finite have none.
     */
    Map<String, PackedMatrix> codes() {
        Map<String, PackedMatrix> codes = new LinkedHashMap<>();
        for (Parameter parameter : model.parameters()) {
            if (parameter instanceof Parameter.Packed packed) {
                codes.put(packed.name(), packed.weight());
            }
        }
        try {
            ternaryFlips.begin();
            codes.putAll(ternaryFlips.codes());
        } catch (KernelException e) {
            nanOr(e);
        }
        return codes;
    }

    /** The model: its parameters are for reading while no step runs. */
    public Llama model() {
        return model;
    }

    /** What the training takes. */
    public MemoryPlan plan() {
        return plan;
    }

    /** Returns all memory; tensors, model and segments may not be used afterwards. */
    @Override
    public void close() {
        if (workspace.isAlive()) {
            NativeHeap.close(workspace);
        }
    }
}
