package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerTemplate;
import io.sterna.io.DurableFiles;
import io.sterna.io.Json;
import io.sterna.io.SafetensorsFolder;
import io.sterna.io.SafetensorsWriter;
import io.sterna.io.WholeFolder;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.nn.RopeScaling;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import io.sterna.train.ModelFolder;
import io.sterna.train.RunFolder;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Writes a model as Hugging Face's transformers reads it: {@code config.json}, {@code generation_config.json},
 * {@code model.safetensors} (several and an index when they are large), {@code tokenizer.json} and
 * {@code tokenizer_config.json}, and the chat template that came with it. Without SubLN it is a {@code LlamaForCausalLM}, with SubLN a
 * {@code BitNetForCausalLM}, whose structure has those norms.
 *
 * <p>In the float forms the weights of a quantized model are code * scale, as here; that its linear layers see
 * their inputs in int8 has no place there, so there its logits are those of exact inputs. The packed form
 * keeps ternary codes and one scale a tensor, and inputs in int8.
 */
public final class HuggingFaceExport {
    /** What weights are written as. */
    public enum Form {
        /** All weights as single-precision floats. */
        F32,
        /** All weights rounded to the nearest bf16. */
        BF16,
        /** Linear layers as BitNet's uint8 of four ternary codes and a {@code weight_scale}, the rest as it is. */
        PACKED
    }

    /** Tensor bytes of a file at most, unless told otherwise. */
    public static final long SHARD_BYTES = 5_000_000_000L;

    private static final String TOKENIZER = "tokenizer.json";
    private static final long TILE_ROWS = 256;

    private final Model model;
    private final boolean packed;
    private final FloatType type;

    private HuggingFaceExport(Model model, Form form) {
        this.model = model;
        this.packed = form == Form.PACKED;
        this.type = switch (form) {
            case F32 -> FloatType.F32;
            case BF16 -> FloatType.BF16;
            case PACKED -> model.method().floatType();
        };
    }

    /**
     * Exports a model in files of up to {@link #SHARD_BYTES}.
     *
     * @throws IOException as {@link #write(Model, Form, long, Path)}, which says what else is thrown
     */
    public static void write(Model model, Form form, Path out) throws IOException {
        write(model, form, SHARD_BYTES, out);
    }

    /**
     * Refuses what {@link #write} would refuse of these, before a model is loaded for it.
     *
     * @throws ConfigException for a folder that holds something, and a size below 1
     * @throws IOException when the folder cannot be listed
     */
    public static void check(long shardBytes, Path out) throws IOException {
        if (shardBytes < 1) {
            throw new ConfigException("shard size " + shardBytes + ": must be at least 1 byte");
        }
        RunFolder.checkFree(out.toString());
    }

    /**
     * Exports a model.
     *
     * @param shardBytes bytes of tensors in a file at most; a larger tensor has a file of its own
     * @param out        a folder that is not there, or empty
     * @throws ModelException for a model whose tokens are bytes, which the format has no tokenizer for; for a
     *     packed form of a model that is not ternary with one scale a tensor; for SubLN with heads of an unusual width
     * @throws ConfigException as {@link #check}
     * @throws IOException when a file cannot be read or written
     */
    public static void write(Model model, Form form, long shardBytes, Path out) throws IOException {
        Objects.requireNonNull(model, "model");
        Objects.requireNonNull(form, "form");
        Objects.requireNonNull(out, "out");
        check(shardBytes, out);
        if (!Files.exists(model.tokenizerFile())) {
            throw new ModelException("model: its tokens are bytes, which Hugging Face has no tokenizer for; export a model that was trained"
                    + " with tokenizer train or a tokenizer.json");
        }
        if (model.config().subLn() && !model.config().hasUsualHeads()) {
            throw new ModelException("model: has SubLN and heads of " + model.config().headDim() + "; transformers has SubLN in"
                    + " bitnet alone, whose heads are hidden / heads wide: train with sub-ln false");
        }
        if (form == Form.PACKED) {
            requirePackable(model);
        }
        WholeFolder.write(out, () -> new HuggingFaceExport(model, form).write(shardBytes, out));
    }

    private static void requirePackable(Model model) throws ModelException {
        Method method = model.method();
        if (method.grid() != Grid.TERNARY || !method.scaling().equals(Scaling.TENSOR)) {
            throw new ModelException("model: its weights are " + (method.grid() == null ? "floats"
                    : "of " + method.grid().width() + " bits with scale " + method.scaling())
                    + ", the packed form takes ternary ones with scale tensor; export floats, or convert it first");
        }
        for (Parameter p : model.llama().parameters()) {
            if (p instanceof Parameter.Packed && p.rows() % BitNetPacking.CODES != 0) {
                throw new ModelException("tensor " + p.name() + " has " + p.rows()
                        + " rows: the packed form takes multiples of " + BitNetPacking.CODES + "; export floats");
            }
        }
    }

    private void write(long shardBytes, Path out) throws IOException {
        Path tokenizer = model.tokenizerFile();
        int begin = model.tokenizer().beginToken();
        int end = model.tokenizer().endToken();
        Object ends = model.tokenizer().endTokens().size() > 1 ? model.tokenizer().endTokens() : end;
        Map<String, Object> root = Json.readObject(tokenizer, TokenizerText.LARGEST);
        DurableFiles.replace(out.resolve("tokenizer_config.json"), Json.writePretty(tokenizerConfig(root, begin, end)));
        boolean changed = setTemplate(root, model.tokenizer());
        DurableFiles.replace(out.resolve(TOKENIZER), changed ? Json.writePretty(root) : Files.readString(tokenizer));
        DurableFiles.replace(out.resolve("config.json"), Json.writePretty(config(begin, ends)));
        DurableFiles.replace(out.resolve("generation_config.json"),
                Json.writePretty(Json.ordered("bos_token_id", begin, "eos_token_id", ends)));
        ModelFolder.writeChatTemplate(out, model.chatTemplate());
        writeWeights(shardBytes, out);
    }

    private Map<String, Object> config(int begin, Object ends) {
        LlamaConfig c = model.config();
        Map<String, Object> config = Json.ordered(
                "architectures", List.of(c.subLn() ? "BitNetForCausalLM" : "LlamaForCausalLM"),
                "model_type", c.subLn() ? "bitnet" : "llama",
                "hidden_size", c.hidden(),
                "intermediate_size", c.intermediate(),
                "num_hidden_layers", c.layers(),
                "num_attention_heads", c.heads(),
                "num_key_value_heads", c.kvHeads(),
                "head_dim", c.headDim(),
                "hidden_act", "silu",
                "vocab_size", c.vocab(),
                "max_position_embeddings", c.seqLen(),
                "rope_theta", c.ropeTheta(),
                "rms_norm_eps", c.rmsEpsilon(),
                "attention_bias", false,
                "mlp_bias", false,
                "tie_word_embeddings", c.tied(),
                "bos_token_id", begin,
                "eos_token_id", ends,
                "torch_dtype", type == FloatType.F32 ? "float32" : "bfloat16");
        if (c.ropeScaling().kind() != RopeScaling.Kind.NONE) {
            config.put("rope_scaling", ropeScaling(c.ropeScaling()));
        }
        if (packed) {
            config.put("quantization_config", Json.ordered(
                    "quant_method", "bitnet",
                    "linear_class", "autobitlinear", // weight = code * weight_scale
                    "quantization_mode", "offline",
                    "modules_to_not_convert", List.of("lm_head")));
        }
        return config;
    }

    private static Map<String, Object> ropeScaling(RopeScaling scaling) {
        Map<String, Object> fields = Json.ordered("rope_type", scaling.kind().name().toLowerCase(Locale.ROOT), "factor", scaling.factor());
        if (scaling.kind() == RopeScaling.Kind.LLAMA3) {
            fields.putAll(Json.ordered("low_freq_factor", scaling.low(), "high_freq_factor", scaling.high(),
                    "original_max_position_embeddings", scaling.originalLength()));
        }
        return fields;
    }

    /** A tokenizer's template puts before a text the token that it begins with here, if it does; says whether it had to change. */
    private static boolean setTemplate(Map<String, Object> root, Tokenizer tokenizer) throws IOException {
        Optional<Integer> wanted = tokenizer.addsBeginToken() ? Optional.of(tokenizer.beginToken()) : Optional.empty();
        if (wanted.equals(TokenizerTemplate.beginToken(root))) {
            return false;
        }
        TokenizerTemplate.setBeginToken(root, wanted);
        return true;
    }

    /** The tokenizer's class and the names of the tokens that documents begin and end with. */
    private static Map<String, Object> tokenizerConfig(Map<String, Object> root, int begin, int end) throws IOException {
        Map<String, Object> config = Json.ordered("tokenizer_class", "PreTrainedTokenizerFast",
                "clean_up_tokenization_spaces", false); // what older versions would do
        for (Object item : Json.listOrEmpty(root, "added_tokens")) {
            Map<String, Object> token = Json.asObject(item, "added token");
            if (Json.integer(token, "id") == begin) {
                config.put("bos_token", Json.string(token, "content"));
            }
            if (Json.integer(token, "id") == end) {
                config.put("eos_token", Json.string(token, "content"));
            }
        }
        return config;
    }

    /** Writes the bytes of a tensor. */
    private interface Body {
        void write(SafetensorsWriter writer) throws IOException;
    }

    private void writeWeights(long shardBytes, Path out) throws IOException {
        Map<SafetensorsWriter.Entry, Body> tensors = new LinkedHashMap<>();
        model.llama().parameters().forEach(parameter -> add(parameter, tensors));
        List<List<SafetensorsWriter.Entry>> shards = SafetensorsFolder.shards(new ArrayList<>(tensors.keySet()), shardBytes);
        for (int i = 0; i < shards.size(); i++) {
            Path file = out.resolve(SafetensorsFolder.fileName(i, shards.size()));
            try (SafetensorsWriter writer = new SafetensorsWriter(file, shards.get(i))) {
                for (SafetensorsWriter.Entry entry : shards.get(i)) {
                    tensors.get(entry).write(writer);
                }
                writer.commit();
            }
        }
        SafetensorsFolder.writeIndex(out, shards);
    }

    private void add(Parameter parameter, Map<SafetensorsWriter.Entry, Body> tensors) {
        if (packed && parameter instanceof Parameter.Packed linear) {
            List<Long> shape = List.of(linear.rows() / BitNetPacking.CODES, linear.cols());
            tensors.put(new SafetensorsWriter.Entry(linear.name(), "U8", shape, shape.get(0) * shape.get(1)),
                    writer -> writeCodes(linear, writer));
            tensors.put(new SafetensorsWriter.Entry(linear.name() + "_scale", "F32", List.of(1L), Float.BYTES),
                    writer -> writer.write(model.scales(linear)));
        } else { // a norm's gain is a vector there
            List<Long> shape = parameter.rows() == 1 ? List.of(parameter.cols()) : List.of(parameter.rows(), parameter.cols());
            String dtype = type == FloatType.F32 ? "F32" : "BF16";
            tensors.put(new SafetensorsWriter.Entry(parameter.name(), dtype, shape, parameter.size() * type.bytes()),
                    writer -> writeFloats(parameter, writer));
        }
    }

    private void writeFloats(Parameter parameter, SafetensorsWriter writer) throws IOException {
        try (Workspace workspace = new Workspace()) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            FloatMatrix floats = FloatMatrix.allocate(section, FloatType.F32, TILE_ROWS, parameter.cols());
            FloatMatrix tile = FloatMatrix.allocate(section, type, TILE_ROWS, parameter.cols());
            for (long r0 = 0; r0 < parameter.rows(); r0 += TILE_ROWS) {
                long rows = Math.min(TILE_ROWS, parameter.rows() - r0);
                model.decode(parameter, r0, floats.reshape(rows, parameter.cols()));
                model.kernels().copy(floats, tile.reshape(rows, parameter.cols()), 0, rows);
                writer.write(tile.data());
            }
        }
    }

    private void writeCodes(Parameter.Packed w, SafetensorsWriter writer) throws IOException {
        long packedRows = w.rows() / BitNetPacking.CODES;
        try (Workspace workspace = new Workspace()) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            FloatMatrix floats = FloatMatrix.allocate(section, FloatType.F32, TILE_ROWS, w.cols());
            MemorySegment tile = section.allocate(TILE_ROWS * w.cols());
            for (long r0 = 0; r0 < packedRows; r0 += TILE_ROWS) {
                long rows = Math.min(TILE_ROWS, packedRows - r0);
                MemorySegment bytes = tile.asSlice(0, rows * w.cols()).fill((byte) 0);
                for (int part = 0; part < BitNetPacking.CODES; part++) {
                    long row0 = part * packedRows + r0;
                    model.decode(w, row0, floats.reshape(rows, w.cols()));
                    for (long i = 0; i < bytes.byteSize(); i++) {
                        int code = (int) Math.signum(floats.data().getAtIndex(ValueLayout.JAVA_FLOAT, i)); // scales are positive
                        bytes.set(ValueLayout.JAVA_BYTE, i,
                                (byte) (bytes.get(ValueLayout.JAVA_BYTE, i) | BitNetPacking.bits(code, part)));
                    }
                }
                writer.write(bytes);
            }
        }
    }
}
