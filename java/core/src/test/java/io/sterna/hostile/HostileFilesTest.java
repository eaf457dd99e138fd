package io.sterna.hostile;

import static io.sterna.hostile.JsonFaults.Type.COUNT;
import static io.sterna.hostile.JsonFaults.Type.FLAG;
import static io.sterna.hostile.JsonFaults.Type.LIST;
import static io.sterna.hostile.JsonFaults.Type.NUMBER;
import static io.sterna.hostile.JsonFaults.Type.OBJECT;
import static io.sterna.hostile.JsonFaults.Type.TEXT;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import io.sterna.data.BpeTokenizer;
import io.sterna.data.ShardException;
import io.sterna.data.Shards;
import io.sterna.data.TokenizerException;
import io.sterna.hostile.JsonFaults.Field;
import io.sterna.infer.HuggingFaceExport;
import io.sterna.infer.HuggingFaceImport;
import io.sterna.infer.Model;
import io.sterna.infer.ModelException;
import io.sterna.infer.TinyModel;
import io.sterna.io.CheckpointException;
import io.sterna.io.CheckpointReader;
import io.sterna.io.SafetensorsException;
import io.sterna.io.SafetensorsReader;
import io.sterna.train.ConfigException;
import io.sterna.train.PreparedData.TokenizerLoader;
import io.sterna.train.TrainListener;
import io.sterna.train.TrainingRun;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every reader of files that others may have made, against every kind of broken file that we could think of:
 * each ends with the reader's own exception, which names file and field, within 2 seconds of its thread and within twice
 * the file and 64 MiB of memory. Then random damage, {@code -Dsterna.mutations=N} files of each kind.
 */
class HostileFilesTest {
    private static final long MEMORY = 64L << 20;
    private static final long NANOS = 2_000_000_000;
    private static final int MUTATIONS = Integer.getInteger("sterna.mutations", 100);
    private static final ThreadMXBean THREAD = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final Set<String> KINDS = new HashSet<>();

    @TempDir
    private static Path folder;
    private static Path run;
    private static Path floats;
    private static Path packed;

    /** Reads a file; faults are exceptions. */
    private interface Reader {
        void read(Path file) throws Exception;
    }

    /**
     * A format under test.
     *
     * @param folder with good files, whose one {@code file} is broken
     * @param typed  the exceptions that the reader may throw
     * @param reader reads the file, or its folder
     */
    private record Format(String name, Path folder, String file, Set<Class<?>> typed, Reader reader) {
        Path path() {
            return folder.resolve(file);
        }

        byte[] good() throws IOException {
            return Files.readAllBytes(path());
        }
    }

    @BeforeAll
    static void makeGoodFiles() throws IOException {
        run = TinyModel.train(folder, "tokenizer", "train", "vocab", "270", "bits", "1.58");
        Path plain = TinyModel.train(folder, "tokenizer", "train", "vocab", "270", "method", "fp32");
        floats = folder.resolve("floats");
        packed = folder.resolve("packed");
        try (Model model = Model.load(plain)) {
            HuggingFaceExport.write(model, HuggingFaceExport.Form.F32, 30_000, floats);
        }
        try (Model model = Model.load(run)) {
            HuggingFaceExport.write(model, HuggingFaceExport.Form.PACKED, packed);
        }
    }

    @AfterAll
    static void thereWereManyKinds() {
        assertTrue(KINDS.size() >= 500, "kinds of broken files: " + KINDS.size());
    }

    // The formats. Each works on a copy of the good files.

    private static Format safetensors() throws IOException {
        return new Format("safetensors", copy(packed), "model.safetensors", Set.of(SafetensorsException.class),
                file -> new SafetensorsReader(file).close());
    }

    private static Format index() throws IOException {
        return new Format("index", copy(floats), "model.safetensors.index.json",
                Set.of(SafetensorsException.class, ModelException.class), HostileFilesTest::importFolder);
    }

    private static Format config(Path from) throws IOException {
        return new Format("config of " + from.getFileName(), copy(from), "config.json", Set.of(ModelException.class), HostileFilesTest::importFolder);
    }

    private static Format tokenizer() throws IOException {
        return new Format("tokenizer", copy(packed), "tokenizer.json", Set.of(TokenizerException.class), BpeTokenizer::load);
    }

    private static Format checkpoint() throws IOException {
        return new Format("checkpoint", copy(run.resolve("model")), "weights.sterna", Set.of(CheckpointException.class), file -> {
            try (CheckpointReader reader = new CheckpointReader(file)) {
                reader.verify();
            }
        });
    }

    private static Format modelConfig() throws IOException {
        return new Format("model", copy(run.resolve("model")), "config.json",
                Set.of(ConfigException.class, CheckpointException.class, ModelException.class), file -> Model.load(file.getParent()).close());
    }

    private static Format shards() throws IOException {
        return new Format("shards", copy(prepared()), name(prepared(), "train-"), Set.of(ShardException.class), HostileFilesTest::openShards);
    }

    private static Format manifest() throws IOException {
        return new Format("manifest", copy(prepared()), "manifest.json", Set.of(ShardException.class), HostileFilesTest::openShards);
    }

    /** The last checkpoint of a run that is not finished. */
    private static Format resume() throws IOException {
        Path copy = copy(run);
        Files.delete(copy.resolve("summary.json"));
        return new Format("resume", copy.resolve("checkpoints"), name(copy.resolve("checkpoints"), "step-"),
                Set.of(CheckpointException.class), file -> TrainingRun.resume(file.getParent().getParent(), Map.of(), TrainListener.NONE).close());
    }

    private static void importFolder(Path file) throws IOException {
        Path out = file.resolveSibling("imported");
        HuggingFaceImport.read(file.getParent(), TokenizerLoader.BPE, out);
        delete(out);
    }

    private static void openShards(Path file) throws IOException {
        Shards.open(file.getParent(), true).close();
    }

    // The kinds of broken files.

    @Test
    void goodFilesAreRead() throws Exception {
        for (Format format : List.of(safetensors(), index(), config(floats), config(packed), tokenizer(), checkpoint(), modelConfig(), shards(),
                manifest(), resume())) {
            format.reader.read(format.path());
        }
    }

    @Test
    void safetensorsFiles() throws Exception {
        Format format = safetensors();
        byte[] good = format.good();
        refuse(format, BinaryFaults.ofSafetensors(good));
        byte[] body = BinaryFaults.safetensorsBody(good);
        for (Kind kind : JsonFaults.ofText(BinaryFaults.safetensorsHeader(good))) {
            if (!kind.name().equals("no last brace")) { // a header may end in blanks, so what is cut there may be one
                refuse(format, List.of(new Kind("header: " + kind.name(), BinaryFaults.safetensors(kind.bytes(), body), kind.parts())));
            }
        }
    }

    @Test
    void indices() throws Exception {
        Format format = index();
        refuse(format, JsonFaults.ofText(format.good()));
        refuse(format, JsonFaults.ofFields(format.good(), List.of(Field.of("weight_map", OBJECT))));
        String good = new String(format.good());
        for (String name : List.of("../model-00001.safetensors", "/etc/passwd", "", ".", "..", "a/b.safetensors", "a\\\\b.safetensors", "model",
                "a\\u0000.safetensors", ".safetensors", "C:x.safetensors", "x".repeat(300) + ".safetensors", "nowhere.safetensors")) {
            String edited = good.replaceFirst("\"model-00001-of-\\d+\\.safetensors\"", "\"" + name.replace("\\", "\\\\") + "\"");
            assertFalse(edited.equals(good));
            refuse(format, List.of(new Kind("a file called " + name, JsonFaults.utf8(edited), "safetensors")));
        }
        refuse(format, List.of(
                new Kind("no tensors", JsonFaults.utf8("{\"weight_map\": {}}"), "names 0 files"),
                new Kind("a tensor more", JsonFaults.utf8(good.replaceFirst("\"model\\.embed", "\"more\": \"model-00002-of-00012.safetensors\", \"model.embed")
                        .replace("00012", good.replaceAll("(?s).*?-of-(\\d+)\\..*", "$1"))), "tensor \"more\""),
                new Kind("a tensor in another file", JsonFaults.utf8(good.replaceFirst("-00001-", "-00002-")), "tensor \"model.embed_tokens.weight\""),
                new Kind("a tensor that the index lacks", JsonFaults.utf8(good.replaceFirst("(?s)\"model\\.embed[^,]*,", "")), "tensor")));
        StringBuilder many = new StringBuilder("{\"weight_map\": {");
        for (int i = 0; i < 5_000; i++) {
            many.append(i == 0 ? "" : ",").append("\"t").append(i).append("\":\"f").append(i).append(".safetensors\"");
        }
        refuse(format, List.of(new Kind("thousands of files", JsonFaults.utf8(many.append("}}").toString()), "names 5000 files")));
    }

    @Test
    void configurationsOfTransformers() throws Exception {
        Format format = config(floats);
        refuse(format, JsonFaults.ofText(format.good()));
        refuse(format, JsonFaults.ofFields(format.good(), List.of(
                Field.of("model_type", TEXT), Field.of("hidden_size", COUNT).called("hid"), Field.of("intermediate_size", COUNT).called("intermediate"),
                Field.of("num_hidden_layers", COUNT).called("layers"), Field.of("num_attention_heads", COUNT).called("heads"),
                Field.of("num_key_value_heads", COUNT).mayBeMissing().called("heads"), Field.of("head_dim", COUNT).mayBeMissing().called("head"),
                Field.of("vocab_size", COUNT).called("vocab"), Field.of("max_position_embeddings", COUNT).mayBeMissing().called("-"),
                Field.of("rms_norm_eps", NUMBER).mayBeMissing().called("rms"), Field.of("rope_theta", NUMBER).mayBeMissing(),
                Field.of("tie_word_embeddings", FLAG).mayBeMissing(), Field.of("hidden_act", TEXT).mayBeMissing(),
                Field.of("attention_bias", FLAG).mayBeMissing(), Field.of("mlp_bias", FLAG).mayBeMissing())));
        Format quantized = config(packed);
        refuse(quantized, JsonFaults.ofFields(quantized.good(), List.of(
                Field.of("quantization_config", OBJECT).mayBeMissing(), Field.of("quantization_config.quant_method", TEXT).mayBeMissing(),
                Field.of("quantization_config.linear_class", TEXT).mayBeMissing(),
                Field.of("quantization_config.quantization_mode", TEXT).mayBeMissing())));
    }

    @Test
    void tokenizers() throws Exception {
        Format format = tokenizer();
        refuse(format, JsonFaults.ofText(format.good()));
        refuse(format, JsonFaults.ofFields(format.good(), List.of(
                Field.of("model", OBJECT), Field.of("model.vocab", OBJECT), Field.of("model.merges", LIST), Field.of("added_tokens", LIST).mayBeMissing(),
                Field.of("added_tokens.0.id", COUNT), Field.of("added_tokens.0.content", TEXT), Field.of("model.vocab.a", COUNT).called("a"),
                Field.of("pre_tokenizer", OBJECT), Field.of("model.type", TEXT).mayBeMissing().called("model"))));
        String good = new String(format.good());
        refuse(format, List.of(
                new Kind("a merge of one", JsonFaults.utf8(good.replaceFirst("(?s)\"merges\": \\[.*?\\]", "\"merges\": [\"a\"]")), "merge 0"),
                new Kind("a merge of three", JsonFaults.utf8(good.replaceFirst("(?s)\"merges\": \\[.*?\\]", "\"merges\": [[\"a\",\"b\",\"c\"]]")), "merge 0"),
                new Kind("a merge of strangers", JsonFaults.utf8(good.replaceFirst("(?s)\"merges\": \\[.*?\\]", "\"merges\": [\"a qqq\"]")), "merge 0"),
                new Kind("a merge of nothing", JsonFaults.utf8(good.replaceFirst("(?s)\"merges\": \\[.*?\\]", "\"merges\": [null]")), "merge 0"),
                new Kind("a step that is nothing", JsonFaults.utf8(good.replaceFirst("\"post_processor\":",
                        "\"post_processor\": {\"type\": \"Sequence\", \"processors\": [null]}, \"before\":")), "post_processor is not an object but null"),
                new Kind("a step without a type", JsonFaults.utf8(good.replaceFirst("\"post_processor\":",
                        "\"post_processor\": {\"type\": null}, \"before\":")), "post_processor null"),
                new Kind("an id far away", JsonFaults.utf8(good.replaceFirst("\"a\": \\d+", "\"a\": 16777215")), "largest id is 16777215"),
                new Kind("an id of two", JsonFaults.utf8(good.replaceFirst("\"a\": \\d+", "\"a\": 7")), "has id 7"),
                new Kind("a byte without a token", JsonFaults.utf8(good.replaceFirst("\"a\": (\\d+)", "\"aqz\": $1")), "without byte 0x61"),
                new Kind("an empty added token", JsonFaults.utf8(good.replaceFirst("<\\|end\\|>", "")), "added token")));
    }

    @Test
    void checkpoints() throws Exception {
        Format format = checkpoint();
        byte[] good = format.good();
        refuse(format, BinaryFaults.ofCheckpoint(good));
        byte[] header = BinaryFaults.checkpointHeader(good);
        List<Kind> kinds = new ArrayList<>(JsonFaults.ofText(header));
        kinds.addAll(JsonFaults.ofFields(header, List.of(Field.of("meta", OBJECT), Field.of("tensors", LIST), Field.of("tensors.1.name", TEXT),
                Field.of("tensors.1.encoding", TEXT), Field.of("tensors.1.shape", LIST), Field.of("tensors.1.offset", COUNT),
                Field.of("tensors.1.bytes", COUNT), Field.of("tensors.1.crc32c", COUNT))));
        for (Kind kind : kinds) {
            refuse(format, List.of(new Kind("header: " + kind.name(), BinaryFaults.checkpoint(good, kind.bytes()), kind.parts())));
        }
    }

    @Test
    void descriptionsOfRuns() throws Exception {
        Format format = resume();
        byte[] good = format.good();
        byte[] header = BinaryFaults.checkpointHeader(good);
        for (Kind kind : JsonFaults.ofFields(header, List.of(Field.of("meta.step", COUNT), Field.of("meta.tokens", COUNT),
                Field.of("meta.non_finite", COUNT), Field.of("meta.config", OBJECT), Field.of("meta.data", TEXT), Field.of("meta.shards", TEXT),
                Field.of("meta.config.hidden", COUNT).mayBeMissing(), Field.of("meta.config.layers", COUNT).mayBeMissing(),
                Field.of("meta.config.batch", COUNT).mayBeMissing(), Field.of("meta.config.accumulate", COUNT).mayBeMissing().called("accumulat"),
                Field.of("meta.config.method", TEXT).mayBeMissing(), Field.of("meta.config.sub-ln", FLAG).mayBeMissing(),
                Field.of("meta.config.lr", NUMBER).mayBeMissing(), Field.of("meta.config.clip", TEXT).mayBeMissing()))) {
            if (!kind.name().endsWith(" the largest") || !kind.name().startsWith("meta.step") && !kind.name().startsWith("meta.tokens")) {
                refuse(format, List.of(new Kind(kind.name(), BinaryFaults.checkpoint(good, kind.bytes()), kind.parts())));
            }
        }
    }

    @Test
    void models() throws Exception {
        Format format = modelConfig();
        refuse(format, JsonFaults.ofText(format.good()));
        refuse(format, JsonFaults.ofFields(format.good(), List.of(
                Field.of("hidden", COUNT).mayBeMissing().called("-"), Field.of("intermediate", COUNT).mayBeMissing().called("-"),
                Field.of("layers", COUNT).mayBeMissing(), Field.of("heads", COUNT).mayBeMissing(), Field.of("kv-heads", COUNT).mayBeMissing(),
                Field.of("vocab", COUNT).mayBeMissing(), Field.of("seq-len", COUNT).mayBeMissing(), Field.of("bits", TEXT).mayBeMissing(),
                Field.of("method", TEXT).mayBeMissing(), Field.of("scale", TEXT).mayBeMissing(), Field.of("rope-theta", NUMBER).mayBeMissing(),
                Field.of("rms-epsilon", NUMBER).mayBeMissing(), Field.of("tie-embeddings", FLAG).mayBeMissing())));
        String good = new String(format.good());
        refuse(format, List.of(
                new Kind("a setting that is none", JsonFaults.utf8(good.replaceFirst("\"hidden\"", "\"hiden\"")), "did you mean \"hidden\""),
                new Kind("a setting with a long name", JsonFaults.utf8(good.replaceFirst("\"hidden\"", "\"" + "h".repeat(100_000) + "\"")), "unknown setting"),
                new Kind("a value with a long text", JsonFaults.utf8(good.replaceFirst("\"hidden\": \\d+", "\"hidden\": \"" + "1".repeat(100_000) + "\"")), "hidden is"),
                new Kind("itself as its beginning", JsonFaults.utf8("{\"init\": \"" + format.folder + "\"}"), "init"),
                new Kind("more layers than weights", JsonFaults.utf8(good.replaceFirst("\"layers\": \\d+", "\"layers\": 999")), "tensor"),
                new Kind("wider than its weights", JsonFaults.utf8(good.replaceFirst("\"intermediate\": \\d+", "\"intermediate\": 65536")), "tensor"),
                new Kind("more tokens than weights", JsonFaults.utf8(good.replaceFirst("\"vocab\": \\d+", "\"vocab\": 16777216")), "tensor"),
                new Kind("another width of codes", JsonFaults.utf8(good.replaceFirst("\"bits\": \"1.58\"", "\"bits\": \"8\"")), "tensor"),
                new Kind("another scaling", JsonFaults.utf8(good.replaceFirst("\"scale\": \"tensor\"", "\"scale\": \"row\"")), "tensor"),
                new Kind("fewer layers than weights", JsonFaults.utf8(good.replaceFirst("\"layers\": 2", "\"layers\": 1")), "layers 1"),
                new Kind("fewer and wider heads", JsonFaults.utf8(good.replaceFirst("\"heads\": 4", "\"heads\": 2").replaceFirst("\"kv-heads\": 2", "\"kv-heads\": 1")),
                        "heads 2: weights.sterna was written with 4"),
                new Kind("heads wider than their weights", JsonFaults.utf8(good.replaceFirst("\"heads\": 4", "\"heads\": 4, \"head-dim\": 14")), "tensor"),
                new Kind("heads of no width", JsonFaults.utf8(good.replaceFirst("\"heads\": 4", "\"heads\": 4, \"head-dim\": 0")), "head-dim 0"),
                new Kind("a head that is not used", JsonFaults.utf8(good.replaceFirst("\"tie-embeddings\": false", "\"tie-embeddings\": true")), "tie-embeddings true"),
                new Kind("another rotary base", JsonFaults.utf8(good.replaceFirst("\"rope-theta\": 1", "\"rope-theta\": 2")), "rope-theta 20000")));
    }

    @Test
    void tokenShards() throws Exception {
        Format format = shards();
        refuse(format, BinaryFaults.ofShard(format.good()));
        Format manifest = manifest();
        refuse(manifest, JsonFaults.ofText(manifest.good()));
        refuse(manifest, JsonFaults.ofFields(manifest.good(), List.of(
                Field.of("format", TEXT), Field.of("version", COUNT), Field.of("fingerprint", TEXT), Field.of("corpus", LIST),
                Field.of("tokenizer", TEXT), Field.of("vocab_size", COUNT), Field.of("end_token", COUNT), Field.of("train", OBJECT),
                Field.of("dev", OBJECT), Field.of("train.shards", LIST), Field.of("train.tokens", COUNT), Field.of("dev_unigram_entropy", NUMBER),
                Field.of("train.shards.0.file", TEXT), Field.of("train.shards.0.tokens", COUNT).called("tokens"),
                Field.of("train.shards.0.crc32c", TEXT))));
        String good = new String(manifest.good());
        for (String name : List.of("../x", "/etc/passwd", "", "train-0.tokens", "train-00000000-00000.tokens/..", "dev")) {
            refuse(manifest, List.of(new Kind("a shard called " + name,
                    JsonFaults.utf8(good.replaceFirst("\"train-[^\"]*\"", "\"" + name + "\"")), "is no name of a shard")));
        }
    }

    // Random damage.

    @Test
    void randomDamage() throws Exception {
        for (Format format : List.of(safetensors(), index(), config(floats), config(packed), tokenizer(), checkpoint(), modelConfig(), shards(),
                manifest())) {
            byte[] good = format.good();
            for (int i = 0; i < MUTATIONS; i++) {
                attempt(format, "seed " + i, Mutations.mutate(good, i));
            }
        }
        Format format = checkpoint();
        byte[] good = format.good();
        for (int i = 0; i < MUTATIONS; i++) { // sums that are right let the damage in
            attempt(format, "header, seed " + i, BinaryFaults.checkpoint(good, Mutations.mutate(BinaryFaults.checkpointHeader(good), i)));
        }
        Format weights = new Format("weights", copy(packed), "model.safetensors",
                Set.of(SafetensorsException.class, ModelException.class), HostileFilesTest::importFolder);
        for (int i = 0; i < MUTATIONS; i++) {
            byte[] header = Mutations.mutate(BinaryFaults.safetensorsHeader(weights.good()), i);
            attempt(weights, "header, seed " + i, BinaryFaults.safetensors(header, BinaryFaults.safetensorsBody(safetensors().good())));
        }
    }

    // The checks.

    private static void refuse(Format format, List<Kind> kinds) throws IOException {
        for (Kind kind : kinds) {
            Exception e = attempt(format, kind.name(), kind.bytes());
            if (e == null) {
                fail(format.name + ", " + kind + ": was read");
            }
            String message = e.getMessage();
            String where = format.name + ", " + kind + ": " + message;
            // Of a file that is missing the error names that file; its folder is the same.
            assertTrue(message.contains(format.folder.toString()), where);
            assertTrue(message.length() < 1000 && message.lines().count() == 1, where);
            for (String part : kind.parts()) {
                assertTrue(message.contains(part), where + " lacks " + part);
            }
            KINDS.add(format.name + ", " + kind);
        }
    }

    /** Reads a broken file; what is thrown must be typed, and neither take long nor much memory. */
    private static Exception attempt(Format format, String name, byte[] bytes) throws IOException {
        byte[] good = format.good();
        Files.write(format.path(), bytes);
        long folderBytes = size(format.folder);
        String where = format.name + ", " + name;
        long start = THREAD.getCurrentThreadCpuTime(); // other processes do not move it
        long before = THREAD.getCurrentThreadAllocatedBytes();
        Exception thrown = null;
        try {
            format.reader.read(format.path());
        } catch (Exception | StackOverflowError | OutOfMemoryError | AssertionError e) {
            if (format.typed.stream().noneMatch(type -> type.isInstance(e))) {
                throw new AssertionError(where + ": " + e, e);
            }
            thrown = (Exception) e;
        } finally {
            Files.write(format.path(), good);
        }
        long nanos = THREAD.getCurrentThreadCpuTime() - start;
        long memory = THREAD.getCurrentThreadAllocatedBytes() - before;
        assertTrue(nanos < NANOS, where + ": took " + nanos / 1_000_000 + " ms");
        assertTrue(memory <= 2 * folderBytes + MEMORY, where + ": took " + memory + " bytes of memory for a file of " + bytes.length);
        return thrown;
    }

    private static long size(Path folder) throws IOException {
        try (var files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).mapToLong(f -> f.toFile().length()).sum();
        }
    }

    private static Path prepared() throws IOException {
        try (var folders = Files.list(folder.resolve("cache"))) {
            return folders.filter(Files::isDirectory).findFirst().orElseThrow();
        }
    }

    private static String name(Path in, String start) throws IOException {
        try (var files = Files.list(in)) {
            return files.map(f -> f.getFileName().toString()).filter(n -> n.startsWith(start)).sorted().toList().getLast();
        }
    }

    private static Path copy(Path from) throws IOException {
        Path to = Files.createTempDirectory(folder, "copy");
        try (var files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()), StandardCopyOption.REPLACE_EXISTING);
            }
        }
        return to;
    }

    private static void delete(Path path) throws IOException {
        try (var files = Files.walk(path)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }
}
