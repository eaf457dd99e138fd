package io.sterna.train;

import static io.sterna.train.Setting.Group.DATA;
import static io.sterna.train.Setting.Group.METHOD;
import static io.sterna.train.Setting.Group.MODEL;
import static io.sterna.train.Setting.Group.OPTIMIZER;
import static io.sterna.train.Setting.Group.OUTPUT;
import static io.sterna.train.Setting.Group.RUN;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.train.Setting.Describe;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Everything a run is told. Each field is a key of config.yaml and an option of the command line
 * ({@code seqLen}: {@code seq-len}, {@code --seq-len}); null means the default that {@link #resolved} fills in,
 * which may depend on other settings. Not thread-safe: a run takes a copy.
 *
 * <p>What a field does and takes is said once, in the annotation above it in the source: {@link Setting#text} and
 * {@link Setting#form} give it, {@code sterna train --help} prints it.
 */
public final class TrainConfig {
    @Describe(group = MODEL, value = "nano|8m|30m|130m|320m|1b", text = "Shape of the model; settings below override it.")
    public String preset;

    @Describe(group = MODEL, value = "DIR",
            text = "Start from this model: its weights, shape and tokenizer; floats become 8 bits unless told otherwise.")
    public String init;

    @Describe(group = MODEL, value = "N", text = "Width of the residual stream.")
    public Integer hidden;

    @Describe(group = MODEL, value = "N", text = "Width inside the feed-forward layers.")
    public Integer intermediate;

    @Describe(group = MODEL, value = "N", text = "Number of blocks.")
    public Integer layers;

    @Describe(group = MODEL, value = "N", text = "Query heads.")
    public Integer heads;

    @Describe(group = MODEL, value = "N", text = "Key and value heads; fewer than heads share them in groups.")
    public Integer kvHeads;

    @Describe(group = MODEL, value = "N", text = "Width of a head; default hidden / heads.")
    public Integer headDim;

    @Describe(group = MODEL, value = "N", text = "Tokens of context; one sequence of a batch.")
    public Integer seqLen;

    @Describe(group = MODEL, value = "X", text = "Base of the rotary positions.")
    public Double ropeTheta;

    @Describe(group = MODEL, value = "none|linear:F|llama3:F:LOW:HIGH:N",
            text = "Stretches rotary positions to texts longer than the N tokens trained on first.")
    public String ropeScaling;

    @Describe(group = MODEL, value = "X", text = "Epsilon of the norms.")
    public Double rmsEpsilon;

    @Describe(group = MODEL, value = "true|false", text = "Head shares the embedding's weights.")
    public Boolean tieEmbeddings;

    @Describe(group = MODEL, value = "true|false", text = "Norms before the o and down projections; by default on for quantized methods.")
    public Boolean subLn;

    @Describe(group = MODEL, value = "ID", text = "With init: token that a text begins with as the model reads it; default the end token.")
    public Integer beginToken;

    @Describe(group = MODEL, value = "true|false",
            text = "Every text begins with that token, which is the default; otherwise it stands only where nothing else precedes the first predicted token.")
    public Boolean addBeginToken;

    @Describe(group = MODEL, value = "ID", text = "Tokens that end a text, the first one documents; default the tokenizer's own.")
    public List<String> endToken;

    @Describe(group = METHOD, value = "dqt|bitnet|fp32|bf16", text = "dqt trains packed integers alone; bitnet keeps float master weights.")
    public String method;

    @Describe(group = METHOD, value = "1|1.58|2...8",
            text = "Bits a stored weight takes (dqt); default 1.58, 8 with forward ternary or an init of floats.")
    public String bits;

    @Describe(group = METHOD, value = "stored|ternary", text = "What the forward pass sees (dqt): the stored codes, or their ternary.")
    public String forward;

    @Describe(group = METHOD, value = "tensor|row|group:N", text = "How many weights share a scale.")
    public String scale;

    @Describe(group = METHOD, value = "absmean|absmax|sigma:K", text = "How a scale is chosen; absmean is the paper's.")
    public String scaleRule;

    @Describe(group = METHOD, value = "f32|bf16",
            text = "Type of embeddings, norms and head, by default f32 but for method bf16; bf16 is updated by stochastic rounding.")
    public String floatType;

    @Describe(group = METHOD, value = "stochastic|nearest", text = "How an update is rounded to the grid; nearest is for ablations.")
    public String rounding;

    @Describe(group = OPTIMIZER, value = "adamw|adafactor|sgd", text = "Turns gradients into updates.")
    public String optimizer;

    @Describe(group = OPTIMIZER, value = "f32|bf16|int8", text = "Type of the optimizer's state.")
    public String state;

    @Describe(group = OPTIMIZER, value = "X",
            text = "Peak learning rate; default by method and width, for adamw and adafactor: sgd needs one of its own.")
    public Double lr;

    @Describe(group = OPTIMIZER, value = "cosine|linear|constant|two-stage",
            text = "How the learning rate falls after the warm-up; default cosine, two-stage for bitnet.")
    public String schedule;

    @Describe(group = OPTIMIZER, value = "X", text = "Share of the peak that cosine and linear end at.")
    public Double lrFloor;

    @Describe(group = OPTIMIZER, value = "X", text = "Peak of the second half of two-stage; default two thirds of lr.")
    public Double lrSecond;

    @Describe(group = OPTIMIZER, value = "N", text = "Steps over which the learning rate rises; default a twentieth of all, at most 2000.")
    public Integer warmup;

    @Describe(group = OPTIMIZER, value = "X", text = "Decoupled weight decay; default 0.01, 0 for sgd.")
    public Double weightDecay;

    @Describe(group = OPTIMIZER, value = "X",
            text = "Decay of the first moment; default 0.9; 0 for adafactor, which keeps one when it is above that.")
    public Double beta1;

    @Describe(group = OPTIMIZER, value = "X", text = "Decay of adamw's second moment; default 0.999.")
    public Double beta2;

    @Describe(group = OPTIMIZER, value = "X", text = "Added to the root of the second moment; default 1e-6, 1e-30 for adafactor.")
    public Double epsilon;

    @Describe(group = OPTIMIZER, value = "X", text = "Momentum of sgd; default 0.9.")
    public Double momentum;

    @Describe(group = OPTIMIZER, value = "X", text = "Adafactor's limit for the root mean square of its update.")
    public Double updateClip;

    @Describe(group = OPTIMIZER, value = "none|tensor:X|global:X", text = "Clips gradients by norm; global keeps a gradient buffer.")
    public String clip;

    @Describe(group = DATA, value = "PATH",
            text = "Files, folders, globs or zips of text, JSON lines or source code; default the JDK's sources. Below a folder, hidden"
                    + " and binary files are skipped, and the cache, prepared data and runs are passed over.")
    public List<String> data;

    @Describe(group = DATA, value = "GLOB", text = "Only files of folders and zips that match.")
    public List<String> include;

    @Describe(group = DATA, value = "NAME", text = "Field of a JSON line that holds the text.")
    public String textField;

    @Describe(group = DATA, value = "auto|file|blank-lines", text = "How a text file becomes documents; auto cuts only long ones.")
    public String split;

    @Describe(group = DATA, value = "true|false", text = "Replace bytes that are not UTF-8; otherwise they are an error.")
    public Boolean replaceInvalid;

    @Describe(group = DATA, value = "X", text = "Share of documents held out for evaluation.")
    public Double holdout;

    @Describe(group = DATA, value = "FILE|bytes|train",
            text = "A tokenizer.json or Llama's tokenizer.model, plain bytes, or one trained from the data.")
    public String tokenizer;

    @Describe(group = DATA, value = "N", text = "Size of the trained tokenizer's vocabulary.")
    public Integer vocab;

    @Describe(group = DATA, value = "DIR", text = "Where prepared data is kept and found again.")
    public String cache;

    @Describe(group = RUN, value = "N", text = "Updates to make.")
    public Long steps;

    @Describe(group = RUN, value = "N", text = "Sequences a micro-batch.")
    public Integer batch;

    @Describe(group = RUN, value = "N", text = "Micro-batches an update; more than 1 keep a gradient buffer.")
    public Integer accumulate;

    @Describe(group = RUN, value = "true|false", text = "Recompute activations of a block in the backward pass: less memory, more time.")
    public Boolean recompute;

    @Describe(group = RUN, value = "f32|bf16", text = "Type of activations kept for the backward pass; default bf16 with int8 products.")
    public String activations;

    @Describe(group = RUN, value = "float|int16|int8",
            text = "What gradients of int8 products come from: int16 where that is faster than floats, in the head too; int8 rounds stochastically. By default int16 with int8 products.")
    public String gradients;

    @Describe(group = RUN, value = "N", text = "Seeds weights, order of data and rounding.")
    public Long seed;

    @Describe(group = RUN, value = "N", text = "Threads; a resumed run keeps the number it began with, if there are so many processors. Otherwise default all processors.")
    public Integer threads;

    @Describe(group = RUN, value = "N", text = "Checkpoint and stop after this step.")
    public Long stopAfter;

    @Describe(group = OUTPUT, value = "DIR", text = "Run folder; default runs/ and a name from the settings.")
    public String out;

    @Describe(group = OUTPUT, value = "N", text = "Steps between records of metrics.")
    public Integer logEvery;

    @Describe(group = OUTPUT, value = "N", text = "Steps between evaluations on held-out data, 0 only at the end; default a tenth of all.")
    public Long evalEvery;

    @Describe(group = OUTPUT, value = "N", text = "Held-out sequences an evaluation reads at most.")
    public Integer evalSequences;

    @Describe(group = OUTPUT, value = "N", text = "Steps between checkpoints, 0 only at the end; default a tenth of all, at least 100.")
    public Long checkpointEvery;

    @Describe(group = OUTPUT, value = "N", text = "Checkpoints kept.")
    public Integer keep;

    /**
     * Sets what {@code values} holds; its keys are those of config.yaml.
     *
     * @throws ConfigException for a key that is unknown, or a value that is not of its type
     */
    public TrainConfig setAll(Map<String, ?> values) {
        values.forEach((key, value) -> Setting.of(key).set(this, value));
        return this;
    }

    /**
     * Sets one value by its key.
     *
     * @throws ConfigException for a key that is unknown, or a value that is not of its type
     */
    public TrainConfig set(String key, Object value) {
        Setting.of(key).set(this, value);
        return this;
    }

    /** What is set, by key, in order. */
    public Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        for (Setting setting : Setting.all()) {
            Object value = setting.get(this);
            if (value != null) {
                map.put(setting.key(), value);
            }
        }
        return map;
    }

    /** A copy that later changes do not touch. */
    public TrainConfig copy() {
        return new TrainConfig().setAll(toMap());
    }

    /**
     * A copy with every default filled in and every value checked.
     *
     * @throws ConfigException for a value that cannot be; the message names setting, value and remedy
     */
    public TrainConfig resolved() {
        TrainConfig c = copy();
        try {
            Defaults.fill(c);
        } catch (ConfigException e) {
            throw e;
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage(), e);
        }
        c.checkRanges();
        Parts.of(c);
        return c;
    }

    /** A trainer with these settings, which must be resolved; {@code slices} remain the caller's. */
    public Trainer newTrainer(Kernels kernels, Slices slices) {
        Parts parts = Parts.of(this);
        return new Trainer(parts.model(), parts.method(), parts.optimizer(), parts.schedule(), parts.settings(), kernels, slices);
    }

    private void checkRanges() {
        atLeast("threads", threads, 1);
        if (threads > Slices.MOST_WORKERS) {
            throw new ConfigException("threads " + threads + ": must be at most " + Slices.MOST_WORKERS);
        }
        atLeast("log-every", logEvery, 1);
        atLeast("eval-every", evalEvery, 0);
        atLeast("eval-sequences", evalSequences, 1);
        atLeast("checkpoint-every", checkpointEvery, 0);
        atLeast("keep", keep, 1);
        if (stopAfter != null) {
            atLeast("stop-after", stopAfter, 1);
        }
        if (!(holdout > 0 && holdout <= 0.5)) {
            throw new ConfigException("holdout " + holdout + ": must be above 0 and at most 0.5");
        }
    }

    private static void atLeast(String key, long value, long least) {
        if (value < least) {
            throw new ConfigException(key + " " + value + ": must be at least " + least);
        }
    }
}
