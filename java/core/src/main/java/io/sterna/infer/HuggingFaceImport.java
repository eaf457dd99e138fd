package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.io.SafetensorsReader;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.Engine;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.ModelFolder;
import io.sterna.train.PreparedData;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Reads a float model of the LLaMA family as Hugging Face stores it, {@code llama} or {@code bitnet} in
 * {@code config.json}, and writes it as a model folder: BF16 when all its weights are, else FP32. What Sterna
 * has no place for, such as biases or scaled rotary positions, is refused by name.
 */
public final class HuggingFaceImport {
    private static final long LARGEST_CONFIG = 1 << 20;
    private static final long TILE_ROWS = 256;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path folder;
    private final Map<String, Object> config;

    private HuggingFaceImport(Path folder) throws IOException {
        this.folder = folder;
        this.config = Json.readObject(folder.resolve("config.json"), LARGEST_CONFIG);
    }

    /**
     * Imports a model.
     *
     * @param folder holds config.json, model.safetensors and tokenizer.json
     * @param loader reads the tokenizer
     * @param out    a folder that is not there, or empty: the model folder
     * @throws ModelException for what has no place here; other faults have the exceptions of the files' readers
     */
    public static void read(Path folder, PreparedData.TokenizerLoader loader, Path out) throws IOException {
        new HuggingFaceImport(folder).convert(loader, out);
    }

    private void convert(PreparedData.TokenizerLoader loader, Path out) throws IOException {
        if (Files.exists(folder.resolve("model.safetensors.index.json"))) {
            throw fault("its weights lie in several files", "join them in one model.safetensors");
        }
        Tokenizer tokenizer = loader.load(folder.resolve("tokenizer.json"));
        try (SafetensorsReader reader = new SafetensorsReader(folder.resolve("model.safetensors"));
                Workspace workspace = new Workspace(); Slices slices = new Slices(1)) {
            TrainConfig settings = checkedSettings(reader);
            if (tokenizer.vocabSize() != settings.vocab) {
                throw fault("vocab_size " + settings.vocab + ", the tokenizer has " + tokenizer.vocabSize(), "they must be equal");
            }
            ModelFolder model = ModelFolder.of(out, settings);
            LlamaConfig shape = model.model();
            requireTensors(shape, model, reader);
            Engine engine = new Engine(Kernels.best(), slices, 1, workspace, Math.max(shape.hidden(), shape.intermediate()));
            Llama llama = new Llama(shape, model.method(), engine, workspace);
            for (Parameter parameter : llama.parameters()) {
                fill((Parameter.Plain) parameter, reader);
            }
            model.write(llama.parameters(), folder);
        }
    }

    private TrainConfig checkedSettings(SafetensorsReader reader) throws IOException {
        try {
            return settings(reader);
        } catch (JsonException e) {
            throw fault("config.json: " + e.getMessage(), "expected that of a LLaMA model");
        }
    }

    private TrainConfig settings(SafetensorsReader reader) throws IOException {
        String type = Json.string(config, "model_type");
        if (!type.equals("llama") && !type.equals("bitnet")) {
            throw fault("model_type " + type, "expected llama or bitnet");
        }
        refuse("quantization_config", null);
        refuse("rope_scaling", null);
        refuse("attention_bias", false);
        refuse("mlp_bias", false);
        if (!"silu".equals(config.getOrDefault("hidden_act", "silu"))) {
            throw fault("hidden_act " + config.get("hidden_act"), "expected silu");
        }
        long hidden = Json.integer(config, "hidden_size");
        long heads = Json.integer(config, "num_attention_heads");
        if (config.get("head_dim") instanceof Long dim && dim * heads != hidden) {
            throw fault("head_dim " + dim, "expected hidden_size / num_attention_heads");
        }
        boolean bf16 = reader.tensors().values().stream().allMatch(t -> t.dtype().equals("BF16"));
        return new TrainConfig().set("method", bf16 ? "bf16" : "fp32").set("sub-ln", type.equals("bitnet"))
                .set("hidden", hidden).set("heads", heads)
                .set("intermediate", Json.integer(config, "intermediate_size"))
                .set("layers", Json.integer(config, "num_hidden_layers"))
                .set("kv-heads", config.get("num_key_value_heads") == null ? heads : Json.integer(config, "num_key_value_heads"))
                .set("vocab", Json.integer(config, "vocab_size"))
                .set("seq-len", Json.integer(config, "max_position_embeddings"))
                .set("rope-theta", config.get("rope_theta") == null ? 1e4 : Json.number(config, "rope_theta"))
                .set("rms-epsilon", Json.number(config, "rms_norm_eps"))
                .set("tie-embeddings", config.get("tie_word_embeddings") != null && Json.bool(config, "tie_word_embeddings"));
    }

    /** Refuses a field that is neither absent, null nor {@code allowed}. */
    private void refuse(String field, Object allowed) throws ModelException {
        Object value = config.get(field);
        if (value != null && !value.equals(allowed)) {
            throw fault(field + " " + Json.write(value), "this has no place here");
        }
    }

    /** Every tensor of the model, of its shape, and no other; before memory is taken for any. */
    private void requireTensors(LlamaConfig shape, ModelFolder model, SafetensorsReader reader) throws ModelException {
        try (Workspace plan = Workspace.planning()) {
            List<Parameter> parameters = new Llama(shape, model.method(), new Engine(null, null, 0, plan, 1), plan).parameters();
            for (Parameter p : parameters) {
                SafetensorsReader.Tensor tensor = reader.tensors().get(p.name());
                List<Long> expected = p.rows() == 1 ? List.of(p.cols()) : List.of(p.rows(), p.cols());
                if (tensor == null || !tensor.shape().equals(expected) || !List.of("F32", "BF16").contains(tensor.dtype())) {
                    throw fault("tensor " + p.name() + " is " + (tensor == null ? "missing" : tensor.dtype() + " " + tensor.shape()),
                            "expected F32 or BF16 " + expected);
                }
            }
            if (reader.tensors().size() != parameters.size()) {
                List<String> known = parameters.stream().map(Parameter::name).toList();
                String other = reader.tensors().keySet().stream().filter(name -> !known.contains(name)).findFirst().orElseThrow();
                throw fault("tensor " + other, "this has no place here");
            }
        }
    }

    private static void fill(Parameter.Plain parameter, SafetensorsReader reader) throws IOException {
        SafetensorsReader.Tensor tensor = reader.tensors().get(parameter.name());
        FloatMatrix weight = parameter.weight();
        boolean f32 = tensor.dtype().equals("F32");
        long rowBytes = weight.cols() * (f32 ? Float.BYTES : Short.BYTES);
        try (Workspace workspace = new Workspace()) {
            MemorySegment tile = workspace.section(MemoryKind.SCRATCH).allocate(Math.min(TILE_ROWS, weight.rows()) * rowBytes);
            for (long r0 = 0; r0 < weight.rows(); r0 += TILE_ROWS) {
                long rows = Math.min(TILE_ROWS, weight.rows() - r0);
                reader.read(tensor, r0 * rowBytes, tile.asSlice(0, rows * rowBytes));
                for (long i = 0; i < rows * weight.cols(); i++) {
                    int bits = f32 ? tile.get(INT, i * Float.BYTES) : tile.get(SHORT, i * Short.BYTES) << 16;
                    weight.set(r0 + i / weight.cols(), i % weight.cols(), Float.intBitsToFloat(bits));
                }
            }
        }
    }

    private ModelException fault(String what, String remedy) {
        return new ModelException("model " + folder + ": " + what + "; " + remedy);
    }
}
