package io.sterna.train;

import io.sterna.nn.LlamaConfig;
import io.sterna.nn.RopeScaling;
import io.sterna.optim.OptimizerConfig;
import java.util.List;
import java.util.Map;

/** What a setting is when nobody sets it. */
final class Defaults {
    /** Sequences a micro-batch and steps, by preset. */
    private record Length(int batch, long steps) {}

    private static final Length LONG = new Length(8, 10_000);
    private static final Length TUNING = new Length(8, 1_000);
    private static final Map<String, Length> LENGTHS = Map.of(
            "nano", new Length(16, 1_200),
            "8m", new Length(32, 2_000),
            "30m", new Length(16, 5_000));

    /** Widths below this take a larger learning rate; see {@link #rate}. */
    private static final double REFERENCE_WIDTH = 768;

    private Defaults() {}

    /** Fills every setting that is null, as far as those set before tell. */
    static void fill(TrainConfig c) {
        if (c.init == null) {
            c.preset = or(c.preset, "nano");
            model(c, LlamaConfig.preset(c.preset));
            usualHeads(c);
        } else if (!InitialModel.isSettled(c)) {
            InitialModel.of(c).settle(c);
        }
        missing(c);
        method(c);
        data(c);
        run(c);
        optimizer(c);
        output(c);
    }

    /** Fills the settings that files written before these came lack. */
    static void missing(TrainConfig c) {
        c.ropeScaling = or(c.ropeScaling, RopeScaling.NONE.toString());
    }

    /** The usual width of a head stays unsaid, so that a model has the same files whether or not it was said. */
    private static void usualHeads(TrainConfig c) {
        if (c.headDim != null && (long) c.headDim * c.heads == c.hidden) {
            c.headDim = null;
        }
    }

    private static void model(TrainConfig c, LlamaConfig preset) {
        c.hidden = or(c.hidden, preset.hidden());
        c.intermediate = or(c.intermediate, preset.intermediate());
        c.layers = or(c.layers, preset.layers());
        c.heads = or(c.heads, preset.heads());
        c.kvHeads = or(c.kvHeads, c.heads.equals(preset.heads()) ? preset.kvHeads() : c.heads);
        c.seqLen = or(c.seqLen, preset.seqLen());
        c.vocab = or(c.vocab, preset.vocab());
        c.ropeTheta = or(c.ropeTheta, preset.ropeTheta());
        c.rmsEpsilon = or(c.rmsEpsilon, preset.rmsEpsilon());
        c.tieEmbeddings = or(c.tieEmbeddings, preset.tied());
    }

    private static void method(TrainConfig c) {
        c.method = or(c.method, "dqt");
        boolean quantized = c.method.equals("dqt") || c.method.equals("bitnet");
        c.subLn = or(c.subLn, quantized);
        c.forward = or(c.forward, "stored");
        if (c.method.equals("dqt")) {
            c.bits = or(c.bits, c.forward.equals("ternary") ? "8" : "1.58");
        }
        c.scale = or(c.scale, "tensor");
        c.scaleRule = or(c.scaleRule, "absmean");
        c.floatType = or(c.floatType, c.method.equals("bf16") ? "bf16" : "f32");
        c.rounding = or(c.rounding, "stochastic");
    }

    private static void data(TrainConfig c) {
        c.data = or(c.data, List.of());
        c.include = or(c.include, List.of());
        c.textField = or(c.textField, "text");
        c.split = or(c.split, "auto");
        c.replaceInvalid = or(c.replaceInvalid, false);
        c.holdout = or(c.holdout, 0.01);
        c.tokenizer = or(c.tokenizer, "train");
        c.cache = or(c.cache, "runs/data");
    }

    private static void run(TrainConfig c) {
        Length length = c.init == null ? LENGTHS.getOrDefault(c.preset, LONG) : TUNING;
        c.steps = or(c.steps, length.steps);
        c.batch = or(c.batch, length.batch);
        c.accumulate = or(c.accumulate, 1);
        c.recompute = or(c.recompute, false);
        boolean int8Products = c.bits != null || c.method.equals("bitnet");
        c.activations = or(c.activations, int8Products ? "bf16" : "f32");
        c.gradients = or(c.gradients, int8Products ? "int16" : "float");
        c.seed = or(c.seed, 42L);
        c.threads = or(c.threads, Runtime.getRuntime().availableProcessors());
    }

    private static void optimizer(TrainConfig c) {
        c.optimizer = or(c.optimizer, "adamw");
        OptimizerConfig kind = Parts.optimizerOf(c.optimizer);
        c.state = or(c.state, kind.state().toString());
        c.beta1 = or(c.beta1, kind.beta1());
        c.beta2 = or(c.beta2, kind.beta2());
        c.epsilon = or(c.epsilon, kind.epsilon());
        c.weightDecay = or(c.weightDecay, kind.weightDecay());
        c.momentum = or(c.momentum, kind.momentum());
        c.updateClip = or(c.updateClip, kind.clip());
        c.clip = or(c.clip, "none");
        if (c.lr == null) {
            c.lr = rate(c);
        }
        c.lrFloor = or(c.lrFloor, 0.0);
        c.schedule = or(c.schedule, c.method.equals("bitnet") ? "two-stage" : "cosine");
        c.lrSecond = c.schedule.equals("two-stage") ? or(c.lrSecond, c.lr * 2 / 3) : null; // which other runs of old have too
        c.warmup = or(c.warmup, (int) Math.min(2000, c.steps / 20));
    }

    private static void output(TrainConfig c) {
        c.logEvery = or(c.logEvery, 10);
        c.evalEvery = or(c.evalEvery, Math.max(1, c.steps / 10));
        c.evalSequences = or(c.evalSequences, 256);
        c.checkpointEvery = or(c.checkpointEvery, Math.max(100, c.steps / 10));
        c.keep = or(c.keep, 3);
    }

    /**
     * The peak learning rate: at hidden 768, 1.5e-3 for BitNet's latent weights, 2e-3 for one bit, whose codes lie twice as far apart,
     * and 1e-3 otherwise; narrower models take more, as one over the root of their hidden size. Measured, with the flip rates
     * they lead to, in bench/results/training.md, with AdamW; Adafactor's updates are of that size too. SGD's are as large as the
     * gradients, for which no rate fits all: its users give one.
     */
    private static double rate(TrainConfig c) {
        if (c.optimizer.equals("sgd")) {
            throw new ConfigException("lr: sgd, whose updates are as large as the gradients, has no default; give one");
        }
        double atReference = c.method.equals("bitnet") ? 1.5e-3 : "1".equals(c.bits) ? 2e-3 : 1e-3;
        double scaled = atReference * Math.sqrt(REFERENCE_WIDTH / c.hidden);
        return Math.round(scaled * 1e5) / 1e5;
    }

    private static <T> T or(T value, T otherwise) {
        return value != null ? value : otherwise;
    }
}
