package io.sterna.infer;

import io.sterna.io.GgufMetadata;
import io.sterna.io.GgufType;
import io.sterna.io.GgufWriter;
import io.sterna.nn.LayerKind;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Writes a model as llama.cpp runs it: one GGUF file of weights, shape and tokenizer. Without SubLN it is of the
 * {@code llama} architecture, with SubLN of {@code bitnet}, whose head is always the embedding. Norms are F32. In the
 * files of few bits embedding and head take more, as in llama.cpp's own: Q8_0 in those of Q4_0, F16 in ternary ones.
 * The weights of a quantized model are code * scale, as here; that its linear layers see their inputs in int8 has
 * no place in the format, so there its logits are those of the inputs that llama.cpp gives them.
 */
public final class GgufExport {
    private static final Map<GgufType, Integer> FILE_TYPES = Map.of(GgufType.F32, 0, GgufType.F16, 1, GgufType.Q4_0, 2,
            GgufType.Q8_0, 7, GgufType.BF16, 32, GgufType.TQ1_0, 36, GgufType.TQ2_0, 37);
    private static final int QUANTIZATION_VERSION = 2;
    private static final int TILE_ROWS = 256;

    private final Model model;
    private final LlamaConfig config;
    private final GgufType type;

    private GgufExport(Model model, GgufType type) {
        this.model = model;
        this.config = model.config();
        this.type = type;
    }

    /**
     * Refuses what {@link #write} would refuse of a file, before a model is loaded for it.
     *
     * @throws ConfigException for a file that is there
     */
    public static void check(Path out) {
        if (Files.exists(out)) {
            throw new ConfigException("out " + out + ": exists already; choose another file");
        }
    }

    /**
     * Exports a model.
     *
     * @param type of the linear layers; the ternary ones hold ternary weights alone, exactly but for their scale,
     *     which is rounded to half precision
     * @param out  a file that is not there
     * @throws ModelException for a model that the format has no place for
     * @throws ConfigException for a file that is there
     * @throws IllegalArgumentException for a type that is not {@link GgufType#written}
     */
    public static void write(Model model, GgufType type, Path out) throws IOException {
        if (!type.written()) {
            throw new IllegalArgumentException("type " + type + ": is only read, never written; choose another one");
        }
        check(out);
        new GgufExport(model, type).write(out);
    }

    private void write(Path out) throws IOException {
        if (config.subLn() && !config.tied()) { // llama.cpp would use the embedding for the head, silently
            throw new ModelException("model: has SubLN and a head of its own; llama.cpp has SubLN in bitnet alone, whose head"
                    + " is the embedding: train with tie-embeddings true or sub-ln false, or export to hf");
        }
        if (config.subLn() && !config.hasUsualHeads()) {
            throw new ModelException("model: has SubLN and heads of " + config.headDim() + "; llama.cpp has SubLN in bitnet alone, whose heads"
                    + " are hidden / heads wide: train with sub-ln false");
        }
        GgufMetadata metadata = metadata();
        List<GgufWriter.Entry> entries = entries();
        List<Parameter> parameters = model.llama().parameters();
        float[] ropeDivisors = GgufRope.write(config, metadata);
        if (ropeDivisors.length > 0) {
            entries.add(new GgufWriter.Entry(GgufRope.DIVISORS, GgufType.F32, List.of((long) ropeDivisors.length)));
        }
        Files.createDirectories(out.toAbsolutePath().getParent());
        try (GgufWriter writer = new GgufWriter(out, metadata, entries)) {
            for (int i = 0; i < parameters.size(); i++) {
                write(parameters.get(i), entries.get(i), writer);
            }
            if (ropeDivisors.length > 0) {
                writer.write(bytes(ropeDivisors));
            }
            writer.commit();
        } catch (InterruptedIOException e) {
            Files.deleteIfExists(out); // which was not there: it may be whole, but nobody expects it
            throw e;
        }
    }

    private GgufMetadata metadata() throws IOException {
        String architecture = GgufNames.architecture(config);
        GgufMetadata metadata = new GgufMetadata()
                .string("general.architecture", architecture).string("general.type", "model")
                .u32("general.file_type", FILE_TYPES.get(type)).u32("general.quantization_version", QUANTIZATION_VERSION)
                .u32(architecture + ".context_length", config.seqLen())
                .u32(architecture + ".embedding_length", config.hidden())
                .u32(architecture + ".block_count", config.layers())
                .u32(architecture + ".feed_forward_length", config.intermediate())
                .u32(architecture + ".attention.head_count", config.heads())
                .u32(architecture + ".attention.head_count_kv", config.kvHeads())
                .f32(architecture + ".attention.layer_norm_rms_epsilon", (float) config.rmsEpsilon())
                .u32(architecture + ".rope.dimension_count", config.headDim())
                .f32(architecture + ".rope.freq_base", (float) config.ropeTheta())
                .u32(architecture + ".vocab_size", config.vocab());
        if (!config.hasUsualHeads()) {
            metadata.u32(architecture + ".attention.key_length", config.headDim()).u32(architecture + ".attention.value_length", config.headDim());
        }
        GgufTokenizer.write(model.tokenizerFile(), model.tokenizer(), config.vocab(), metadata);
        model.chatTemplate().ifPresent(template -> metadata.string(GgufTokenizer.CHAT_TEMPLATE, template));
        return metadata;
    }

    private List<GgufWriter.Entry> entries() throws ModelException {
        List<GgufWriter.Entry> entries = new ArrayList<>();
        for (Parameter p : model.llama().parameters()) {
            GgufType stored = type(p.kind());
            if (p.cols() % stored.block() != 0) {
                throw new ModelException("tensor " + p.name() + ": rows of " + p.cols() + " weights are not whole blocks of the "
                        + stored.block() + " of " + stored + "; export another type, or train with hidden, heads * head-dim and"
                        + " intermediate in multiples of " + stored.block());
            }
            entries.add(new GgufWriter.Entry(GgufNames.of(p), stored, p.rows() == 1 ? List.of(p.cols()) : List.of(p.rows(), p.cols())));
        }
        return entries;
    }

    private GgufType type(LayerKind kind) {
        return switch (kind) {
            case NORM -> GgufType.F32;
            case EMBEDDING, HEAD -> type.ternary() ? GgufType.F16 : type == GgufType.Q4_0 ? GgufType.Q8_0 : type;
            default -> type;
        };
    }

    private void write(Parameter parameter, GgufWriter.Entry entry, GgufWriter writer) throws IOException {
        int cols = (int) parameter.cols();
        long tileRows = Math.min(parameter.rows(), Math.ceilDiv(TILE_ROWS, config.headDim()) * config.headDim());
        float[] row = new float[cols];
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(entry.type().bytes(cols))).order(ByteOrder.LITTLE_ENDIAN);
        try (Workspace workspace = new Workspace()) {
            FloatMatrix tile = FloatMatrix.allocate(workspace.section(MemoryKind.SCRATCH), FloatType.F32, tileRows, cols);
            for (long r0 = 0; r0 < parameter.rows(); r0 += tileRows) {
                long rows = Math.min(tileRows, parameter.rows() - r0);
                model.decode(parameter, r0, tile.reshape(rows, cols));
                for (long r = r0; r < r0 + rows; r++) {
                    long from = GgufNames.parameterRow(parameter, config, r) - r0; // of the same head, so within the tile
                    MemorySegment.copy(tile.data(), ValueLayout.JAVA_FLOAT, from * cols * Float.BYTES, row, 0, cols);
                    encode(parameter, entry.type(), row, bytes.clear());
                    writer.write(bytes.flip());
                }
            }
        }
    }

    private static ByteBuffer bytes(float[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes;
    }

    private static void encode(Parameter parameter, GgufType type, float[] row, ByteBuffer bytes) throws ModelException {
        try {
            type.encode(row, row.length, bytes);
        } catch (IllegalArgumentException e) {
            throw new ModelException("tensor " + parameter.name() + ": " + e.getMessage() + ", so " + type
                    + " does not hold it; export another type", e);
        }
    }
}
