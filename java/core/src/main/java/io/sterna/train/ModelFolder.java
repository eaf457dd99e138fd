package io.sterna.train;

import io.sterna.data.ByteTokenizer;
import io.sterna.data.Shards;
import io.sterna.data.Tokenizer;
import io.sterna.io.CheckpointException;
import io.sterna.io.CheckpointReader;
import io.sterna.io.CheckpointWriter;
import io.sterna.io.DurableFiles;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.io.Utf8;
import io.sterna.io.WholeFolder;
import io.sterna.nn.Engine;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.tensor.Workspace;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * A trained model on disk: {@code weights.sterna}, {@code config.json} with the settings it was trained with,
 * {@code tokenizer.json} unless its tokens are bytes, and {@code chat_template.jinja} where an imported one came with
 * it. Immutable.
 *
 * @param path   the folder
 * @param config the settings
 */
public record ModelFolder(Path path, TrainConfig config) {
    private static final String WEIGHTS = "weights.sterna";
    private static final String CONFIG = "config.json";
    private static final String TOKENIZER = "tokenizer.json";
    private static final String CHAT_TEMPLATE = "chat_template.jinja"; // as transformers has it
    private static final long LARGEST_TEMPLATE = 1 << 20;
    private static final long LARGEST_CONFIG = 64L << 20; // as the header of the weights, which holds the same settings
    private static final long PART_ROWS = 256; // or one head, if that has more
    /** Settings that make another model of the same weights; not the length of sequences, which may be given anew. */
    private static final List<String> DECISIVE = List.of("hidden", "intermediate", "layers", "heads", "kv-heads", "head-dim", "vocab", "rope-theta",
            "rope-scaling", "begin-token", "add-begin-token", "end-token", "rms-epsilon", "tie-embeddings", "sub-ln", "method", "bits", "forward",
            "scale");

    /**
     * A model that is not written yet.
     *
     * @throws ConfigException for a setting that cannot be
     */
    public static ModelFolder of(Path path, TrainConfig config) {
        return new ModelFolder(path, config.resolved());
    }

    /**
     * Refuses a folder that holds something: to be asked before the work for its weights begins.
     *
     * @throws ConfigException when the folder holds something
     * @throws IOException when the folder cannot be listed
     */
    public void requireFree() throws IOException {
        RunFolder.checkFree(path.toString());
    }

    /** Writes the model of a run, over what an earlier attempt has left; its tokenizer comes from the folder of the data. */
    void write(Map<String, Object> meta, List<Parameter> parameters, Path tokenizerFolder) throws IOException {
        Path tokenizer = tokenizerFolder.resolve(TOKENIZER);
        boolean bytes = hasByteTokens(tokenizer); // before any file is written
        Files.createDirectories(path);
        try (CheckpointWriter writer = new CheckpointWriter(path.resolve(WEIGHTS))) {
            StoredTensors.weightsOf(parameters).write(writer);
            writer.commit(meta);
        }
        if (!bytes) {
            DurableFiles.replace(path.resolve(TOKENIZER), Files.readString(tokenizer));
        }
        DurableFiles.replace(path.resolve(CONFIG), Json.writePretty(meta.get("config")));
    }

    /**
     * Writes a model of weights that were another's, with its tokenizer unless the tokens are bytes, and its chat template.
     *
     * @throws ConfigException when the folder holds something, or the other one lacks the tokenizer
     * @throws IOException when a file cannot be written, or not read; what was written is removed
     */
    public void write(List<Parameter> parameters, ModelFolder other) throws IOException {
        writeWhole(() -> {
            write(Map.of("config", RunState.lasting(config)), parameters, other.path);
            writeChatTemplate(path, other.chatTemplate());
        });
    }

    /** Gives parameters their weights. */
    @FunctionalInterface
    public interface WeightSource {
        /**
         * Fills rows of a parameter, all of them but for floats, of which a part of whole heads is in memory at a time: stored
         * in fewer bits they take several times the memory of their file.
         *
         * @param part as many rows as it has are to be filled
         * @param row0 of the parameter, which is the part's first
         * @throws IOException when the weights cannot be read; then no model is written
         */
        void fill(Parameter part, long row0) throws IOException;
    }

    /**
     * Writes a model of weights that come from elsewhere, in memory only until they are written.
     *
     * @param source       of the weights
     * @param tokenizer    the text of its tokenizer.json
     * @param chatTemplate that came with it, if one did
     * @throws ConfigException when the folder holds something
     * @throws IOException of the source, or when a file cannot be written; what was written is removed
     */
    public void write(WeightSource source, String tokenizer, Optional<String> chatTemplate) throws IOException {
        writeWhole(() -> {
            writeInto(source, tokenizer);
            writeChatTemplate(path, chatTemplate);
        });
    }

    /** All of it, or nothing. */
    private void writeWhole(WholeFolder.Writing files) throws IOException {
        requireFree();
        WholeFolder.write(path, files);
    }

    private void writeInto(WeightSource source, String tokenizer) throws IOException {
        Map<String, Object> lasting = RunState.lasting(config);
        try (CheckpointWriter writer = new CheckpointWriter(path.resolve(WEIGHTS))) {
            for (Parameter planned : parameters()) {
                try (Workspace workspace = new Workspace()) {
                    switch (planned) {
                        case Parameter.Packed packed -> write(packed, source, writer, workspace);
                        case Parameter.Plain plain -> write(plain, source, writer, workspace);
                    }
                }
            }
            writer.commit(Map.of("config", lasting));
        }
        DurableFiles.replace(path.resolve(TOKENIZER), tokenizer);
        DurableFiles.replace(path.resolve(CONFIG), Json.writePretty(lasting));
    }

    private void write(Parameter.Packed planned, WeightSource source, CheckpointWriter writer, Workspace workspace) throws IOException {
        Parameter parameter = allocate(planned, planned.rows(), workspace);
        source.fill(parameter, 0);
        StoredTensors.weightsOf(List.of(parameter)).write(writer);
    }

    private void write(Parameter.Plain planned, WeightSource source, CheckpointWriter writer, Workspace workspace) throws IOException {
        long head = model().headDim();
        long rows = Math.min(planned.rows(), Math.ceilDiv(PART_ROWS, head) * head);
        Parameter.Plain part = (Parameter.Plain) allocate(planned, rows, workspace);
        StoredTensors.begin(planned, writer);
        for (long row0 = 0; row0 < planned.rows(); row0 += rows) {
            part.weight().reshape(Math.min(rows, planned.rows() - row0), planned.cols());
            source.fill(part, row0);
            writer.append(part.weight().data());
        }
    }

    private Parameter allocate(Parameter planned, long rows, Workspace workspace) {
        return method().parameter(planned.id(), planned.name(), planned.kind(), rows, planned.cols(), workspace);
    }

    /** The model's parameters, names and shapes alone: they have no memory. */
    public List<Parameter> parameters() {
        try (Workspace plan = Workspace.planning()) {
            return new Llama(model(), method(), new Engine(null, null, 0, plan), plan).parameters();
        }
    }

    /**
     * The model in {@code path}: a model folder, or a run folder that holds one.
     *
     * @throws ConfigException when there is none, or its configuration cannot be; the message names the file
     * @throws io.sterna.io.CheckpointException when its weights are missing, damaged or of another shape
     */
    public static ModelFolder open(Path path) throws IOException {
        Path inRun = path.resolve("model");
        Path folder = Files.exists(inRun.resolve(CONFIG)) ? inRun : path;
        if (Files.isRegularFile(path)) {
            throw new ConfigException("model " + path + ": is a file; name the folder of a run or model, or import the file first");
        }
        if (!Files.exists(folder.resolve(CONFIG))) {
            throw new ConfigException("model " + path + ": no " + CONFIG + " there; name the folder of a finished run");
        }
        ModelFolder model = new ModelFolder(folder, readConfig(folder.resolve(CONFIG)));
        model.expectWeights();
        return model;
    }

    private static TrainConfig readConfig(Path file) throws IOException {
        Map<String, Object> values = readValues(file);
        if (values.containsKey("model_type")) {
            throw new ConfigException("model " + file.getParent() + ": is one of transformers; import it first");
        }
        try {
            TrainConfig config = new TrainConfig().setAll(values);
            if (config.init != null && !InitialModel.isSettled(config)) {
                throw new ConfigException("init " + config.init + ": the shape must stand beside it");
            }
            return config.resolved();
        } catch (ConfigException e) {
            throw new ConfigException(file + ": " + e.getMessage() + "; restore the file of the run", e);
        }
    }

    private static Map<String, Object> readValues(Path file) throws IOException {
        try {
            return Json.readObject(file, LARGEST_CONFIG);
        } catch (JsonException e) {
            throw new ConfigException(e.getMessage() + "; restore the file of the run", e);
        }
    }

    /** Before memory is taken for the weights, their names and shapes, and what these do not tell. */
    private void expectWeights() throws IOException {
        Path file = path.resolve(WEIGHTS);
        try (CheckpointReader reader = new CheckpointReader(file)) {
            StoredTensors.expectWeights(reader, parameters());
            expectSettings(writtenWith(reader, file));
        }
    }

    /** Other heads, another rotary base or a tied head fit the same tensors, and are another model. */
    private void expectSettings(TrainConfig written) {
        for (String key : DECISIVE) {
            Object value = Setting.of(key).get(config);
            Object expected = Setting.of(key).get(written);
            if (!Objects.equals(value, expected)) {
                throw new ConfigException(path.resolve(CONFIG) + ": " + key + " " + value + ": " + WEIGHTS + " was written with "
                        + expected + "; restore the file of the run");
            }
        }
    }

    private static TrainConfig writtenWith(CheckpointReader reader, Path file) throws CheckpointException {
        try {
            TrainConfig written = new TrainConfig().setAll(Json.object(reader.meta(), "config"));
            Defaults.missing(written);
            return written;
        } catch (JsonException | ConfigException e) {
            throw new CheckpointException(file, "its description: " + e.getMessage(), "restore the file of the run", e);
        }
    }

    /** Its shape. */
    public LlamaConfig model() {
        return Parts.of(config).model();
    }

    /** How its weights are represented. */
    public Method method() {
        return Parts.of(config).method();
    }

    /** Where its tokenizer.json is, unless its tokens are bytes. */
    public Path tokenizerFile() {
        return path.resolve(TOKENIZER);
    }

    /** Whether its tokens are bytes, which have no tokenizer.json. */
    boolean hasByteTokens() {
        return hasByteTokens(tokenizerFile());
    }

    private boolean hasByteTokens(Path tokenizer) {
        boolean missing = !Files.exists(tokenizer);
        if (missing && config.vocab != ByteTokenizer.VOCABULARY) {
            throw new ConfigException("tokenizer " + tokenizer + ": missing, and the model's " + config.vocab
                    + " tokens are not bytes; restore it, or prepare the same data again");
        }
        return missing;
    }

    /**
     * Its tokenizer.
     *
     * @throws ConfigException when it is missing, or the settings name tokens that it has not got
     * @throws IOException of the loader, when it cannot be read
     */
    public Tokenizer tokenizer(PreparedData.TokenizerLoader loader) throws IOException {
        Tokenizer tokenizer = hasByteTokens() ? new ByteTokenizer() : loader.load(tokenizerFile());
        try {
            return PreparedData.marked(tokenizer, config);
        } catch (ConfigException e) {
            throw new ConfigException(path.resolve(CONFIG) + ": " + e.getMessage() + "; restore the file of the run", e);
        }
    }

    /**
     * How its makers had conversations written, a template in Jinja; empty where nobody said. It goes where the model goes, and
     * nothing here follows it.
     *
     * @throws ConfigException when it is no text, or too long for one
     */
    public Optional<String> chatTemplate() throws IOException {
        return chatTemplate(path);
    }

    /**
     * The same of any folder that may hold one, such as those of transformers.
     *
     * @throws ConfigException as there
     */
    public static Optional<String> chatTemplate(Path folder) throws IOException {
        Path file = folder.resolve(CHAT_TEMPLATE);
        if (!Files.isRegularFile(file)) {
            return Optional.empty();
        }
        if (Files.size(file) > LARGEST_TEMPLATE) {
            throw new ConfigException(file + ": " + Files.size(file) + " bytes are more than the " + LARGEST_TEMPLATE + " allowed; delete it");
        }
        byte[] text = Files.readAllBytes(file);
        int invalid = Utf8.invalidAt(text, 0, text.length);
        if (invalid >= 0) {
            throw new ConfigException(file + ": byte " + invalid + " is not UTF-8; restore or delete it");
        }
        return Optional.of(new String(text, StandardCharsets.UTF_8));
    }

    /**
     * Writes what {@link #chatTemplate(Path)} reads, if there is one, to a folder, which is made for it.
     *
     * @throws IOException when it cannot be written
     */
    public static void writeChatTemplate(Path folder, Optional<String> template) throws IOException {
        if (template.isPresent()) {
            Files.createDirectories(folder);
            DurableFiles.replace(folder.resolve(CHAT_TEMPLATE), template.get());
        }
    }

    /**
     * The token shards of the run that made it, to be closed; their checksums are not checked.
     *
     * @throws TrainingException for a model that no run made, but a conversion or an import, and when the shards have gone, or others
     *     are in their place
     * @throws io.sterna.data.ShardException when they are damaged
     */
    public Shards data() throws IOException {
        Path file = path.resolve(WEIGHTS);
        try (CheckpointReader reader = new CheckpointReader(file)) {
            if (!RunState.isIn(reader)) {
                throw new TrainingException("model " + path + ": comes from no run, so that it has no held-out data");
            }
            RunState state = RunState.of(reader, file);
            Path data = Path.of(state.data());
            if (!Files.isDirectory(data)) {
                throw new TrainingException("model " + path + ": the data of its run are no longer in " + data + "; prepare the same data again");
            }
            return state.openShards(data, false);
        }
    }

    /**
     * Fills parameters of this model, in the form its method stores them, with their weights.
     *
     * @throws CheckpointException when they are missing, damaged or of another shape
     * @throws java.io.InterruptedIOException when the thread is interrupted
     */
    public void read(List<Parameter> parameters) throws IOException {
        Path file = path.resolve(WEIGHTS);
        try (CheckpointReader reader = new CheckpointReader(file)) {
            StoredTensors.weightsOf(parameters).read(reader, file);
        }
    }
}
