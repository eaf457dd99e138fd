package io.sterna.infer;

import io.sterna.io.GgufReader;
import io.sterna.io.GgufType;
import io.sterna.io.Json;
import io.sterna.kernel.Kernels;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import io.sterna.train.ModelFolder;
import io.sterna.train.PreparedData;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Reads a model of llama.cpp, a GGUF file of the {@code llama} or {@code bitnet} architecture, and writes it as a
 * model folder. Its tensors may be of any {@link GgufType}, each of its own. Linear layers that are all ternary there
 * become packed ternary weights, with one scale a tensor or one for each block of 256; a model of BF16 becomes BF16, any
 * other FP32. What Sterna has no place for is refused by name. One packed tensor at a time is in memory, or some rows of floats.
 */
public final class GgufImport {
    /**
     * Keys of an architecture that are read, or whose only value allowed is that of a model without the feature; and what
     * old files say of how a context was made longer, which counts for a scaling that is refused.
     */
    private static final Set<String> KEYS = Set.of("context_length", "embedding_length", "block_count", "feed_forward_length",
            "attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon", "rope.dimension_count",
            "rope.freq_base", "vocab_size", "attention.key_length", "attention.value_length", "rope.scaling.type",
            "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned", "rope.scale_linear",
            "expert_count", "expert_used_count", "hidden_act", "tensor_data_layout", "attention.causal");
    private static final int TILE_ROWS = 256;
    private static final int CHUNK = 1 << 16;

    private final Path file;
    private final GgufReader reader;
    private final String architecture;

    private GgufImport(Path file, GgufReader reader) throws IOException {
        this.file = file;
        this.reader = reader;
        this.architecture = reader.string("general.architecture");
    }

    /**
     * Imports a model with its own tokenizer, which must be byte-level BPE that cuts text as GPT-2 does.
     *
     * @param out a folder that is not there, or empty: the model folder
     * @throws ModelException for what has no place here; {@link io.sterna.io.GgufException} for a damaged file
     */
    public static void read(Path file, Path out) throws IOException {
        read(file, PreparedData.TokenizerLoader.BPE, out);
    }

    /**
     * Imports a model with its own tokenizer, byte-level BPE that cuts text in one of many ways, or BPE of SentencePiece's kind.
     *
     * @param loader reads a tokenizer that is not GPT-2's kind
     * @throws IOException as {@link #read(Path, Path)}, and of the loader
     */
    public static void read(Path file, PreparedData.TokenizerLoader loader, Path out) throws IOException {
        read(file, Optional.empty(), loader, List.of(), out);
    }

    /**
     * Imports a model with another tokenizer than the file's own.
     *
     * @param tokenizer a tokenizer.json, or Llama's tokenizer.model, with the same tokens
     * @param loader    reads it
     * @throws IOException as {@link #read(Path, Path)}, and of the loader
     */
    public static void read(Path file, Path tokenizer, PreparedData.TokenizerLoader loader, Path out) throws IOException {
        read(file, Optional.of(tokenizer), loader, List.of(), out);
    }

    /**
     * Imports a model whose texts end otherwise than the file says, or whose file does not say.
     *
     * @param tokenizer as above; empty for the file's own
     * @param loader    reads it
     * @param ends      ids of the tokens that end a text, the first one documents; empty for those of the file
     * @throws IOException as {@link #read(Path, Path)}, and of the loader
     */
    public static void read(Path file, Optional<Path> tokenizer, PreparedData.TokenizerLoader loader, List<Integer> ends, Path out)
            throws IOException {
        try (GgufReader reader = new GgufReader(file)) {
            if (reader.metadata().get("split.count") instanceof Number parts && parts.longValue() > 1) {
                throw new ModelException("model " + file + ": is one of " + parts + " parts; join them with llama.cpp's"
                        + " llama-gguf-split --merge");
            }
            TextSource source = tokenizer.isEmpty() ? () -> GgufTokenizer.read(reader, file, loader)
                    : () -> new HuggingFaceTokenizer(file, Map.of()).read(tokenizer.get(), loader); // which may be SentencePiece's file
            new GgufImport(file, reader).convert(source, loader, ends, out);
        }
    }

    private interface TextSource {
        TokenizerText get() throws IOException;
    }

    private void convert(TextSource source, PreparedData.TokenizerLoader loader, List<Integer> ends, Path out) throws IOException {
        if (!architecture.equals(GgufNames.LLAMA) && !architecture.equals(GgufNames.BITNET)) {
            throw fault("general.architecture " + Json.brief(architecture), "expected llama or bitnet");
        }
        checkKeys();
        TrainConfig settings = settings();
        ModelFolder model = folder(out, settings);
        LlamaConfig shape = model.model();
        requireTensors(model);
        TokenizerText all = source.get();
        TokenizerText text = all.within(shape.vocab(), GgufTokenizer.marks(reader, file, all.tokenizer(), ends),
                "model " + file + ": vocabulary of " + shape.vocab(), loader);
        GgufTokenizer.setMarks(reader, file, text, ends, settings);
        Kernels kernels = Kernels.best();
        folder(out, settings).write((part, row0) -> fill(part, row0, shape, kernels), text.json(), GgufTokenizer.chatTemplate(reader));
    }

    // Settings

    private ModelFolder folder(Path out, TrainConfig settings) throws IOException {
        try {
            return ModelFolder.of(out, settings);
        } catch (ConfigException e) {
            throw notBuildable(e);
        }
    }

    private void checkKeys() throws IOException {
        String prefix = architecture + ".";
        for (String key : reader.metadata().keySet()) {
            if (key.startsWith(prefix) && !KEYS.contains(key.substring(prefix.length()))) {
                throw noPlace(key);
            }
        }
        refuseUnless("rope.scaling.type", "none", "linear");
        refuseUnless("expert_count", 0L);
        refuseUnless("expert_used_count", 0L);
        refuseUnless("hidden_act", "silu");
        refuseUnless("attention.causal", true);
    }

    private void refuseUnless(String key, Object... allowed) throws ModelException {
        Object value = reader.metadata().get(architecture + "." + key);
        if (value != null && !List.of(allowed).contains(value)) {
            throw noPlace(architecture + "." + key);
        }
    }

    private ModelException noPlace(String key) {
        return fault(reader.brief(key), "this has no place here");
    }

    private ModelException notBuildable(ConfigException cause) {
        return fault(cause.getMessage(), "expected a shape that can be built", cause);
    }

    private TrainConfig settings() throws IOException {
        try {
            return readSettings();
        } catch (ConfigException e) {
            throw notBuildable(e);
        }
    }

    private TrainConfig readSettings() throws IOException {
        long hidden = integer("embedding_length");
        long heads = integer("attention.head_count");
        GgufReader.Tensor embedding = reader.tensors().get("token_embd.weight");
        if (embedding == null || has("vocab_size") && integer("vocab_size") != embedding.shape().getFirst()) {
            throw fault("tensor token_embd.weight is " + (embedding == null ? "missing" : embedding.type() + " " + embedding.shape()),
                    "expected one row for each token");
        }
        double theta = has("rope.freq_base") ? reader.number(architecture + ".rope.freq_base") : 1e4;
        TrainConfig config = new TrainConfig().set("sub-ln", architecture.equals(GgufNames.BITNET))
                .set("hidden", hidden).set("heads", heads).set("head-dim", headDim(hidden, heads)).set("intermediate", integer("feed_forward_length"))
                .set("layers", integer("block_count"))
                .set("kv-heads", integer("attention.head_count_kv", heads))
                .set("vocab", embedding.shape().getFirst()).set("seq-len", integer("context_length"))
                .set("rope-theta", theta)
                .set("rope-scaling", new GgufRope(file, reader, architecture).scaling(theta).toString())
                .set("rms-epsilon", reader.number(architecture + ".attention.layer_norm_rms_epsilon"))
                .set("tie-embeddings", architecture.equals(GgufNames.BITNET) || !reader.tensors().containsKey("output.weight"));
        return method(config);
    }

    /** Width of a head: that of its keys, of its values, and of what is rotated of it. What is not said is as llama.cpp takes it. */
    private long headDim(long hidden, long heads) throws IOException {
        long usual = heads == 0 ? 0 : hidden / heads;
        long keys = integer("attention.key_length", usual);
        long values = integer("attention.value_length", usual);
        long rotated = integer("rope.dimension_count", keys);
        if (values != keys || rotated != keys) {
            throw fault("a head has keys of " + keys + ", values of " + values + " and rotates " + rotated + ", by " + architecture
                    + ".attention.key_length, .attention.value_length and .rope.dimension_count", "expected one width");
        }
        return keys;
    }

    private long integer(String key, long otherwise) throws IOException {
        return has(key) ? integer(key) : otherwise;
    }

    private boolean has(String key) {
        return reader.metadata().containsKey(architecture + "." + key);
    }

    private long integer(String key) throws IOException {
        return reader.integer(architecture + "." + key);
    }

    private TrainConfig method(TrainConfig config) throws IOException {
        if (matrices(true).stream().allMatch(t -> t.type().ternary())) {
            return config.set("method", "dqt").set("bits", "1.58").set("scale", oneScaleEach() ? "tensor" : "group:" + GgufType.TQ2_0.block());
        }
        boolean bf16 = matrices(false).stream().allMatch(t -> t.type() == GgufType.BF16) && normsAreBf16();
        return config.set("method", bf16 ? "bf16" : "fp32");
    }

    /** The tensors of more than one row, all of them or those of the blocks. */
    private List<GgufReader.Tensor> matrices(boolean inBlocks) {
        return reader.tensors().values().stream().filter(t -> t.shape().size() > 1 && (!inBlocks || t.name().startsWith("blk."))).toList();
    }

    /** Norms are F32 in every file; those of a model in BF16 hold no more than that. */
    private boolean normsAreBf16() throws IOException {
        for (GgufReader.Tensor tensor : reader.tensors().values()) {
            if (tensor.shape().size() == 1 && !tensor.name().equals(GgufRope.DIVISORS)
                    && !all(tensor, x -> (Float.floatToRawIntBits(x) & 0xffff) == 0)) {
                return false;
            }
        }
        return true;
    }

    private boolean oneScaleEach() throws IOException {
        for (GgufReader.Tensor tensor : matrices(true)) {
            float scale = largest(tensor);
            if (!all(tensor, x -> x == 0 || Math.abs(x) == scale)) {
                return false;
            }
        }
        return true;
    }

    private interface Test {
        boolean of(float x);
    }

    private boolean all(GgufReader.Tensor tensor, Test test) throws IOException {
        float[] x = new float[CHUNK];
        for (long at = 0; at < tensor.size(); at += CHUNK) {
            int count = (int) Math.min(CHUNK, tensor.size() - at);
            reader.read(tensor, at, count, x);
            for (int i = 0; i < count; i++) {
                if (!test.of(x[i])) {
                    return false;
                }
            }
        }
        return true;
    }

    private float largest(GgufReader.Tensor tensor) throws IOException {
        float[] largest = new float[1];
        all(tensor, x -> {
            largest[0] = Math.max(largest[0], Math.abs(x));
            return true;
        });
        return largest[0];
    }

    // Weights

    /** Every tensor of the model, of its shape, and no other. */
    private void requireTensors(ModelFolder model) throws ModelException {
        Set<String> known = new HashSet<>();
        for (Parameter p : model.parameters()) {
            String name = GgufNames.of(p);
            GgufReader.Tensor tensor = reader.tensors().get(name);
            List<Long> expected = p.rows() == 1 ? List.of(p.cols()) : List.of(p.rows(), p.cols());
            if (tensor == null || !tensor.shape().equals(expected)) {
                throw fault("tensor " + name + " is " + (tensor == null ? "missing" : tensor.shape()), "expected " + expected);
            }
            known.add(name);
        }
        GgufReader.Tensor divisors = reader.tensors().get(GgufRope.DIVISORS);
        if (divisors != null) {
            List<Long> expected = List.of(model.model().headDim() / 2L);
            if (!divisors.shape().equals(expected)) {
                throw fault("tensor " + GgufRope.DIVISORS + " is " + divisors.shape(), "expected " + expected);
            }
            known.add(GgufRope.DIVISORS);
        }
        for (String name : reader.tensors().keySet()) {
            if (!known.contains(name)) {
                throw fault("tensor " + name, "this has no place here");
            }
        }
    }

    private void fill(Parameter parameter, long row0, LlamaConfig config, Kernels kernels) throws IOException {
        switch (parameter) {
            case Parameter.Plain plain -> fill(plain, row0, config);
            case Parameter.Packed packed -> fill(packed, config, kernels);
        }
    }

    private void fill(Parameter.Plain part, long row0, LlamaConfig config) throws IOException {
        GgufReader.Tensor tensor = reader.tensors().get(GgufNames.of(part));
        float[] row = new float[(int) part.cols()];
        for (long r = row0; r < row0 + part.rows(); r++) {
            reader.read(tensor, r * row.length, row.length, row);
            store(row, part.weight(), GgufNames.parameterRow(part, config, r) - row0); // of the same head, so within the part
        }
    }

    private static void store(float[] row, FloatMatrix weight, long to) {
        if (weight.type() == FloatType.F32) {
            MemorySegment.copy(row, 0, weight.data(), ValueLayout.JAVA_FLOAT, to * weight.stride() * Float.BYTES, row.length);
            return;
        }
        for (int c = 0; c < row.length; c++) {
            weight.set(to, c, row[c]);
        }
    }

    private void fill(Parameter.Packed parameter, LlamaConfig config, Kernels kernels) throws IOException {
        GgufReader.Tensor tensor = reader.tensors().get(GgufNames.of(parameter));
        PackedMatrix weight = parameter.weight();
        boolean grouped = weight.scaling().kind() == Scaling.Kind.GROUP;
        if (!grouped) {
            weight.scales().set(ValueLayout.JAVA_FLOAT, 0, scale(largest(tensor)));
        }
        long tileRows = Math.min(weight.rows(), Math.ceilDiv(TILE_ROWS, config.headDim()) * config.headDim());
        float[] row = new float[(int) weight.cols()];
        try (Workspace workspace = new Workspace()) {
            FloatMatrix tile = FloatMatrix.allocate(workspace.section(MemoryKind.SCRATCH), FloatType.F32, tileRows, row.length);
            for (long r0 = 0; r0 < weight.rows(); r0 += tileRows) {
                tile.reshape(Math.min(tileRows, weight.rows() - r0), row.length);
                for (long r = r0; r < r0 + tile.rows(); r++) {
                    reader.read(tensor, r * row.length, row.length, row);
                    store(row, tile, GgufNames.parameterRow(parameter, config, r) - r0); // of the same head, so within the tile
                }
                if (grouped) {
                    setScales(tile, weight, r0);
                }
                kernels.encode(tile, weight, r0, r0 + tile.rows());
            }
        }
    }

    /** The scale of each group is the magnitude of its weights. */
    private static void setScales(FloatMatrix tile, PackedMatrix weight, long row0) {
        int group = weight.scaling().group();
        long groups = weight.scaling().groups(weight.cols());
        for (long r = 0; r < tile.rows(); r++) {
            for (long g = 0; g < groups; g++) {
                float largest = 0;
                for (long c = g * group; c < (g + 1) * group; c++) {
                    largest = Math.max(largest, Math.abs(tile.get(r, c)));
                }
                weight.scales().setAtIndex(ValueLayout.JAVA_FLOAT, (row0 + r) * groups + g, scale(largest));
            }
        }
    }

    /** Any scale will do for weights that are all 0. */
    private static float scale(float largest) {
        return largest == 0 ? 1 : largest;
    }

    private ModelException fault(String what, String remedy) {
        return fault(what, remedy, null);
    }

    private ModelException fault(String what, String remedy, Throwable cause) {
        return new ModelException("model " + file + ": " + what + "; " + remedy, cause);
    }
}
