package io.sterna.train;

import io.sterna.kernel.KernelException;
import io.sterna.kernel.Kernels;
import io.sterna.nn.Llama;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.nn.Requantizer;
import io.sterna.nn.ScaleRule;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Workspace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The model that a training starts from: its shape and tokenizer become settings, its weights the first ones. */
record InitialModel(ModelFolder folder) {
    private static final List<String> SHAPE = List.of("hidden", "intermediate", "layers", "heads", "kv-heads", "vocab",
            "rope-theta", "rms-epsilon", "tie-embeddings", "sub-ln");
    /** Settings that older models lack, or that have no value when the tokenizer says it. */
    private static final List<String> MAYBE_UNSET = List.of("rope-scaling", "begin-token", "add-begin-token", "end-token");
    /** Imported models allow contexts whose activations few machines could train. */
    private static final int LONGEST_SEQUENCE = 512;

    /**
     * The model that a configuration names.
     *
     * @throws ConfigException when there is none
     */
    static InitialModel of(TrainConfig config) {
        Path path = Path.of(config.init);
        if (!Files.isDirectory(path)) {
            throw new ConfigException("init " + path + ": no such folder; name a run or model folder, or import the model first");
        }
        try {
            return new InitialModel(ModelFolder.open(path));
        } catch (IOException | ConfigException e) {
            throw new ConfigException("init " + path + ": " + e.getMessage(), e);
        }
    }

    /** Whether the settings say all that the model decides. */
    static boolean isSettled(TrainConfig config) {
        return SHAPE.stream().allMatch(key -> Setting.of(key).get(config) != null) && config.seqLen != null && config.tokenizer != null;
    }

    /**
     * Fills the settings that the model decides, and those whose defaults depend on it.
     *
     * @throws ConfigException for one that says otherwise
     */
    void settle(TrainConfig config) {
        TrainConfig own = folder.config();
        if (config.preset != null) {
            throw contradiction("preset " + config.preset, "gives the shape");
        }
        for (String key : SHAPE) {
            take(config, key, Setting.of(key).get(own));
        }
        int headDim = folder.model().headDim();
        if (config.headDim != null && config.headDim != headDim) {
            throw contradiction("head-dim " + config.headDim, "has " + headDim);
        }
        config.headDim = own.headDim;
        if (Boolean.TRUE.equals(config.addBeginToken) && own.addBeginToken == null) {
            config.addBeginToken = null; // which says the same
        }
        for (String key : MAYBE_UNSET) {
            take(config, key, Setting.of(key).get(own));
        }
        take(config, "tokenizer", folder.hasByteTokens() ? "bytes" : folder.tokenizerFile().toString());
        config.seqLen = config.seqLen == null ? Math.min(own.seqLen, LONGEST_SEQUENCE) : config.seqLen;
        settleMethod(config, own);
    }

    private void take(TrainConfig config, String key, Object value) {
        Setting setting = Setting.of(key);
        Object wanted = setting.get(config);
        if (wanted != null && !wanted.equals(value)) {
            throw contradiction(key + " " + wanted, "has " + value);
        }
        setting.set(config, value);
    }

    private ConfigException contradiction(String what, String whatTheModelDoes) {
        return new ConfigException(what + ": the model " + folder.path() + " " + whatTheModelDoes + "; leave it out, or leave out init");
    }

    /** A quantized model goes on as it is unless told otherwise; a float one gets 8 bits, with a scale for each row. */
    private void settleMethod(TrainConfig config, TrainConfig own) {
        boolean quantized = folder.method().quantized();
        boolean silent = config.method == null && config.bits == null && config.forward == null;
        config.method = config.method != null ? config.method : silent && quantized ? own.method : "dqt";
        if (silent && quantized) {
            config.bits = own.bits;
            config.forward = own.forward;
        }
        if (!config.method.equals("dqt")) {
            return;
        }
        config.bits = config.bits != null ? config.bits : "8";
        boolean sameGrid = config.bits.equals(own.bits);
        if (config.scale == null) {
            config.scale = sameGrid ? own.scale : "row";
        }
        if (sameGrid && config.scale.equals(own.scale)) {
            take(config, "scale-rule", own.scaleRule); // its codes and scales stay as they are
        } else if (config.scaleRule == null) {
            config.scaleRule = usualScaleRule(config.bits).toString();
        }
    }

    private static ScaleRule usualScaleRule(String bits) {
        return Parts.checked(() -> ScaleRule.usual(Grid.ofWidth(bits)));
    }

    /**
     * Writes the model's weights into one of the same shape, in the representation that it has.
     *
     * @throws io.sterna.io.CheckpointException when they are missing or damaged
     * @throws TrainingException when they are not finite
     */
    void write(Llama model, Kernels kernels) throws IOException {
        Requantizer requantizer = new Requantizer(kernels, model.method().scaleRule());
        Method method = folder.method();
        for (Parameter to : model.parameters()) {
            try (Workspace temporary = new Workspace()) {
                Parameter from = method.parameter(to.id(), to.name(), to.kind(), to.rows(), to.cols(), temporary);
                folder.read(List.of(from));
                requantizer.write(from, to);
            } catch (KernelException e) {
                throw new TrainingException("init " + folder.path() + ": tensor " + to.name() + ": " + e.getMessage());
            }
        }
    }
}
