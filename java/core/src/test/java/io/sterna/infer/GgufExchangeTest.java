package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerTemplate;
import io.sterna.io.GgufException;
import io.sterna.io.GgufMetadata;
import io.sterna.io.GgufReader;
import io.sterna.io.GgufType;
import io.sterna.io.GgufWriter;
import io.sterna.io.Json;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.nn.RopeScaling;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import io.sterna.train.PreparedData.TokenizerLoader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GgufExchangeTest {
    /** Rows of every type's blocks. */
    private static final String WIDE = " hidden 256 intermediate 256 layers 1";
    private static final String[] TEXTS = {"", "the tern flies", "it's  two  spaces \n\n and\ttabs ", "\u00e9\u4e2d\ud83d\ude00 42", "<|end|>the"};

    @TempDir
    private static Path folder;

    @ParameterizedTest
    @CsvSource({
        "method fp32,                                      F32, FP32",
        "method fp32 tie-embeddings true,                  F32, FP32",
        "method fp32 sub-ln true tie-embeddings true,      F32, FP32",
        "method bf16 sub-ln false,                         BF16, BF16",
        "method fp32 rope-scaling llama3:4:1:4:64,         F32, FP32",
        "method bf16 sub-ln false rope-theta 500000 rope-scaling llama3:8:1:4:8192, BF16, BF16",
        "method fp32 sub-ln true tie-embeddings true rope-scaling linear:2.5, F32, FP32",
        "bits 4 sub-ln false,                              F32, FP32",
        "method fp32 head-dim 16,                          F32, FP32",
        "method bf16 sub-ln false head-dim 6 rope-scaling llama3:4:1:4:64, BF16, BF16",
        "method fp32 hidden 96 intermediate 96 head-dim 16, Q8_0, FP32",
        "bits 1.58 sub-ln false head-dim 128" + WIDE + ",  TQ2_0, DQT",
        "method fp32 hidden 64 intermediate 96,            F16, FP32",
        "method fp32 hidden 64 intermediate 96,            Q8_0, FP32",
        "method fp32 hidden 64 intermediate 96,            Q4_0, FP32",
        "bits 1.58 tie-embeddings true" + WIDE + ",        TQ1_0, DQT",
        "bits 1.58 scale row sub-ln false" + WIDE + ",     TQ2_0, DQT",
        "method bitnet sub-ln false" + WIDE + ",           TQ2_0, DQT"})
    void exportImportExportIsByteStable(String settings, GgufType type, Method.Kind kind) throws IOException {
        String name = settings.replace(' ', '-').replace(':', '-') + "-" + type;
        Path first = folder.resolve("first-" + name + ".gguf");
        Path second = folder.resolve("second-" + name + ".gguf");
        Path imported = folder.resolve("imported-" + name);
        float[] before;
        try (Model model = Model.load(train(settings))) {
            GgufExport.write(model, type, first);
            before = TinyModel.logits(model);
        }
        GgufImport.read(first, imported);
        try (Model model = Model.load(imported)) {
            assertEquals(kind, model.method().kind());
            GgufExport.write(model, type, second);
            float[] after = TinyModel.logits(model);
            if (type == GgufType.F32 && settings.contains("fp32") || type == GgufType.BF16) {
                assertArrayEquals(before, after, "the same weights, the same logits");
            }
            if (type.ternary()) {
                assertEquals(Grid.TERNARY, model.method().grid());
                assertClose(before, after);
            }
        }
        assertEquals(-1, Files.mismatch(first, second));
    }

    /** Other programs write the divisors alone. */
    @Test
    void scalingOfPositionsIsRecognizedByItsDivisors() throws IOException {
        String usual = "method fp32 heads 2 kv-heads 1 rope-theta 500000 rope-scaling llama3:8:1:4:8192";
        Path file = folder.resolve("divisors.gguf");
        try (Model model = Model.load(train(usual)); Model other = Model.load(train(usual.replace(":1:", ":1.5:")))) {
            GgufExport.write(model, GgufType.F32, file);
            try (GgufReader reader = new GgufReader(file)) {
                float[] divisors = new float[12];
                reader.read(reader.tensors().get("rope_freqs.weight"), 0, 12, divisors);
                for (int i = 0; i < 12; i++) {
                    assertEquals(Math.pow(5e5, -2.0 * i / 24) / model.config().ropeFrequency(i), divisors[i], 1e-6);
                }
                assertEquals(8, divisors[11]);
            }
            Path plain = rewritten(file, "sterna.rope_scaling", null);
            GgufImport.read(plain, folder.resolve("divisors"));
            try (Model back = Model.load(folder.resolve("divisors"))) {
                assertEquals(model.config(), back.config());
            }
            Path wrong = rewritten(file, "sterna.rope_scaling", "llama3:8:1:4:4096");
            assertMessage(ModelException.class, "tensor rope_freqs.weight: number", () -> GgufImport.read(wrong, folder.resolve("never")));
            Path unusual = folder.resolve("unusual.gguf");
            GgufExport.write(other, GgufType.F32, unusual);
            Path stripped = rewritten(unusual, "sterna.rope_scaling", null);
            assertMessage(ModelException.class, "only scaling as Llama 3's is read", () -> GgufImport.read(stripped, folder.resolve("never")));
        }
        refused("method fp32 sub-ln true tie-embeddings true rope-scaling llama3:8:1:4:64", GgufType.F32, folder.resolve("none.gguf"),
                "has SubLN and rope-scaling llama3:8:1:4:64");
    }

    /** Whatever is not said of the width of a head is hidden / heads, as llama.cpp takes it. */
    @Test
    void headsOfAnotherWidthAreSaid() throws IOException {
        Path file = folder.resolve("heads.gguf");
        try (Model model = Model.load(train("method fp32 head-dim 16")); Model usual = Model.load(train("method fp32 head-dim 12"))) {
            GgufExport.write(model, GgufType.F32, file);
            GgufImport.read(file, folder.resolve("heads"));
            try (GgufReader reader = new GgufReader(file); Model back = Model.load(folder.resolve("heads"))) {
                for (String key : List.of("attention.key_length", "attention.value_length", "rope.dimension_count")) {
                    assertEquals(16, reader.integer("llama." + key), key);
                }
                assertEquals(model.config(), back.config());
            }
            GgufExport.write(usual, GgufType.F32, folder.resolve("usual.gguf"));
        }
        assertEquals(-1, Files.mismatch(exported(), folder.resolve("usual.gguf")));
        GgufImport.read(rewritten(file, "llama.rope.dimension_count", null), folder.resolve("heads-rotated-whole"));
        for (String key : List.of("attention.key_length", "attention.value_length", "rope.dimension_count")) {
            for (Long value : new Long[] {null, 0L, 8L, 17L, 256L}) {
                if (value != null || !key.startsWith("rope")) {
                    assertMessage(ModelException.class, "expected one width", () -> GgufImport.read(rewritten(file, "llama." + key, value), folder.resolve("never")));
                }
            }
        }
        for (long width : new long[] {0, 17, 258, Integer.MAX_VALUE}) {
            Path wrong = headsOf(width, file);
            assertMessage(ModelException.class, "head-dim", () -> GgufImport.read(wrong, folder.resolve("never")));
        }
        assertMessage(ModelException.class, "tensor blk.0.attn_q.weight is [64, 48]; expected [32, 48]",
                () -> GgufImport.read(headsOf(8, file), folder.resolve("never")));
    }

    private static Path headsOf(long width, Path file) throws IOException {
        return rewritten(rewritten(rewritten(file, "llama.attention.key_length", width), "llama.attention.value_length", width),
                "llama.rope.dimension_count", width);
    }

    /** Queries and keys as Hugging Face's (heads, 2, half) becomes (heads, half, 2) in llama, and as they are in bitnet. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void rotatedRowsAreInterleavedInLlamaAlone(boolean subLn) throws IOException {
        Path file = folder.resolve("rows-" + subLn + ".gguf");
        try (Model model = Model.load(train("method fp32 tie-embeddings true sub-ln " + subLn))) {
            GgufExport.write(model, GgufType.F32, file);
            try (GgufReader reader = new GgufReader(file)) {
                assertEquals(subLn ? "bitnet" : "llama", reader.string("general.architecture"));
                assertEquals(model.config().kvHeads(), reader.integer(reader.string("general.architecture") + ".attention.head_count_kv"));
                assertEquals(subLn, reader.tensors().containsKey("blk.1.ffn_sub_norm.weight"));
                assertFalse(reader.tensors().containsKey("output.weight"));
                for (String[] names : new String[][] {{"blk.1.attn_q", "self_attn.q_proj"}, {"blk.1.attn_k", "self_attn.k_proj"},
                    {"blk.1.attn_v", "self_attn.v_proj"}}) {
                    float[][] ours = rows(model, "model.layers.1." + names[1] + ".weight");
                    boolean rotated = !subLn && !names[0].endsWith("v");
                    assertArrayEquals(rotated ? interleaved(ours, model.config().headDim()) : ours, rows(reader, names[0] + ".weight"));
                }
            }
        }
    }

    private static float[][] interleaved(float[][] rows, int headDim) {
        float[][] out = new float[rows.length][];
        for (int head = 0; head < rows.length / headDim; head++) {
            for (int part = 0; part < 2; part++) {
                for (int i = 0; i < headDim / 2; i++) {
                    out[head * headDim + 2 * i + part] = rows[head * headDim + part * headDim / 2 + i];
                }
            }
        }
        return out;
    }

    private static float[][] rows(Model model, String name) {
        Parameter.Plain parameter = (Parameter.Plain) model.llama().parameters().stream().filter(p -> p.name().equals(name)).findAny().orElseThrow();
        float[][] rows = new float[(int) parameter.rows()][(int) parameter.cols()];
        for (int r = 0; r < rows.length; r++) {
            for (int c = 0; c < rows[r].length; c++) {
                rows[r][c] = parameter.weight().get(r, c);
            }
        }
        return rows;
    }

    private static float[][] rows(GgufReader reader, String name) throws IOException {
        GgufReader.Tensor tensor = reader.tensors().get(name);
        float[][] rows = new float[tensor.shape().getFirst().intValue()][tensor.shape().getLast().intValue()];
        for (int r = 0; r < rows.length; r++) {
            reader.read(tensor, (long) r * rows[r].length, rows[r].length, rows[r]);
        }
        return rows;
    }

    @Test
    void ternaryWeightsKeepTheirCodes() throws IOException {
        for (GgufType type : new GgufType[] {GgufType.TQ1_0, GgufType.TQ2_0}) {
            Path file = folder.resolve("codes-" + type + ".gguf");
            Path imported = folder.resolve("codes-" + type);
            try (Model model = Model.load(train("bits 1.58 tie-embeddings true" + WIDE))) {
                GgufExport.write(model, type, file);
                GgufImport.read(file, imported);
                try (Model back = Model.load(imported)) {
                    for (int i = 0; i < model.llama().parameters().size(); i++) {
                        if (model.llama().parameters().get(i) instanceof Parameter.Packed p) {
                            assertArrayEquals(signs(model, p), signs(back, (Parameter.Packed) back.llama().parameters().get(i)), p.name());
                        }
                    }
                }
            }
        }
    }

    /** llama.cpp's own files have types of more bits where they matter, and often for a part of the blocks alone. */
    @Test
    void typesThatAreOnlyReadBecomeFloats() throws IOException {
        Path from = folder.resolve("plain.gguf");
        try (Model model = Model.load(train("method fp32 sub-ln false" + WIDE))) {
            GgufExport.write(model, GgufType.F32, from);
        }
        Path file = mixed(from, Map.of("token_embd", GgufType.Q4_K, "output", GgufType.Q6_K, "attn_q", GgufType.Q2_K, "attn_k", GgufType.Q3_K,
                "attn_v", GgufType.Q5_K, "attn_output", GgufType.Q4_1, "ffn_gate", GgufType.Q5_0, "ffn_up", GgufType.Q5_1,
                "ffn_down", GgufType.IQ4_NL));
        GgufImport.read(file, folder.resolve("mixed"));
        try (Model model = Model.load(folder.resolve("mixed")); GgufReader reader = new GgufReader(file)) {
            assertEquals(Method.Kind.FP32, model.method().kind());
            for (Parameter parameter : model.llama().parameters()) {
                float[][] ours = rows(model, parameter.name());
                String name = GgufNames.of(parameter);
                boolean rotated = name.endsWith("attn_q.weight") || name.endsWith("attn_k.weight");
                float[][] expected = parameter.rows() == 1 ? new float[][] {norm(reader, name)} : rows(reader, name);
                assertArrayEquals(expected, rotated ? interleaved(ours, model.config().headDim()) : ours, name);
            }
            assertThrows(IllegalArgumentException.class, () -> GgufExport.write(model, GgufType.Q6_K, folder.resolve("never.gguf")));
            assertFalse(Files.exists(folder.resolve("never.gguf")));
        }
    }

    private static float[] norm(GgufReader reader, String name) throws IOException {
        GgufReader.Tensor tensor = reader.tensors().get(name);
        float[] x = new float[(int) tensor.size()];
        reader.read(tensor, 0, x.length, x);
        return x;
    }

    /** Embedding and head of llama.cpp's ternary files have more bits. */
    @Test
    void ternaryBlocksBetweenOtherTypesStayTernary() throws IOException {
        Path from = folder.resolve("ternary.gguf");
        try (Model model = Model.load(train("bits 1.58 sub-ln false" + WIDE))) {
            GgufExport.write(model, GgufType.TQ2_0, from);
            GgufImport.read(mixed(from, Map.of("token_embd", GgufType.Q4_K, "output", GgufType.Q6_K)), folder.resolve("ternary"));
            try (Model back = Model.load(folder.resolve("ternary"))) {
                assertEquals(Grid.TERNARY, back.method().grid());
                for (int i = 0; i < model.llama().parameters().size(); i++) {
                    if (model.llama().parameters().get(i) instanceof Parameter.Packed p) {
                        assertArrayEquals(signs(model, p), signs(back, (Parameter.Packed) back.llama().parameters().get(i)), p.name());
                    }
                }
            }
        }
    }

    /** A file, written anew with tensors of other types: those whose names have these last parts, in blocks made by a formula. */
    private static Path mixed(Path from, Map<String, GgufType> types) throws IOException {
        Path file = Files.createTempFile(folder, "mixed", ".gguf");
        try (GgufReader reader = new GgufReader(from)) {
            GgufMetadata metadata = new GgufMetadata();
            for (Map.Entry<String, Object> entry : reader.metadata().entrySet()) {
                put(metadata, entry.getKey(), entry.getValue(), reader);
            }
            List<GgufWriter.Entry> entries = new ArrayList<>();
            for (GgufReader.Tensor tensor : reader.tensors().values()) {
                String[] parts = tensor.name().split("\\.");
                entries.add(new GgufWriter.Entry(tensor.name(), types.getOrDefault(parts[parts.length - 2], tensor.type()), tensor.shape()));
            }
            try (GgufWriter writer = new GgufWriter(file, metadata, entries)) {
                for (GgufWriter.Entry entry : entries) {
                    GgufReader.Tensor tensor = reader.tensors().get(entry.name());
                    writer.write(entry.type() == tensor.type() ? bytes(reader, tensor) : blocks((int) entry.type().bytes(tensor.size())));
                }
                writer.commit();
            }
        }
        return file;
    }

    /** Whatever type the blocks have, their scales are less than 2. */
    private static ByteBuffer blocks(int size) {
        ByteBuffer bytes = ByteBuffer.allocate(size);
        for (int i = 0; i < size; i++) {
            bytes.put((byte) (i * 0x9e3779b1 >>> 26));
        }
        return bytes.flip();
    }

    private static ByteBuffer bytes(GgufReader reader, GgufReader.Tensor tensor) throws IOException {
        float[] x = new float[(int) tensor.size()];
        reader.read(tensor, 0, x.length, x);
        ByteBuffer bytes = ByteBuffer.allocate((int) tensor.type().bytes(x.length)).order(ByteOrder.LITTLE_ENDIAN);
        tensor.type().encode(x, x.length, bytes);
        return bytes.flip();
    }

    private static int[] signs(Model model, Parameter.Packed parameter) {
        try (Workspace workspace = new Workspace()) {
            FloatMatrix x = FloatMatrix.allocate(workspace.section(MemoryKind.SCRATCH), FloatType.F32, parameter.rows(), parameter.cols());
            model.kernels().decode(parameter.weight(), x, 0, parameter.rows());
            int[] signs = new int[(int) parameter.size()];
            for (int i = 0; i < signs.length; i++) {
                signs[i] = (int) Math.signum(x.get(i / parameter.cols(), i % parameter.cols()));
            }
            return signs;
        }
    }

    @Test
    void theTokenizerComesAlong() throws IOException {
        Path imported = folder.resolve("tokenizer");
        GgufImport.read(exported(), imported);
        try (Model model = Model.load(train("method fp32")); Model back = Model.load(imported); GgufReader reader = new GgufReader(exported())) {
            assertEquals("gpt-2", reader.string("tokenizer.ggml.pre"));
            assertEquals(model.tokenizer().endToken(), reader.integer("tokenizer.ggml.bos_token_id"));
            assertEquals(3, reader.i32s("tokenizer.ggml.token_type")[model.tokenizer().endToken()], "a control token");
            assertEquals("<|end|>", reader.strings("tokenizer.ggml.tokens").get(model.tokenizer().endToken()));
            for (String text : TEXTS) {
                assertArrayEquals(model.tokenizer().encode(text), back.tokenizer().encode(text), text);
            }
        }
    }

    @Test
    void textsBeginAndEndAsTheFileSays() throws IOException {
        Path file = folder.resolve("marks.gguf");
        Files.copy(rewritten(rewritten(exported(), "tokenizer.ggml.bos_token_id", 7L), "tokenizer.ggml.eos_token_id", 9L), file);
        Path imported = folder.resolve("marks");
        GgufImport.read(file, imported);
        Path again = folder.resolve("marks-again.gguf");
        try (Model model = Model.load(imported)) {
            assertEquals(7, model.tokenizer().beginToken());
            assertEquals(9, model.tokenizer().endToken());
            GgufExport.write(model, GgufType.F32, again);
        }
        assertEquals(-1, Files.mismatch(file, again));
        Path turns = folder.resolve("turns");
        GgufImport.read(rewritten(file, "tokenizer.ggml.eot_token_id", 11L), turns);
        try (Model model = Model.load(turns)) {
            assertEquals(9, model.tokenizer().endToken());
            assertTrue(model.tokenizer().endTokens().contains(11));
            GgufExport.write(model, GgufType.F32, folder.resolve("turns.gguf"));
        }
        try (GgufReader reader = new GgufReader(folder.resolve("turns.gguf"))) {
            assertEquals(11, reader.integer("tokenizer.ggml.eot_token_id"));
        }
        Path back = folder.resolve("marks-hf");
        try (Model model = Model.load(imported)) {
            HuggingFaceExport.write(model, HuggingFaceExport.Form.F32, back);
        }
        HuggingFaceImport.read(back, TokenizerLoader.BPE, folder.resolve("marks-of-hf"));
        try (Model model = Model.load(folder.resolve("marks-of-hf"))) {
            assertEquals(7, model.tokenizer().beginToken(), "the template that was written says it");
        }
        assertMessage(ModelException.class, "add_bos_token: 1 is not true or false",
                () -> GgufImport.read(rewritten(file, "tokenizer.ggml.add_bos_token", 1L), folder.resolve("never")));
        GgufImport.read(rewritten(file, "tokenizer.ggml.add_bos_token", false), folder.resolve("marks-without"));
        try (Model model = Model.load(folder.resolve("marks-without"))) {
            assertFalse(model.tokenizer().addsBeginToken());
            assertEquals(7, model.tokenizer().beginToken(), "an empty text begins with it all the same");
            GgufExport.write(model, GgufType.F32, folder.resolve("without-again.gguf"));
        }
        try (GgufReader reader = new GgufReader(folder.resolve("without-again.gguf"))) {
            assertEquals(false, reader.metadata().get("tokenizer.ggml.add_bos_token"));
            assertEquals(7, reader.integer("tokenizer.ggml.bos_token_id"));
        }
        Path unused = rewritten(rewritten(file, "tokenizer.ggml.add_bos_token", false), "tokenizer.ggml.bos_token_id", 4000L);
        GgufImport.read(unused, folder.resolve("unused-begin"));
        try (Model model = Model.load(folder.resolve("unused-begin"))) {
            assertEquals(9, model.tokenizer().beginToken(), "what is not added need not be there");
        }
    }

    /** The end's name may be none of the usual ones: its id is what counts. */
    @Test
    void theEndIsTheFilesWhateverItsName() throws IOException {
        List<String> tokens;
        try (GgufReader reader = new GgufReader(exported())) {
            tokens = new ArrayList<>(reader.strings("tokenizer.ggml.tokens"));
        }
        tokens.set(0, "<|eos|>");
        Path file = rewritten("tokenizer.ggml.tokens", tokens);
        Path imported = folder.resolve("unnamed");
        GgufImport.read(file, imported);
        try (Model model = Model.load(imported)) {
            assertEquals(List.of(0), model.tokenizer().endTokens());
        }
        Path silent = rewritten(file, "tokenizer.ggml.eos_token_id", null);
        assertMessage(ModelException.class, "key tokenizer.ggml.eos_token_id is missing, and the tokenizer has none of",
                () -> GgufImport.read(silent, folder.resolve("never")));
        GgufImport.read(silent, Optional.empty(), TokenizerLoader.BPE, List.of(0, 5), folder.resolve("given"));
        try (Model model = Model.load(folder.resolve("given"))) {
            assertEquals(List.of(0, 5), model.tokenizer().endTokens());
        }
    }

    @Test
    void idsWithoutATokenKeepTheirPlace() throws IOException {
        String text = Files.readString(train("method fp32").resolve("model/tokenizer.json"));
        String grown = text.replace("\"added_tokens\": [", "\"added_tokens\": [{\"id\": 271, \"content\": \"<far>\", \"single_word\": false,"
                + " \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": false},");
        BpeTokenizer tokenizer = BpeTokenizer.parse(grown.getBytes(StandardCharsets.UTF_8), null);
        GgufMetadata metadata = new GgufMetadata();
        Path json = Files.writeString(folder.resolve("grown.json"), grown);
        GgufTokenizer.write(json, tokenizer, 274, metadata);
        Path file = folder.resolve("tokens.gguf");
        try (GgufWriter writer = new GgufWriter(file, metadata, List.of())) {
            writer.commit();
        }
        try (GgufReader reader = new GgufReader(file)) {
            assertEquals("[PAD270]", reader.strings("tokenizer.ggml.tokens").get(270));
            assertEquals("[PAD273]", reader.strings("tokenizer.ggml.tokens").get(273), "the model's vocabulary may be larger");
            assertArrayEquals(new int[] {5, 4, 5, 5}, Arrays.copyOfRange(reader.i32s("tokenizer.ggml.token_type"), 270, 274));
            Tokenizer back = GgufTokenizer.read(reader, file, TokenizerLoader.BPE).tokenizer();
            assertEquals(272, back.vocabSize(), "ids without a token are never drawn");
            assertArrayEquals(tokenizer.encode("a <far> [PAD270]"), back.encode("a <far> [PAD270]"));
        }
        String nfc = text.replace("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}");
        BpeTokenizer normalizing = BpeTokenizer.parse(nfc.getBytes(StandardCharsets.UTF_8), null);
        Files.writeString(json, nfc);
        assertMessage(ModelException.class, "normalizes its text", () -> GgufTokenizer.write(json, normalizing, 270, new GgufMetadata()));
    }

    @Test
    void whatHasNoPlaceInTheFormatIsRefused() throws IOException {
        Path none = folder.resolve("none.gguf");
        refused("method fp32", GgufType.TQ1_0, none, "tensor model.layers.0.self_attn.q_proj.weight: rows of 48", "multiples of 256");
        refused("method fp32", GgufType.Q8_0, none, "tensor model.embed_tokens.weight: rows of 48", "32 of q8_0");
        refused("method fp32" + WIDE, GgufType.TQ2_0, none, "tensor model.layers.0.self_attn.q_proj.weight: weight", "is none of the ternary");
        refused("bits 4", GgufType.F32, none, "has SubLN and a head of its own", "tie-embeddings true");
        refused("bits 4 tie-embeddings true head-dim 16", GgufType.F32, none, "has SubLN and heads of 16", "train with sub-ln false");
        try (Model model = Model.load(train("method fp32"))) {
            Path taken = exported();
            assertMessage(ConfigException.class, "exists already; choose another file", () -> GgufExport.write(model, GgufType.F32, taken));
        }
        assertFalse(Files.exists(none));
        try (Model bytes = Model.load(TinyModel.train(folder, "method", "fp32"))) {
            assertMessage(ModelException.class, "its tokens are bytes, which llama.cpp has no tokenizer for; export a model that was trained with tokenizer train", () -> GgufExport.write(bytes, GgufType.F32, none));
        }
    }

    private static void refused(String settings, GgufType type, Path out, String... parts) throws IOException {
        try (Model model = Model.load(train(settings))) {
            for (String part : parts) {
                assertMessage(ModelException.class, part, () -> GgufExport.write(model, type, out));
            }
        }
    }

    /** The exported file with a key of another value, or one more key. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "split.count                            | 3            | is one of 3 parts; join them",
        "general.architecture                   | gpt2         | general.architecture \"gpt2\"",
        "llama.expert_count                     | 8            | key llama.expert_count: 8",
        "llama.attention.sliding_window         | 128          | key llama.attention.sliding_window: 128",
        "llama.rope.scaling.type                | yarn         | key llama.rope.scaling.type: \"yarn\"",
        "llama.rope.scaling.factor              | 0.5          | key llama.rope.scaling.factor: rope-scaling linear:0.5",
        "llama.rope.dimension_count             | 8            | a head has keys of 12, values of 12 and rotates 8, by llama.attention.key_length",
        "llama.attention.key_length             | 24           | a head has keys of 24, values of 12 and rotates 12",
        "llama.attention.value_length           | 24           | a head has keys of 12, values of 24 and rotates 12",
        "llama.attention.head_count             | 0            | rope.dimension_count",
        "llama.attention.head_count_kv          | 3            | must be a multiple of kv-heads 3",
        "llama.block_count                      | 3            | tensor blk.2.attn_norm.weight is missing",
        "llama.block_count                      | 1            | tensor blk.1.",
        "llama.block_count                      | 2000000000   | layers 2000000000",
        "llama.block_count                      | 2.0          | key llama.block_count: 2.0 is not an integer",
        "llama.feed_forward_length              | 111          | tensor blk.0.ffn_gate.weight is [112, 48]",
        "llama.embedding_length                 | 40           | rope.dimension_count",
        "llama.context_length                   | 0            | seq-len 0",
        "llama.vocab_size                       | 271          | tensor token_embd.weight is f32 [270, 48]",
        "llama.attention.layer_norm_rms_epsilon | NaN          | rms-epsilon",
        "tokenizer.ggml.model                   | bert         | key tokenizer.ggml.model: \"bert\"",
        "tokenizer.ggml.model                   | llama        | key tokenizer.ggml.scores is missing",
        "tokenizer.ggml.pre                     | kimi-k2      | \"kimi-k2\", of byte-level BPE only that which cuts words as gpt-2, llama-bpe, smollm, dbrx, qwen2, seed-coder, minicpm5, tekken",
        "tokenizer.ggml.eos_token_id            | 270          | end-token 270: the tokenizer has tokens 0 to 269",
        "tokenizer.ggml.bos_token_id            | 4000         | begin-token 4000: the tokenizer has tokens 0 to 269"})
    void whatHasNoPlaceHereIsRefusedByName(String key, String value, String part) throws IOException {
        Object parsed = value.matches("\\d+") ? (Object) Long.valueOf(value) : value.matches("NaN|\\d+\\.\\d+") ? (Object) Float.valueOf(value) : value;
        Path file = rewritten(key, parsed);
        Exception e = assertThrows(IOException.class, () -> GgufImport.read(file, folder.resolve("never")));
        assertTrue(e instanceof ModelException || e instanceof GgufException, e.toString());
        assertTrue(e.getMessage().contains(file.toString()) && e.getMessage().contains(part), e.getMessage());
        assertFalse(Files.exists(folder.resolve("never/config.json")));
    }

    @Test
    void anotherTokenizerMayBeNamed() throws IOException {
        Path file = rewritten("tokenizer.ggml.model", "llama");
        Path json = train("method fp32").resolve("model/tokenizer.json");
        GgufImport.read(file, json, TokenizerLoader.BPE, folder.resolve("named"));
        try (Model model = Model.load(folder.resolve("named"))) {
            assertEquals(270, model.tokenizer().vocabSize());
        }
        Path other = TinyModel.train(folder, "tokenizer", "train", "vocab", "272", "method", "fp32").resolve("model/tokenizer.json");
        assertMessage(ModelException.class, "the tokenizer has 272",
                () -> GgufImport.read(file, other, TokenizerLoader.BPE, folder.resolve("never")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.add_bos_token",
        "llama.rope.scaling.type", "llama.block_count", "llama.tern", "llama.%s"})
    void longTextsAreCutInErrors(String key) throws IOException {
        String lines = "tern\n".repeat(10_000);
        Path file = rewritten(key.formatted(lines), lines);
        String message = assertThrows(IOException.class, () -> GgufImport.read(file, folder.resolve("never"))).getMessage();
        assertTrue(message.contains(file.toString()) && message.contains(key.formatted("tern\\ntern")) && message.contains("tern\\ntern"), message);
        assertTrue(message.length() < 1000 && message.lines().count() == 1, message);
    }

    @Test
    void aScalingThatIsNoneIsCutInErrors() throws IOException {
        Path file = folder.resolve("scaled.gguf");
        try (Model model = Model.load(train("method fp32 rope-scaling llama3:4:1:4:64"))) {
            GgufExport.write(model, GgufType.F32, file);
        }
        Path damaged = rewritten(file, "sterna.rope_scaling", "llama3:".repeat(10_000));
        String message = assertThrows(ModelException.class, () -> GgufImport.read(damaged, folder.resolve("never"))).getMessage();
        assertTrue(message.contains("key sterna.rope_scaling: \"llama3:llama3:") && message.length() < 1000, message);
    }

    /** Of words that are cut in a way nobody names, llama.cpp guesses, and warns of what the model then writes. */
    @Test
    void aTokenizerThatDoesNotSayHowWordsAreCutIsRefused() throws IOException {
        Path file = rewritten("tokenizer.ggml.pre", null);
        assertMessage(ModelException.class, file + ": key tokenizer.ggml.pre is missing, of byte-level BPE only that which cuts words as gpt-2",
                () -> GgufImport.read(file, folder.resolve("never")));
        assertMessage(ModelException.class, "name a tokenizer.json with --tokenizer", () -> GgufImport.read(file, folder.resolve("never")));
        GgufImport.read(file, train("method fp32").resolve("model/tokenizer.json"), TokenizerLoader.BPE, folder.resolve("of-silent"));
        try (Model model = Model.load(folder.resolve("of-silent"))) {
            assertEquals(270, model.tokenizer().vocabSize());
        }
    }

    /** Then texts begin and end as the tokenizer that is named has it. */
    @Test
    void aFileWithoutATokenizerNeedsOne() throws IOException {
        Path bare = exported();
        for (String key : List.of("model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id", "add_bos_token", "add_eos_token")) {
            bare = rewritten(bare, "tokenizer.ggml." + key, null);
        }
        Path file = bare;
        assertMessage(ModelException.class, "key tokenizer.ggml.model is missing", () -> GgufImport.read(file, folder.resolve("never")));
        Path json = train("method fp32").resolve("model/tokenizer.json");
        GgufImport.read(file, json, TokenizerLoader.BPE, folder.resolve("bare"));
        try (Model model = Model.load(folder.resolve("bare"))) {
            assertFalse(model.tokenizer().addsBeginToken());
            assertEquals(List.of(0), model.tokenizer().endTokens());
        }
        Map<String, Object> root = Json.readObject(json, 1 << 24);
        TokenizerTemplate.setBeginToken(root, Optional.of(0));
        Path beginning = Files.writeString(folder.resolve("beginning.json"), Json.writePretty(root));
        GgufImport.read(file, beginning, TokenizerLoader.BPE, folder.resolve("bare-begins"));
        try (Model model = Model.load(folder.resolve("bare-begins"))) {
            assertTrue(model.tokenizer().addsBeginToken());
        }
    }

    /** What converters of 2023 wrote also of models whose context was never made longer. */
    @Test
    void theHistoryOfAContextIsNoScaling() throws IOException {
        Path file = folder.resolve("history.gguf");
        Files.copy(rewritten(rewritten(rewritten(exported(), "llama.rope.scaling.type", "none"), "llama.rope.scaling.finetuned", false),
                "llama.rope.scaling.original_context_length", 16L), file);
        GgufImport.read(file, folder.resolve("of-history"));
        try (Model model = Model.load(folder.resolve("of-history"))) {
            assertEquals(RopeScaling.NONE, model.config().ropeScaling());
        }
        assertMessage(ModelException.class, "key llama.rope.scaling.type: \"yarn\"",
                () -> GgufImport.read(rewritten(file, "llama.rope.scaling.type", "yarn"), folder.resolve("never")));
    }

    /** A file may be given a tokenizer that a fine-tuning added a token to. */
    @Test
    void specialTokensWithoutARowAreLeftOut() throws IOException {
        Path json = train("method fp32").resolve("model/tokenizer.json");
        Map<String, Object> root = Json.readObject(json, 1 << 24);
        List<Object> added = new ArrayList<>(Json.list(root, "added_tokens"));
        added.add(BpeTokenizer.addedToken(270, "[PAD]", true));
        root.put("added_tokens", added);
        Path padded = Files.writeString(folder.resolve("padded.json"), Json.writePretty(root));
        GgufImport.read(exported(), padded, TokenizerLoader.BPE, folder.resolve("of-unresized"));
        try (Model model = Model.load(folder.resolve("of-unresized"))) {
            assertEquals(270, model.tokenizer().vocabSize());
        }
        assertMessage(ModelException.class, "of which 270, \"[PAD]\"", () -> GgufImport.read(
                rewritten("tokenizer.ggml.bos_token_id", 270L), padded, TokenizerLoader.BPE, folder.resolve("never")));
    }

    @Test
    void damagedWeightsAreNamed() throws IOException {
        byte[] bytes = Files.readAllBytes(exported());
        Arrays.fill(bytes, bytes.length - 4 * 48, bytes.length, (byte) -1);
        Path file = Files.write(folder.resolve("nan.gguf"), bytes);
        assertMessage(GgufException.class, "is NaN", () -> GgufImport.read(file, folder.resolve("never")));
        assertMessage(GgufException.class, "magic", () -> GgufImport.read(train("method fp32").resolve("model/weights.sterna"), folder.resolve("never")));
    }

    private static Path exported() throws IOException {
        Path file = folder.resolve("exported.gguf");
        if (!Files.exists(file)) {
            try (Model model = Model.load(train("method fp32"))) {
                GgufExport.write(model, GgufType.F32, file);
            }
        }
        return file;
    }

    /** The exported file, written anew with a key set. */
    private static Path rewritten(String key, Object value) throws IOException {
        return rewritten(exported(), key, value);
    }

    /** A file, written anew with a key set, or without it. */
    private static Path rewritten(Path from, String key, Object value) throws IOException {
        Path file = Files.createTempFile(folder, "rewritten", ".gguf");
        try (GgufReader reader = new GgufReader(from)) {
            Map<String, Object> values = new LinkedHashMap<>(reader.metadata());
            values.put(key, value);
            values.values().removeIf(Objects::isNull);
            GgufMetadata metadata = new GgufMetadata();
            for (Map.Entry<String, Object> entry : values.entrySet()) {
                put(metadata, entry.getKey(), entry.getValue(), reader);
            }
            List<GgufWriter.Entry> entries = new ArrayList<>();
            reader.tensors().values().forEach(t -> entries.add(new GgufWriter.Entry(t.name(), t.type(), t.shape())));
            try (GgufWriter writer = new GgufWriter(file, metadata, entries)) {
                for (GgufReader.Tensor tensor : reader.tensors().values()) {
                    writer.write(bytes(reader, tensor));
                }
                writer.commit();
            }
        }
        return file;
    }

    private static void put(GgufMetadata metadata, String key, Object value, GgufReader reader) throws IOException {
        switch (value) {
            case String text -> metadata.string(key, text);
            case Long number -> metadata.u32(key, Math.toIntExact(number));
            case Float number -> metadata.f32(key, number);
            case Boolean truth -> metadata.bool(key, truth);
            case List<?> texts -> metadata.strings(key, texts.stream().map(String.class::cast).toList());
            default -> {
                if (key.endsWith("scores")) {
                    metadata.f32s(key, reader.f32s(key));
                } else if (key.endsWith("token_type")) {
                    metadata.i32s(key, reader.i32s(key));
                } else {
                    metadata.strings(key, reader.strings(key));
                }
            }
        }
    }

    private static void assertMessage(Class<? extends Exception> type, String part, Executable body) {
        String message = assertThrows(type, body).getMessage();
        assertTrue(message.contains(part), message);
    }

    /** Scales are rounded to half precision, by up to 2^-11 of them, and int8 inputs then move by a step here and there. */
    private static void assertClose(float[] expected, float[] actual) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            difference += Math.pow(actual[i] - expected[i], 2);
            norm += Math.pow(expected[i], 2);
        }
        assertTrue(difference <= 0.005 * 0.005 * norm, "the logits differ by " + Math.sqrt(difference / norm) + " of them");
    }

    private static Path train(String settings) throws IOException {
        return TinyModel.train(folder, ("tokenizer train vocab 270 " + settings).split(" "));
    }
}
