package io.sterna.train;

import io.sterna.data.CorpusOptions;
import io.sterna.kernel.Rounding;
import io.sterna.nn.GradientType;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.RopeScaling;
import io.sterna.nn.ScaleRule;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.StateType;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;

/**
 * A resolved configuration as the parts of a trainer.
 *
 * @param model its vocabulary is the configured one; the tokenizer may have another
 */
record Parts(LlamaConfig model, Method method, OptimizerConfig optimizer, Schedule schedule, TrainSettings settings) {
    static Parts of(TrainConfig c) {
        choice("split", c.split, List.of(CorpusOptions.Splitting.values()));
        return checked(() -> new Parts(model(c), method(c), optimizer(c), schedule(c), settings(c)).checkGradients().checkDecay());
    }

    private Parts checkGradients() {
        if (settings.gradients() == GradientType.INT8 && !method.int8Gradients()) {
            throw new ConfigException("gradients int8: need method dqt or bitnet, and scale tensor or row; leave it out for method "
                    + name(method.kind()) + (method.quantized() ? " with scale " + method.scaling() : ""));
        }
        return this;
    }

    private Parts checkDecay() {
        double most = schedule.peak() * optimizer.weightDecay(); // weights decay no more where a second peak counts
        if (most > 1) {
            throw new ConfigException("lr " + schedule.peak() + " and weight-decay " + optimizer.weightDecay()
                    + ": a step would decay weights by " + most + ", more than all of them; lower one of the two");
        }
        return this;
    }

    /** The configuration's own error for a value that a part refuses. */
    static <T> T checked(Supplier<T> part) {
        try {
            return part.get();
        } catch (ConfigException e) {
            throw e;
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage(), e);
        }
    }

    private static LlamaConfig model(TrainConfig c) {
        return new LlamaConfig(
                c.hidden,
                c.intermediate,
                c.layers,
                c.heads,
                c.kvHeads,
                c.headDim != null ? c.headDim : LlamaConfig.usualHeadDim(c.hidden, c.heads),
                c.vocab,
                c.seqLen,
                c.ropeTheta,
                RopeScaling.parse(c.ropeScaling),
                c.rmsEpsilon,
                c.subLn,
                c.tieEmbeddings);
    }

    private static Method method(TrainConfig c) {
        Method.Kind kind = choice("method", c.method, List.of(Method.Kind.values()));
        boolean ternary = "ternary".equals(option("forward", c.forward, "stored", "ternary"));
        Grid grid =
                switch (kind) {
                    case DQT -> Grid.ofWidth(c.bits);
                    case BITNET -> Grid.TERNARY;
                    case FP32, BF16 -> null;
                };
        if (kind != Method.Kind.DQT && c.bits != null) {
            throw new ConfigException("bits " + c.bits + ": only method dqt takes bits; leave it out for " + c.method);
        }
        return new Method(
                kind, grid, ternary, Scaling.parse(c.scale), ScaleRule.parse(c.scaleRule), FloatType.parse("float-type", c.floatType));
    }

    private static OptimizerConfig optimizer(TrainConfig c) {
        return new OptimizerConfig(
                optimizerOf(c.optimizer).kind(),
                c.beta1,
                c.beta2,
                c.epsilon,
                c.weightDecay,
                c.momentum,
                c.updateClip,
                StateType.parse("state", c.state));
    }

    /** The optimizer of that name with its usual constants. */
    static OptimizerConfig optimizerOf(String name) {
        return switch (choice("optimizer", name, List.of(OptimizerConfig.Kind.values()))) {
            case ADAMW -> OptimizerConfig.adamw();
            case ADAFACTOR -> OptimizerConfig.adafactor();
            case SGD -> OptimizerConfig.sgd();
        };
    }

    private static Schedule schedule(TrainConfig c) {
        Schedule.Kind kind = choice("schedule", c.schedule, List.of(Schedule.Kind.values()));
        return new Schedule(kind, c.lr, c.warmup, c.steps, c.lrFloor, c.lrSecond == null ? 0 : c.lrSecond);
    }

    private static TrainSettings settings(TrainConfig c) {
        Rounding rounding = choice("rounding", c.rounding, List.of(Rounding.values()));
        return new TrainSettings(c.batch, c.accumulate, Clip.parse(c.clip), rounding, c.recompute,
                FloatType.parse("activations", c.activations), choice("gradients", c.gradients, List.of(GradientType.values())), c.seed);
    }

    static <E extends Enum<E>> E choice(String setting, String text, List<E> values) {
        List<String> names = values.stream().map(Parts::name).toList();
        int at = names.indexOf(option(setting, text, names.toArray(String[]::new)));
        return values.get(at);
    }

    private static String name(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static String option(String setting, String text, String... values) {
        if (!List.of(values).contains(text)) {
            throw new ConfigException(setting + " \"" + text + "\": expected one of " + String.join(", ", values)
                    + "; did you mean " + Names.nearest(text, List.of(values)) + "?");
        }
        return text;
    }
}
