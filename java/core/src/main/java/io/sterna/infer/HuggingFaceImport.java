package io.sterna.infer;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.io.SafetensorsFolder;
import io.sterna.io.SafetensorsReader;
import io.sterna.kernel.KernelException;
import io.sterna.kernel.Kernels;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import io.sterna.train.ModelFolder;
import io.sterna.train.PreparedData;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Reads a model of the LLaMA family as Hugging Face stores it, {@code llama}, {@code mistral} or {@code bitnet}
 * in {@code config.json}, and writes it as a model folder. Floats (F32, BF16, F16) become BF16 when all of
 * them are, else FP32; the packed weights of BitNet become ternary ones. What Sterna has no place for, such as
 * biases or other scaled rotary positions than Llama's own, is refused by name.
 */
public final class HuggingFaceImport {
    static final long LARGEST_CONFIG = 1 << 20;
    private static final String HEAD = "lm_head.weight";
    private static final String CONTEXT = "max_position_embeddings";
    private static final String EPSILON = "rms_norm_eps";
    private static final int COMPARED = 1 << 16;
    private static final long TILE_ROWS = 256;
    private static final List<String> FLOATS = List.of("F32", "BF16", "F16");
    private static final Map<String, String> ACTIVATIONS = Map.of("llama", "silu", "mistral", "silu", "bitnet", "relu2");
    // What transformers takes where a configuration says nothing.
    private static final Map<String, Long> CONTEXTS = Map.of("llama", 2048L, "mistral", 131_072L, "bitnet", 2048L);
    private static final Map<String, Long> KV_HEADS = Map.of("mistral", 8L, "bitnet", 5L);
    private static final long USUAL_WINDOW = 4096;
    private static final Map<String, Double> EPSILONS = Map.of("llama", 1e-6, "mistral", 1e-6, "bitnet", 1e-5);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path folder;
    private final Map<String, Object> config;
    private final SafetensorsFolder tensors;
    private final boolean packed;
    private boolean inverseScales;

    private HuggingFaceImport(Path folder, Map<String, Object> config, SafetensorsFolder tensors) {
        this.folder = folder;
        this.config = config;
        this.tensors = tensors;
        this.packed = tensors.tensors().values().stream().anyMatch(t -> t.dtype().equals("U8"));
    }

    /**
     * Imports a model.
     *
     * @param folder holds config.json, model.safetensors (or several and their index) and tokenizer.json or tokenizer.model
     * @param loader reads the tokenizer
     * @param out    a folder that is not there, or empty: the model folder
     * @throws io.sterna.train.ConfigException when there is no config.json, or {@code out} holds something
     * @throws ModelException for a config.json that is damaged, and for what has no place here
     * @throws io.sterna.io.SafetensorsException for weights that are missing or damaged
     * @throws io.sterna.data.TokenizerException for a tokenizer that is damaged or not supported
     */
    public static void read(Path folder, PreparedData.TokenizerLoader loader, Path out) throws IOException {
        read(folder, Optional.empty(), loader, List.of(), out);
    }

    /**
     * Imports a model with another tokenizer than the folder's own, or whose texts end otherwise than the folder says;
     * it may have no tokenizer, or not say.
     *
     * @param folder    holds config.json and model.safetensors, or several and their index
     * @param tokenizer a tokenizer.json or tokenizer.model with the model's tokens; empty for the folder's own
     * @param ends      ids of the tokens that end a text, the first one documents; empty for those of the folder
     * @throws IOException as {@link #read(Path, PreparedData.TokenizerLoader, Path)}, which says what else is thrown
     */
    public static void read(Path folder, Optional<Path> tokenizer, PreparedData.TokenizerLoader loader, List<Integer> ends, Path out)
            throws IOException {
        Map<String, Object> config;
        try {
            config = Json.readObject(folder.resolve("config.json"), LARGEST_CONFIG);
        } catch (JsonException e) {
            throw new ModelException("model " + folder + ": " + e.getMessage() + "; expected the configuration of a LLaMA model", e);
        } catch (NoSuchFileException e) {
            throw new ConfigException("model " + folder + ": no config.json there; name a folder of Hugging Face's transformers", e);
        }
        try (SafetensorsFolder tensors = new SafetensorsFolder(folder)) {
            new HuggingFaceImport(folder, config, tensors).convert(tokenizer, loader, ends, out);
        }
    }

    private void convert(Optional<Path> tokenizer, PreparedData.TokenizerLoader loader, List<Integer> ends, Path out) throws IOException {
        TrainConfig settings = settings();
        int vocab = target(out, settings).model().vocab();
        HuggingFaceTokenizer texts = new HuggingFaceTokenizer(folder, config);
        // Fewer tokens than rows are usual: embeddings are padded to round numbers.
        TokenizerText all = tokenizer.isEmpty() ? texts.read(loader) : texts.read(tokenizer.get(), loader);
        TokenizerText text = all.within(vocab, texts.marks(all.tokenizer(), ends), "model " + folder + ": vocab_size " + vocab, loader);
        texts.setMarks(settings, text, ends);
        ModelFolder model = target(out, settings);
        requireTensors(model.parameters());
        Kernels kernels = Kernels.best();
        model.write((part, row0) -> {
            switch (part) {
                case Parameter.Plain plain -> fill(plain, row0);
                case Parameter.Packed ternary -> fill(ternary, kernels);
            }
        }, text.json(), texts.chatTemplate());
    }

    private ModelFolder target(Path out, TrainConfig settings) throws IOException {
        try {
            return ModelFolder.of(out, settings);
        } catch (ConfigException e) {
            throw notLlama(e);
        }
    }

    private ModelException notLlama(Exception cause) {
        return fault("config.json: " + cause.getMessage(), "expected that of a LLaMA model", cause);
    }

    private TrainConfig settings() throws IOException {
        try {
            return readSettings();
        } catch (JsonException | IllegalArgumentException e) {
            throw notLlama(e);
        }
    }

    private TrainConfig readSettings() throws IOException {
        String type = Json.string(config, "model_type");
        String activation = ACTIVATIONS.get(type);
        if (activation == null) {
            throw fault("model_type " + Json.brief(type), "expected llama, mistral or bitnet");
        }
        Object found = config.getOrDefault("hidden_act", activation);
        if (!"silu".equals(found)) {
            throw fault("hidden_act " + Json.brief(found), "expected silu");
        }
        for (String field : List.of("attention_bias", "mlp_bias")) {
            refuseUnless(config, field, false);
        }
        long context = config.get(CONTEXT) == null ? CONTEXTS.get(type) : Json.integer(config, CONTEXT);
        requireNoWindow(type, context);
        boolean bf16 = tensors.tensors().values().stream()
                .allMatch(t -> t.dtype().equals("BF16") || packed && !FLOATS.contains(t.dtype()) || t.name().endsWith("_scale"));
        long heads = Json.integer(config, "num_attention_heads");
        return new HuggingFaceRope(folder, config).set(method(new TrainConfig(), bf16)).set("sub-ln", type.equals("bitnet"))
                .set("hidden", Json.integer(config, "hidden_size")).set("heads", heads)
                .set("intermediate", Json.integer(config, "intermediate_size"))
                .set("layers", Json.integer(config, "num_hidden_layers"))
                .set("kv-heads", kvHeads(type, heads))
                .set("head-dim", config.get("head_dim") == null ? null : Json.integer(config, "head_dim"))
                .set("vocab", Json.integer(config, "vocab_size"))
                .set("seq-len", context)
                .set("rms-epsilon", config.get(EPSILON) == null ? EPSILONS.get(type) : Double.valueOf(Json.number(config, EPSILON)))
                .set("tie-embeddings", config.get("tie_word_embeddings") != null && Json.bool(config, "tie_word_embeddings"));
    }

    /** Floats are a float method, those that are ternarised at each use BitNet's; packed ones exist as codes alone. */
    private TrainConfig method(TrainConfig settings, boolean bf16) throws IOException {
        if (config.get("quantization_config") == null) {
            return settings.set("method", bf16 ? "bf16" : "fp32");
        }
        Map<String, Object> quantization = Json.object(config, "quantization_config");
        refuseUnless(quantization, "quant_method", "bitnet");
        refuseUnless(quantization, "use_rms_norm", false);
        Object kept = quantization.get("modules_to_not_convert");
        if (kept != null && !kept.equals(List.of("lm_head"))) {
            throw fault("modules_to_not_convert " + Json.brief(kept), "expected lm_head alone");
        }
        boolean automatic = "autobitlinear".equals(quantization.get("linear_class"));
        if (automatic && "online".equals(quantization.get("quantization_mode"))) {
            return settings.set("method", "bitnet");
        }
        if (!automatic) {
            refuseUnless(quantization, "linear_class", "bitlinear");
        }
        refuseUnless(quantization, "quantization_mode", "offline");
        inverseScales = !automatic; // weight = code / weight_scale there
        return settings.set("method", "dqt").set("bits", "1.58").set("float-type", bf16 ? "bf16" : "f32");
    }

    /** One that spans the context leaves all of it to be seen. Where nothing is said, mistral has one; null is none. */
    private void requireNoWindow(String type, long context) throws ModelException {
        boolean silent = type.equals("mistral") && !config.containsKey("sliding_window");
        Object window = silent ? Long.valueOf(USUAL_WINDOW) : config.get("sliding_window");
        if (window != null && !(window instanceof Long tokens && tokens >= context)) {
            throw fault("sliding_window " + Json.brief(window) + (silent ? ", which is mistral's where none is said" : ""), "this has no place here");
        }
    }

    /** Key-value heads: null is as many as heads, and nothing said what transformers takes. */
    private long kvHeads(String type, long heads) throws JsonException {
        if (config.get("num_key_value_heads") != null) {
            return Json.integer(config, "num_key_value_heads");
        }
        return config.containsKey("num_key_value_heads") ? heads : KV_HEADS.getOrDefault(type, heads);
    }

    /** Refuses a field that is neither absent, null nor {@code allowed}. */
    private void refuseUnless(Map<String, Object> fields, String field, Object allowed) throws ModelException {
        Object value = fields.get(field);
        if (value != null && !value.equals(allowed)) {
            throw fault(field + " " + Json.brief(value), "this has no place here");
        }
    }

    /** Every tensor of the model, of its shape, and no other; before memory is taken for any. */
    private void requireTensors(List<Parameter> parameters) throws IOException {
        Set<String> known = new HashSet<>();
        for (Parameter p : parameters) {
            known.add(p.name());
            if (p instanceof Parameter.Packed) {
                require(p.name(), List.of("U8"), List.of(packedRows(p), p.cols()));
                known.add(p.name() + "_scale");
                require(p.name() + "_scale", FLOATS, List.of(1L));
            } else {
                require(p.name(), FLOATS, p.rows() == 1 ? List.of(p.cols()) : List.of(p.rows(), p.cols()));
            }
        }
        if (!known.contains(HEAD) && tensors.tensors().containsKey(HEAD)) {
            requireTied();
            known.add(HEAD);
        }
        for (String name : tensors.tensors().keySet()) {
            boolean derived = name.endsWith(".rotary_emb.inv_freq"); // follows from rope_theta; old files store it
            if (!derived && !known.contains(name)) {
                throw fault("tensor " + name, "this has no place here");
            }
        }
    }

    /** A head that is stored although it is the embedding. */
    private void requireTied() throws IOException {
        SafetensorsReader.Tensor head = tensors.tensors().get(HEAD);
        SafetensorsReader.Tensor embedding = tensors.tensors().get("model.embed_tokens.weight");
        boolean equal = head.dtype().equals(embedding.dtype()) && head.shape().equals(embedding.shape());
        byte[] one = new byte[COMPARED];
        byte[] other = new byte[COMPARED];
        for (long at = 0; equal && at < head.bytes(); at += COMPARED) {
            int count = (int) Math.min(COMPARED, head.bytes() - at);
            tensors.read(head, at, MemorySegment.ofArray(one).asSlice(0, count));
            tensors.read(embedding, at, MemorySegment.ofArray(other).asSlice(0, count));
            equal = Arrays.equals(one, 0, count, other, 0, count);
        }
        if (!equal) {
            throw fault("tensor " + HEAD + " is not the embedding, though tie_word_embeddings is true", "set that to false to use it");
        }
    }

    private long packedRows(Parameter p) throws ModelException {
        if (p.rows() % BitNetPacking.CODES != 0) {
            throw fault("tensor " + p.name() + " has " + p.rows() + " rows", "packed ones have multiples of " + BitNetPacking.CODES);
        }
        return p.rows() / BitNetPacking.CODES;
    }

    private void require(String name, List<String> dtypes, List<Long> shape) throws ModelException {
        SafetensorsReader.Tensor tensor = tensors.tensors().get(name);
        if (tensor == null || !tensor.shape().equals(shape) || !dtypes.contains(tensor.dtype())) {
            throw fault("tensor " + name + " is " + (tensor == null ? "missing" : tensor.dtype() + " " + tensor.shape()),
                    "expected " + String.join(" or ", dtypes) + " " + shape);
        }
    }

    private void fill(Parameter.Plain part, long row0) throws IOException {
        SafetensorsReader.Tensor tensor = tensors.tensors().get(part.name());
        FloatMatrix weight = part.weight();
        int width = tensor.dtype().equals("F32") ? Float.BYTES : Short.BYTES;
        try (Workspace workspace = new Workspace()) {
            MemorySegment stored = workspace.section(MemoryKind.SCRATCH).allocate(part.size() * width);
            tensors.read(tensor, row0 * part.cols() * width, stored);
            for (long i = 0; i < part.size(); i++) {
                float value = number(stored, tensor.dtype(), i);
                if (!Float.isFinite(value)) {
                    throw fault("tensor " + tensor.name() + ": weight " + (row0 * part.cols() + i) + " is " + value, "expected finite ones");
                }
                weight.set(i / part.cols(), i % part.cols(), value);
            }
        }
    }

    private static float number(MemorySegment data, String dtype, long i) {
        return switch (dtype) {
            case "F32" -> data.get(FLOAT, i * Float.BYTES);
            case "BF16" -> Float.intBitsToFloat(data.get(SHORT, i * Short.BYTES) << 16);
            case "F16" -> Float.float16ToFloat(data.get(SHORT, i * Short.BYTES));
            default -> throw new AssertionError(dtype + " was refused");
        };
    }

    private void fill(Parameter.Packed parameter, Kernels kernels) throws IOException {
        SafetensorsReader.Tensor tensor = tensors.tensors().get(parameter.name());
        PackedMatrix w = parameter.weight();
        float scale = scale(parameter.name() + "_scale");
        w.scales().set(ValueLayout.JAVA_FLOAT, 0, scale);
        try (Workspace workspace = new Workspace()) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            MemorySegment tile = section.allocate(TILE_ROWS * w.cols());
            FloatMatrix floats = FloatMatrix.allocate(section, FloatType.F32, TILE_ROWS, w.cols());
            long packedRows = w.rows() / BitNetPacking.CODES;
            for (long r0 = 0; r0 < packedRows; r0 += TILE_ROWS) {
                long rows = Math.min(TILE_ROWS, packedRows - r0);
                MemorySegment bytes = tile.asSlice(0, rows * w.cols());
                tensors.read(tensor, r0 * w.cols(), bytes);
                for (int part = 0; part < BitNetPacking.CODES; part++) {
                    unpack(bytes, part, scale, floats.reshape(rows, w.cols()), tensor.name());
                    long row0 = part * packedRows + r0;
                    kernels.encode(floats, w, row0, row0 + rows);
                }
            }
        } catch (KernelException e) {
            throw fault("tensor " + parameter.name() + "_scale is " + scale, "expected a scale that is positive, finite and not tiny", e);
        }
    }

    private void unpack(MemorySegment bytes, int part, float scale, FloatMatrix to, String name) throws ModelException {
        for (long i = 0; i < bytes.byteSize(); i++) {
            int code = BitNetPacking.code(bytes.get(ValueLayout.JAVA_BYTE, i), part);
            if (code > 1) {
                throw fault("tensor " + name + ": a byte is " + (bytes.get(ValueLayout.JAVA_BYTE, i) & 0xff), "its bits 3 are no code");
            }
            to.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, code * scale);
        }
    }

    private float scale(String name) throws IOException {
        SafetensorsReader.Tensor tensor = tensors.tensors().get(name);
        MemorySegment bytes = MemorySegment.ofArray(new byte[(int) tensor.bytes()]);
        tensors.read(tensor, 0, bytes);
        float stored = number(bytes, tensor.dtype(), 0);
        return inverseScales ? 1 / stored : stored;
    }

    private ModelException fault(String what, String remedy) {
        return fault(what, remedy, null);
    }

    private ModelException fault(String what, String remedy, Throwable cause) {
        return new ModelException("model " + folder + ": " + what + "; " + remedy, cause);
    }
}
