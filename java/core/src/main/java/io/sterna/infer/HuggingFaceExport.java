package io.sterna.infer;

import io.sterna.io.DurableFiles;
import io.sterna.io.Json;
import io.sterna.io.SafetensorsWriter;
import io.sterna.kernel.Kernels;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.ModelFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a model as Hugging Face's transformers reads it: {@code config.json}, {@code generation_config.json},
 * {@code model.safetensors} with every weight in float, {@code tokenizer.json} and {@code tokenizer_config.json}.
 * Without SubLN it is a {@code LlamaForCausalLM}, with SubLN a {@code BitNetForCausalLM}, whose structure has
 * those norms. The weights of a quantized model are code * scale, as here; that its linear layers see their
 * inputs in int8 has no place in the format, so there its logits are those of exact inputs.
 */
public final class HuggingFaceExport {
    private static final String TOKENIZER = "tokenizer.json";
    private static final long LARGEST_TOKENIZER = 1 << 28;
    private static final long TILE_ROWS = 256;

    private final Model model;
    private final FloatType type;

    private HuggingFaceExport(Model model, FloatType type) {
        this.model = model;
        this.type = type;
    }

    /**
     * Exports a model.
     *
     * @param folder that the model was loaded from
     * @param type   of all weights
     * @param out    a folder that is not there, or empty
     * @throws ModelException for a model whose tokens are bytes, which the format has no tokenizer for, and for a
     *     folder that holds something
     */
    public static void write(Path folder, Model model, FloatType type, Path out) throws IOException {
        Path tokenizer = ModelFolder.open(folder).path().resolve(TOKENIZER);
        if (!Files.exists(tokenizer)) {
            throw new ModelException("model " + folder + ": its tokens are bytes, which Hugging Face has no tokenizer for;"
                    + " train with one");
        }
        Files.createDirectories(out);
        try (var files = Files.list(out)) {
            if (files.findAny().isPresent()) {
                throw new ModelException("out " + out + ": holds files already; choose another folder");
            }
        }
        new HuggingFaceExport(model, type).write(tokenizer, out);
    }

    private void write(Path tokenizer, Path out) throws IOException {
        int end = model.tokenizer().endToken();
        DurableFiles.replace(out.resolve(TOKENIZER), Files.readString(tokenizer));
        DurableFiles.replace(out.resolve("tokenizer_config.json"), Json.writePretty(tokenizerConfig(tokenizer, end)));
        DurableFiles.replace(out.resolve("config.json"), Json.writePretty(config(end)));
        DurableFiles.replace(out.resolve("generation_config.json"),
                Json.writePretty(ordered("bos_token_id", end, "eos_token_id", end)));
        writeWeights(out.resolve("model.safetensors"));
    }

    private Map<String, Object> config(int end) {
        LlamaConfig c = model.config();
        return ordered(
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
                "bos_token_id", end, // documents begin behind the end of another one
                "eos_token_id", end,
                "torch_dtype", type == FloatType.F32 ? "float32" : "bfloat16");
    }

    /** The tokenizer's class and the name of the token that ends documents. */
    private static Map<String, Object> tokenizerConfig(Path tokenizer, int end) throws IOException {
        Map<String, Object> config = ordered("tokenizer_class", "PreTrainedTokenizerFast");
        for (Object item : Json.list(Json.readObject(tokenizer, LARGEST_TOKENIZER), "added_tokens")) {
            Map<String, Object> token = Json.asObject(item, "added token");
            if (Json.integer(token, "id") == end) {
                config.put("bos_token", Json.string(token, "content"));
                config.put("eos_token", Json.string(token, "content"));
            }
        }
        return config;
    }

    private static Map<String, Object> ordered(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            map.put((String) pairs[i], pairs[i + 1]);
        }
        return map;
    }

    private void writeWeights(Path file) throws IOException {
        List<Parameter> parameters = model.llama().parameters();
        try (SafetensorsWriter writer = new SafetensorsWriter(file, parameters.stream().map(this::entry).toList())) {
            for (Parameter parameter : parameters) {
                write(parameter, writer);
            }
            writer.commit();
        }
    }

    /** A norm's gain is a vector there. */
    private SafetensorsWriter.Entry entry(Parameter p) {
        List<Long> shape = p.rows() == 1 ? List.of(p.cols()) : List.of(p.rows(), p.cols());
        return new SafetensorsWriter.Entry(p.name(), type == FloatType.F32 ? "F32" : "BF16", shape, p.size() * type.bytes());
    }

    private void write(Parameter parameter, SafetensorsWriter writer) throws IOException {
        try (Workspace workspace = new Workspace()) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            FloatMatrix floats = FloatMatrix.allocate(section, FloatType.F32, TILE_ROWS, parameter.cols());
            FloatMatrix tile = FloatMatrix.allocate(section, type, TILE_ROWS, parameter.cols());
            for (long r0 = 0; r0 < parameter.rows(); r0 += TILE_ROWS) {
                long rows = Math.min(TILE_ROWS, parameter.rows() - r0);
                read(parameter, r0, floats.reshape(rows, parameter.cols()));
                model.kernels().copy(floats, tile.reshape(rows, parameter.cols()), 0, rows);
                writer.write(tile.data());
            }
        }
    }

    private void read(Parameter parameter, long row0, FloatMatrix to) {
        Kernels kernels = model.kernels();
        switch (parameter) {
            case Parameter.Packed packed -> kernels.decode(packed.weight(), to, row0, row0 + to.rows());
            case Parameter.Plain plain -> {
                for (long r = 0; r < to.rows(); r++) {
                    for (long c = 0; c < to.cols(); c++) {
                        to.set(r, c, plain.weight().get(row0 + r, c));
                    }
                }
            }
        }
    }
}
