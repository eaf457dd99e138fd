package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.TokenizerTemplate;
import io.sterna.infer.HuggingFaceExport.Form;
import io.sterna.io.GgufType;
import io.sterna.io.Json;
import io.sterna.io.SafetensorsException;
import io.sterna.io.SafetensorsReader;
import io.sterna.io.SafetensorsWriter;
import io.sterna.nn.Method;
import io.sterna.nn.RopeScaling;
import io.sterna.nn.ScaleRule;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import io.sterna.train.ConfigException;
import io.sterna.train.ModelFolder;
import io.sterna.train.PreparedData.TokenizerLoader;
import io.sterna.train.TrainConfig;
import io.sterna.train.TrainListener;
import io.sterna.train.TrainingRun;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HuggingFaceImportTest {
    @TempDir
    private static Path folder;

    @ParameterizedTest
    @CsvSource({"method fp32, F32", "method fp32 tie-embeddings true, F32", "method bf16, BF16", "method fp32 head-dim 16, F32",
        "method bf16 head-dim 8 tie-embeddings true, BF16", "bits 1.58 sub-ln false head-dim 16, PACKED", "bits 4, F32", "method bitnet, F32",
        "method fp32 rope-scaling llama3:8:1:4:16, F32", "method fp32 rope-scaling linear:2.5, F32",
        "bits 1.58, PACKED", "bits 1.58 sub-ln false tie-embeddings true, PACKED", "bits 1.58 float-type bf16, PACKED",
        "bits 8 forward ternary, PACKED", "method bitnet, PACKED"})
    void exportImportExportIsByteStable(String settings, Form form) throws IOException {
        String name = settings.replace(' ', '-') + form;
        Path run = train(settings);
        Path first = folder.resolve("first-" + name);
        Path second = folder.resolve("second-" + name);
        Path imported = folder.resolve("imported-" + name);
        float[] before;
        try (Model model = Model.load(run)) {
            HuggingFaceExport.write(model, form, first);
            before = TinyModel.logits(model);
        }
        HuggingFaceImport.read(first, TokenizerLoader.BPE, imported);
        try (Model model = Model.load(imported)) {
            assertEquals(switch (form) {
                case F32 -> Method.Kind.FP32;
                case BF16 -> Method.Kind.BF16;
                case PACKED -> Method.Kind.DQT;
            }, model.method().kind());
            HuggingFaceExport.write(model, form, second);
            if (form == Form.PACKED || settings.startsWith("method fp32") || settings.startsWith("method bf16")) {
                assertArrayEquals(before, TinyModel.logits(model), "the same weights, the same logits");
            }
        }
        assertSameFiles(first, second);
    }

    @Test
    void weightsInSeveralFilesAreTheSameWeights() throws IOException {
        Path run = train("method fp32");
        Path several = folder.resolve("several");
        Path again = folder.resolve("several-again");
        try (Model model = Model.load(run)) {
            HuggingFaceExport.write(model, Form.F32, 30_000, several);
        }
        try (var files = Files.list(several)) {
            List<Path> shards = files.filter(f -> f.toString().endsWith(".safetensors")).sorted().toList();
            assertTrue(shards.size() > 3, shards.toString());
            assertEquals("model-00001-of-%05d.safetensors".formatted(shards.size()), shards.getFirst().getFileName().toString());
            for (Path shard : shards) {
                try (SafetensorsReader reader = new SafetensorsReader(shard)) {
                    long bytes = reader.tensors().values().stream().mapToLong(SafetensorsReader.Tensor::bytes).sum();
                    assertTrue(bytes <= 30_000 || reader.tensors().size() == 1, shard + " " + bytes);
                }
            }
        }
        HuggingFaceImport.read(several, TokenizerLoader.BPE, folder.resolve("of-several"));
        HuggingFaceImport.read(exported(), TokenizerLoader.BPE, folder.resolve("of-one"));
        assertSameFiles(folder.resolve("of-one"), folder.resolve("of-several"));
        try (Model model = Model.load(folder.resolve("of-several"))) {
            HuggingFaceExport.write(model, Form.F32, 30_000, again);
        }
        assertSameFiles(several, again);
    }

    /** What transformers saves into a folder whose model was in several files leaves their index there. */
    @Test
    void oneFileGoesBeforeAnIndex() throws IOException {
        Path stale = copy(exported(), "stale");
        Files.writeString(stale.resolve("model.safetensors.index.json"), "{\"weight_map\": {\"x\": \"model-00001-of-00002.safetensors\"}}");
        HuggingFaceImport.read(stale, TokenizerLoader.BPE, folder.resolve("of-stale"));
        HuggingFaceImport.read(exported(), TokenizerLoader.BPE, folder.resolve("of-fresh"));
        assertSameFiles(folder.resolve("of-fresh"), folder.resolve("of-stale"));
    }

    @Test
    void halfPrecisionIsReadExactly() throws IOException {
        Path half = copy(exported(), "half");
        Path file = half.resolve("model.safetensors");
        List<SafetensorsWriter.Entry> entries = new ArrayList<>();
        List<byte[]> bodies = new ArrayList<>();
        try (SafetensorsReader reader = new SafetensorsReader(file)) {
            for (SafetensorsReader.Tensor t : reader.tensors().values()) {
                ByteBuffer from = read(reader, t);
                ByteBuffer to = ByteBuffer.allocate((int) t.bytes() / 2).order(ByteOrder.LITTLE_ENDIAN);
                while (to.hasRemaining()) {
                    to.putShort(Float.floatToFloat16(from.getFloat()));
                }
                entries.add(new SafetensorsWriter.Entry(t.name(), "F16", t.shape(), to.capacity()));
                bodies.add(to.array());
            }
        }
        write(file, entries, bodies);
        Path imported = folder.resolve("of-half");
        HuggingFaceImport.read(half, TokenizerLoader.BPE, imported);
        Path back = folder.resolve("of-half-f32");
        try (Model model = Model.load(imported)) {
            assertEquals(Method.Kind.FP32, model.method().kind());
            HuggingFaceExport.write(model, Form.F32, back);
        }
        try (SafetensorsReader reader = new SafetensorsReader(back.resolve("model.safetensors"))) {
            for (int i = 0; i < entries.size(); i++) {
                ByteBuffer floats = read(reader, reader.tensors().get(entries.get(i).name()));
                ByteBuffer halves = ByteBuffer.wrap(bodies.get(i)).order(ByteOrder.LITTLE_ENDIAN);
                while (halves.hasRemaining()) {
                    assertEquals(Float.float16ToFloat(halves.getShort()), floats.getFloat(), entries.get(i).name());
                }
            }
        }
    }

    /** The other linear class of transformers divides by its scale. */
    @Test
    void bothMeaningsOfAPackedScaleAreFollowed() throws IOException {
        Path divides = copy(packed(), "divides");
        replace(divides, "\"linear_class\": \"autobitlinear\"", "\"linear_class\": \"bitlinear\"");
        Path imported = folder.resolve("of-divides");
        HuggingFaceImport.read(divides, TokenizerLoader.BPE, imported);
        Path back = folder.resolve("divides-back");
        try (Model model = Model.load(imported)) {
            HuggingFaceExport.write(model, Form.PACKED, back);
        }
        String name = "model.layers.0.mlp.up_proj.weight";
        try (SafetensorsReader before = new SafetensorsReader(divides.resolve("model.safetensors"));
                SafetensorsReader after = new SafetensorsReader(back.resolve("model.safetensors"))) {
            assertEquals(1 / read(before, before.tensors().get(name + "_scale")).getFloat(),
                    read(after, after.tensors().get(name + "_scale")).getFloat());
            assertEquals(read(before, before.tensors().get(name)), read(after, after.tensors().get(name)));
        }
    }

    private static void write(Path file, List<SafetensorsWriter.Entry> entries, List<byte[]> bodies) throws IOException {
        try (SafetensorsWriter writer = new SafetensorsWriter(file, entries)) {
            for (byte[] body : bodies) {
                writer.write(MemorySegment.ofArray(body));
            }
            writer.commit();
        }
    }

    private static ByteBuffer read(SafetensorsReader reader, SafetensorsReader.Tensor tensor) throws IOException {
        byte[] bytes = new byte[(int) tensor.bytes()];
        reader.read(tensor, 0, MemorySegment.ofArray(bytes));
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"quant_method\": \"bitnet\" | \"quant_method\": \"awq\"          | quant_method \"awq\"",
        "autobitlinear              | biglinear                        | linear_class \"biglinear\"",
        "\"offline\"                | \"sometimes\"                    | quantization_mode \"sometimes\"",
        "\"lm_head\"                | \"lm_head\",\"model.layers.0\"    | modules_to_not_convert [\"lm_head\",\"model.layers.0\"]",
        "\"offline\",               | \"offline\", \"use_rms_norm\": true, | use_rms_norm true",
        "\"offline\"                | \"online\"                       | q_proj.weight is U8 [12, 48]"})
    void packedWeightsOfAnotherKindAreRefused(String from, String to, String message) throws IOException {
        Path hf = copy(packed(), "edited");
        replace(hf, from, to);
        assertMessage(ModelException.class, message, hf, folder.resolve("never"));
    }

    @ParameterizedTest
    @CsvSource({"model.layers.1.mlp.up_proj.weight, 0xff, its bits 3 are no code", "model.layers.1.mlp.up_proj.weight_scale, 0x00, expected a scale",
        "model.layers.0.self_attn.q_proj.weight_scale, 0xff, expected a scale", "model.norm.weight, 0xff, expected finite ones"})
    void packedNumbersThatCannotBeAreRefused(String tensor, String value, String message) throws IOException {
        Path hf = copy(packed(), "edited");
        Path file = hf.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        try (SafetensorsReader reader = new SafetensorsReader(file)) {
            SafetensorsReader.Tensor t = reader.tensors().get(tensor);
            Arrays.fill(bytes, (int) t.offset(), (int) (t.offset() + Math.min(4, t.bytes())), Integer.decode(value).byteValue());
        }
        Files.write(file, bytes);
        assertMessage(ModelException.class, message, hf, folder.resolve("never"));
        assertMessage(ModelException.class, "tensor " + tensor, hf, folder.resolve("never"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"llama\"                     | \"gpt2\"                        | model_type \"gpt2\"",
        "\"silu\"                      | \"gelu\"                        | hidden_act \"gelu\"",
        "\"attention_bias\": false     | \"attention_bias\": true        | attention_bias true",
        "\"mlp_bias\": false           | \"rope_scaling\": {\"factor\": 2} | rope_scaling factor 2",
        "\"mlp_bias\": false           | \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2} | rope_type \"yarn\"",
        "\"mlp_bias\": false           | \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5} | rope-scaling linear:0.5",
        "\"mlp_bias\": false           | \"rope_scaling\": {\"type\": \"linear\", \"rope_type\": \"llama3\", \"factor\": 2} | they must be equal",
        "\"mlp_bias\": false           | \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"beta\": 1} | rope_scaling beta 1",
        "\"mlp_bias\": false           | \"rope_parameters\": {\"rope_type\": \"llama3\"} | field \"factor\" is missing",
        "\"mlp_bias\": false           | \"sliding_window\": 4          | sliding_window 4",
        "\"mlp_bias\": false           | \"quantization_config\": {\"quant_method\": \"gptq\"} | quant_method \"gptq\"",
        "\"mlp_bias\": false           | \"quantization_config\": 1      | field \"quantization_config\" is not an object",
        "\"head_dim\": 12              | \"head_dim\": 16                | tensor model.layers.0.self_attn.q_proj.weight is F32 [48, 48]",
        "\"head_dim\": 12              | \"head_dim\": 0                 | head-dim 0: a head must be even and 2 to 256 wide",
        "\"head_dim\": 12              | \"head_dim\": 13                | head-dim 13: a head must be even",
        "\"head_dim\": 12              | \"head_dim\": 512               | head-dim 512: a head must be even and 2 to 256 wide",
        "\"head_dim\": 12              | \"head_dim\": 99999999999       | head-dim is \"99999999999\"; it takes a whole number",
        "\"head_dim\": 12              | \"head_dim\": 12.5              | field \"head_dim\" is not an integer",
        "\"hidden_size\": 48           | \"hidden_size\": 40             | tensor model.embed_tokens.weight is F32 [270, 48]",
        "\"hidden_size\": 48           | \"hidden_sizes\": 48            | field \"hidden_size\" is missing",
        "\"num_hidden_layers\": 2      | \"num_hidden_layers\": 3        | tensor model.layers.2.input_layernorm.weight is missing",
        "\"num_hidden_layers\": 2      | \"num_hidden_layers\": 1        | tensor model.layers.1.",
        "\"num_hidden_layers\": 2      | \"num_hidden_layers\": \"2\"    | field \"num_hidden_layers\" is not an integer",
        "\"intermediate_size\": 112    | \"intermediate_size\": 111      | tensor model.layers.0.mlp.gate_proj.weight is F32 [112, 48]",
        "\"vocab_size\": 270           | \"vocab_size\": 269             | vocab_size 269, the tokenizer has 270",
        "\"vocab_size\": 270           | \"vocab_size\": 271             | tensor model.embed_tokens.weight is F32 [270, 48]",
        "\"tie_word_embeddings\": false | \"tie_word_embeddings\": true  | tensor lm_head.weight"})
    void whatHasNoPlaceIsRefusedByName(String from, String to, String message) throws IOException {
        Path hf = copy(exported(), "edited");
        replace(hf, from, to);
        assertMessage(ModelException.class, message, hf, folder.resolve("never"));
    }

    /** A model that goes on from an export of one of ours begins its texts as that did, and is exported with the same tokenizer. */
    @Test
    void aTuningBeginsAsItsModelDid() throws IOException {
        Path imported = folder.resolve("of-ours");
        HuggingFaceImport.read(exported(), TokenizerLoader.BPE, imported);
        TrainConfig settings = ModelFolder.open(imported).config();
        assertTrue(settings.beginToken == null && settings.endToken == null, "the end token serves for both, as before");
        Path tuned = tuned(imported, "of-ours-tuned");
        Path out = folder.resolve("of-ours-tuned-hf");
        try (Model model = Model.load(tuned)) {
            assertEquals(0, model.tokenizer().beginToken());
            HuggingFaceExport.write(model, Form.F32, out);
        }
        assertEquals(-1, Files.mismatch(exported().resolve("tokenizer.json"), out.resolve("tokenizer.json")));
    }

    /** As transformers does: the template decides, whatever tokenizer_config.json says; what has none begins with its own first token. */
    @Test
    void textsOfATokenizerWithoutATemplateBeginAsTheyAre() throws IOException {
        Path hf = copy(exported(), "bare");
        Files.writeString(hf.resolve("tokenizer_config.json"), "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"add_bos_token\": false}");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("of-heeded"));
        try (Model model = Model.load(folder.resolve("of-heeded"))) {
            assertTrue(model.tokenizer().addsBeginToken());
        }
        Map<String, Object> root = Json.readObject(hf.resolve("tokenizer.json"), 1 << 24);
        TokenizerTemplate.setBeginToken(root, Optional.empty());
        Files.writeString(hf.resolve("tokenizer.json"), Json.writePretty(root));
        replace(hf, "\"bos_token_id\": 0", "\"bos_token_id\": 7");
        Path imported = folder.resolve("of-bare");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, imported);
        Path back = folder.resolve("bare-back");
        try (Model model = Model.load(imported)) {
            assertBeginsBare(model);
            HuggingFaceExport.write(model, Form.F32, back);
        }
        for (String file : List.of("tokenizer.json", "config.json", "model.safetensors")) {
            assertEquals(-1, Files.mismatch(hf.resolve(file), back.resolve(file)), file);
        }
        try (Model model = Model.load(tuned(imported, "bare-tuned"))) {
            assertBeginsBare(model);
        }
        new ModelConverter(Grid.TERNARY, Scaling.TENSOR, ScaleRule.ABSMEAN, null).convert(imported, folder.resolve("bare-ternary"));
        try (Model model = Model.load(folder.resolve("bare-ternary"))) {
            assertBeginsBare(model);
        }
    }

    private static void assertBeginsBare(Model model) {
        assertArrayEquals(model.tokenizer().encode("the tern"), seen(model, "the tern"));
        assertArrayEquals(new int[] {7}, seen(model, ""));
    }

    /** The tokens of a prompt, as one session sees them and as one of many does. */
    private static int[] seen(Model model, String prompt) {
        try (Session session = model.session(SessionOptions.of(model)); SessionGroup group = model.group(SessionOptions.of(model), 2)) {
            new Generator(session, model.tokenizer()).generate(prompt, GenerationOptions.of(1), text -> { });
            int place = new BatchGenerator(group, model.tokenizer()).add(prompt, GenerationOptions.of(1), text -> { });
            assertArrayEquals(session.tokens(), group.tokens(place));
            return session.tokens();
        }
    }

    private static Path tuned(Path init, String name) throws IOException {
        Path out = folder.resolve(name);
        TrainConfig tuning = new TrainConfig().set("init", init).set("method", "fp32").set("data", folder.resolve("data"))
                .set("cache", folder.resolve("cache")).set("holdout", 0.2).set("batch", 4).set("threads", 1).set("steps", 1).set("out", out);
        try (TrainingRun run = TrainingRun.open(tuning, TrainListener.NONE)) {
            run.train();
        }
        return out;
    }

    /** What transformers puts before a text, and what ends one, though the tokenizer has tokens of the usual names. */
    @Test
    void textsBeginAndEndAsTheModelSays() throws IOException {
        Path hf = copy(exported(), "marks");
        Files.delete(hf.resolve("generation_config.json")); // it would go first
        replace(hf, "\"bos_token_id\": 0", "\"bos_token_id\": 7");
        replace(hf, "\"eos_token_id\": 0", "\"eos_token_id\": 9");
        Map<String, Object> tokenizer = Json.readObject(hf.resolve("tokenizer.json"), 1 << 24);
        String template = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<b>\", \"type_id\": 0}},"
                + " {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [],"
                + " \"special_tokens\": {\"<b>\": {\"id\": \"<b>\", \"ids\": [7], \"tokens\": [\"<b>\"]}}}";
        tokenizer.put("post_processor", Json.parse(template.getBytes(StandardCharsets.UTF_8)));
        String marked = Json.write(tokenizer);
        Files.writeString(hf.resolve("tokenizer.json"), marked);
        Path imported = folder.resolve("of-marks");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, imported);
        Path back = folder.resolve("marks-back");
        try (Model model = Model.load(imported); Session session = model.session(SessionOptions.of(model))) {
            assertEquals(9, model.tokenizer().endToken());
            new Generator(session, model.tokenizer()).generate("the", GenerationOptions.of(1), text -> { });
            assertEquals(7, session.tokens()[0]);
            HuggingFaceExport.write(model, Form.F32, back);
        }
        assertEquals(Files.readString(hf.resolve("config.json")), Files.readString(back.resolve("config.json")));
        TrainConfig tuning = new TrainConfig().set("init", imported).set("data", folder.resolve("data")).set("cache", folder.resolve("cache"))
                .set("holdout", 0.2).set("batch", 4).set("threads", 1).set("steps", 1).set("out", folder.resolve("marks-tuned"));
        try (TrainingRun run = TrainingRun.open(tuning, TrainListener.NONE)) {
            run.train();
        }
        try (Model tuned = Model.load(folder.resolve("marks-tuned"))) {
            assertEquals(7, tuned.tokenizer().beginToken());
            assertEquals(9, tuned.tokenizer().endToken());
        }
        replace(hf, "\"eos_token_id\": 9", "\"eos_token_id\": [270, 271]");
        assertMessage(ModelException.class, "end-token 270: the tokenizer has tokens 0 to 269", hf, folder.resolve("never"));
        replace(hf, "\"eos_token_id\": [270, 271]", "\"eos_token_id\": \"</s>\"");
        assertMessage(ModelException.class, "eos_token_id \"</s>\"; expected an id or a list of ids", hf, folder.resolve("never"));
        replace(hf, "\"eos_token_id\": \"</s>\"", "\"eos_token_id\": [8, 0]");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("of-several-ends"));
        try (Model model = Model.load(folder.resolve("of-several-ends"))) {
            assertEquals(8, model.tokenizer().endToken());
            assertTrue(model.tokenizer().endTokens().contains(0) && model.tokenizer().endTokens().contains(8));
            HuggingFaceExport.write(model, Form.F32, folder.resolve("several-ends-back"));
        }
        assertTrue(Files.readString(folder.resolve("several-ends-back/config.json")).matches("(?s).*\"eos_token_id\": \\[\\s*8,\\s*0\\s*].*"));
        Files.writeString(hf.resolve("tokenizer.json"), marked.replace("\"ids\":[7]", "\"ids\":[7,8]"));
        assertMessage(ModelException.class, "special token \"<b>\" of the template has ids [7,8]", hf, folder.resolve("never"));
    }

    /** From folder to folder, in another format, in another width, and through a training. */
    @Test
    void aChatTemplateGoesWithItsModel() throws IOException {
        String template = "{% for m in messages %}{{ '\u2039' + m.content }}\n{% endfor %}\n";
        Path hf = copy(exported(), "with-template");
        Files.writeString(hf.resolve("chat_template.jinja"), template);
        Path imported = folder.resolve("of-template");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, imported);
        Path back = folder.resolve("template-back");
        Path gguf = folder.resolve("template.gguf");
        try (Model model = Model.load(imported)) {
            assertEquals(Optional.of(template), model.chatTemplate());
            HuggingFaceExport.write(model, Form.F32, back);
            GgufExport.write(model, GgufType.F32, gguf);
        }
        assertSameFiles(hf, back);
        GgufImport.read(gguf, folder.resolve("of-template-gguf"));
        new ModelConverter(Grid.TERNARY, Scaling.TENSOR, ScaleRule.ABSMEAN, null).convert(imported, folder.resolve("of-template-ternary"));
        TrainConfig tuning = new TrainConfig().set("init", imported).set("data", folder.resolve("data")).set("cache", folder.resolve("cache"))
                .set("holdout", 0.2).set("batch", 4).set("seq-len", 16).set("threads", 1).set("steps", 1).set("out", folder.resolve("template-run"));
        try (TrainingRun run = TrainingRun.open(tuning, TrainListener.NONE)) {
            run.train();
        }
        for (String of : List.of("of-template-gguf", "of-template-ternary", "template-run")) {
            assertEquals(Optional.of(template), ModelFolder.open(folder.resolve(of)).chatTemplate(), of);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "\"a\" | a", "[{\"name\": \"tool_use\", \"template\": \"a\"}, {\"name\": \"default\", \"template\": \"b\"}] | b", "null | ",
        "[{\"name\": \"tool_use\", \"template\": \"a\"}] | "})
    void aChatTemplateMayStandInTheTokenizersConfiguration(String value, String expected) throws IOException {
        Path hf = copy(exported(), "configured-template" + value.hashCode());
        Files.writeString(hf.resolve("tokenizer_config.json"), "{\"chat_template\": " + value + "}");
        Path imported = folder.resolve("of-configured-template" + value.hashCode());
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, imported);
        assertEquals(Optional.ofNullable(expected), ModelFolder.open(imported).chatTemplate());
    }

    @Test
    void aChatTemplateThatIsNoTextIsRefused() throws IOException {
        Path hf = copy(exported(), "bad-template");
        Files.writeString(hf.resolve("tokenizer_config.json"), "{\"chat_template\": 5}");
        assertMessage(ModelException.class, "chat_template 5 of tokenizer_config.json; expected a text", hf, folder.resolve("never"));
        Files.write(hf.resolve("chat_template.jinja"), new byte[] {'a', (byte) 0xff});
        assertMessage(ConfigException.class, "chat_template.jinja: byte 1 is not UTF-8", hf, folder.resolve("never"));
        Files.write(hf.resolve("chat_template.jinja"), new byte[(1 << 20) + 1]);
        assertMessage(ConfigException.class, "chat_template.jinja: 1048577 bytes are more than", hf, folder.resolve("never"));
    }

    @Test
    void aTiedHeadMayBeStoredToo() throws IOException {
        Path hf = exportedAs("tied", "method fp32 tie-embeddings true");
        Path file = hf.resolve("model.safetensors");
        addHead(file, false);
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("of-tied"));
        addHead(file, true);
        assertMessage(ModelException.class, "tensor lm_head.weight is not the embedding, though tie_word_embeddings is true", hf, folder.resolve("never"));
    }

    private static Path exportedAs(String name, String settings) throws IOException {
        Path out = folder.resolve("hf-" + name);
        Path run = train(settings);
        try (Model model = Model.load(run)) {
            HuggingFaceExport.write(model, Form.F32, out);
        }
        return out;
    }

    /** Adds, or replaces, a head that is the embedding but for its last weight. */
    private static void addHead(Path file, boolean changed) throws IOException {
        List<SafetensorsWriter.Entry> entries = new ArrayList<>();
        List<byte[]> bodies = new ArrayList<>();
        try (SafetensorsReader reader = new SafetensorsReader(file)) {
            for (SafetensorsReader.Tensor t : reader.tensors().values()) {
                if (!t.name().equals("lm_head.weight")) {
                    entries.add(new SafetensorsWriter.Entry(t.name(), t.dtype(), t.shape(), t.bytes()));
                    bodies.add(read(reader, t).array());
                }
            }
            SafetensorsReader.Tensor embedding = reader.tensors().get("model.embed_tokens.weight");
            byte[] head = read(reader, embedding).array().clone();
            head[head.length - 1] ^= (byte) (changed ? 1 : 0);
            entries.add(new SafetensorsWriter.Entry("lm_head.weight", embedding.dtype(), embedding.shape(), head.length));
            bodies.add(head);
        }
        write(file, entries, bodies);
    }

    /** As transformers takes it, whose files leave out what is usual. */
    @ParameterizedTest
    @CsvSource({"llama, 2048, 1e-6, 1e4", "mistral, 131072, 1e-6, 1e4"})
    void whatIsNotSaidIsTheUsual(String type, int context, double epsilon, double base) throws IOException {
        Path hf = copy(exported(), "usual-" + type);
        Map<String, Object> config = Json.readObject(hf.resolve("config.json"), 1 << 20);
        config.keySet().removeAll(List.of("max_position_embeddings", "rms_norm_eps", "rope_theta"));
        config.put("model_type", type);
        config.put("sliding_window", null);
        Files.writeString(hf.resolve("config.json"), Json.writePretty(config));
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("of-usual-" + type));
        assertShape(folder.resolve("of-usual-" + type), context, epsilon, base);
        config.keySet().removeAll(List.of("sliding_window", "num_key_value_heads"));
        Files.writeString(hf.resolve("config.json"), Json.writePretty(config));
        if (type.equals("mistral")) {
            assertMessage(ModelException.class, "sliding_window 4096, which is mistral's where none is said", hf, folder.resolve("never"));
            config.put("sliding_window", null);
            Files.writeString(hf.resolve("config.json"), Json.writePretty(config));
            assertMessage(ModelException.class, "kv-heads 8: must lie between 1 and 4", hf, folder.resolve("never"));
        }
    }

    @Test
    void whatIsNotSaidIsTheUsualOfBitNet() throws IOException {
        Path hf = copy(packed(), "usual-bitnet");
        Map<String, Object> config = Json.readObject(hf.resolve("config.json"), 1 << 20);
        config.keySet().removeAll(List.of("max_position_embeddings", "rms_norm_eps", "rope_theta"));
        Files.writeString(hf.resolve("config.json"), Json.writePretty(config));
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("of-usual-bitnet"));
        assertShape(folder.resolve("of-usual-bitnet"), 2048, 1e-5, 5e5);
    }

    private static void assertShape(Path imported, int context, double epsilon, double base) throws IOException {
        try (Model model = Model.load(imported)) {
            assertEquals(context, model.config().seqLen());
            assertEquals(epsilon, model.config().rmsEpsilon(), 1e-12);
            assertEquals(base, model.config().ropeTheta());
        }
    }

    @Test
    void whatFailsLeavesNothing() throws IOException {
        Path hf = copy(exported(), "nan");
        Path file = hf.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        Arrays.fill(bytes, bytes.length - 4, bytes.length, (byte) -1);
        Files.write(file, bytes);
        Path out = folder.resolve("nothing");
        assertMessage(ModelException.class, "expected finite ones", hf, out);
        assertFalse(Files.exists(out));
    }

    @Test
    void generationMayEndElsewhereThanTheConfigurationSays() throws IOException {
        Path hf = copy(exported(), "generation");
        Files.writeString(hf.resolve("generation_config.json"), "{\"eos_token_id\": [5, 6]}");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("of-generation"));
        try (Model model = Model.load(folder.resolve("of-generation"))) {
            assertTrue(model.tokenizer().endTokens().contains(5) && model.tokenizer().endTokens().contains(6) && !model.tokenizer().endTokens().contains(0));
        }
        String message = assertThrows(ConfigException.class, () -> Model.load(hf)).getMessage();
        assertEquals("model " + hf + ": is one of transformers; import it first", message);
    }

    /** The end's name may be none of the usual ones: its id is what counts. */
    @Test
    void theEndIsTheConfigurationsWhateverItsName() throws IOException {
        Path hf = copy(exported(), "unnamed");
        Path tokenizer = hf.resolve("tokenizer.json");
        Files.writeString(tokenizer, Files.readString(tokenizer).replace("<|end|>", "[EOS]"));
        Path imported = folder.resolve("of-unnamed");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, imported);
        try (Model model = Model.load(imported); Model original = Model.load(train("method fp32"))) {
            assertEquals(List.of(0), model.tokenizer().endTokens());
            assertEquals(generated(original), generated(model));
        }
        Files.delete(hf.resolve("generation_config.json"));
        replace(hf, "\"eos_token_id\": 0", "\"eos_token_id\": null");
        assertMessage(ModelException.class, "give the id of its token that ends a text: --end-token ID", hf, folder.resolve("never"));
        HuggingFaceImport.read(hf, Optional.empty(), TokenizerLoader.BPE, List.of(0, 5), folder.resolve("of-given"));
        try (Model model = Model.load(folder.resolve("of-given"))) {
            assertEquals(List.of(0, 5), model.tokenizer().endTokens());
        }
    }

    /** A tokenizer's template may say otherwise than a model that was trained from nothing with it. */
    @Test
    void aTemplateGoesOutAsTheModelBegins() throws IOException {
        Path tokenizer = copy(exported(), "template").resolve("tokenizer.json");
        Map<String, Object> root = Json.readObject(tokenizer, 1 << 24);
        TokenizerTemplate.setBeginToken(root, Optional.of(7));
        Files.writeString(tokenizer, Json.writePretty(root));
        Path run = TinyModel.train(folder, "method", "fp32", "tokenizer", tokenizer.toString());
        Path out = folder.resolve("templated-hf");
        try (Model model = Model.load(run)) {
            assertEquals(model.tokenizer().endToken(), model.tokenizer().beginToken());
            HuggingFaceExport.write(model, Form.F32, out);
        }
        assertEquals(Optional.of(0), TokenizerTemplate.beginToken(Json.readObject(out.resolve("tokenizer.json"), 1 << 24)));
    }

    @Test
    void aWriteThatFailsLateLeavesNothing() {
        Path out = folder.resolve("late");
        ModelFolder target = ModelFolder.of(out, new TrainConfig().set("hidden", 32).set("intermediate", 32).set("layers", 1).set("heads", 2)
                .set("vocab", 270).set("method", "fp32"));
        assertThrows(NullPointerException.class, () -> target.write((part, row0) -> { }, null, Optional.empty()));
        assertFalse(Files.exists(out));
    }

    /** Newer files hold base and scaling in one place. */
    @Test
    void scalingOfPositionsIsReadWhereverItStands() throws IOException {
        String fields = "\"factor\": 8, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 16}";
        for (String field : new String[] {"\"rope_theta\": 500000.0, \"rope_scaling\": {\"type\": \"llama3\", ",
            "\"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"llama3\", "}) {
            Path hf = copy(exported(), "scaled");
            replace(hf, "\"rope_theta\": 10000.0", field + fields);
            Path imported = folder.resolve("scaled-" + field.substring(1, 10));
            HuggingFaceImport.read(hf, TokenizerLoader.BPE, imported);
            try (Model model = Model.load(imported)) {
                assertEquals(RopeScaling.llama3(8, 1, 4, 16), model.config().ropeScaling());
                assertEquals(5e5, model.config().ropeTheta());
                assertEquals("llama3:8:1:4:16", ModelFolder.open(imported).config().ropeScaling);
            }
        }
    }

    /** Embeddings are often padded to a round number of rows; those without a token are never drawn. */
    @Test
    void rowsWithoutATokenStay() throws IOException {
        Path hf = copy(exported(), "padded");
        replace(hf, "\"vocab_size\": 270", "\"vocab_size\": 288");
        pad(hf.resolve("model.safetensors"), 288);
        Path imported = folder.resolve("of-padded");
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, imported);
        Path back = folder.resolve("padded-back");
        try (Model model = Model.load(imported); Model original = Model.load(train("method fp32"))) {
            assertEquals(288, model.config().vocab());
            assertEquals(270, model.tokenizer().vocabSize());
            float[] logits = TinyModel.logits(model);
            assertArrayEquals(TinyModel.logits(original), Arrays.copyOf(logits, 270));
            assertTrue(Math.max(logits[280], logits[281]) > 1000, "the padding would win every time");
            assertEquals(generated(original), generated(model));
            HuggingFaceExport.write(model, Form.F32, back);
        }
        assertSameFiles(hf, back);
        TrainConfig tuning = new TrainConfig().set("init", imported).set("data", folder.resolve("data")).set("cache", folder.resolve("cache"))
                .set("holdout", 0.2).set("batch", 4).set("threads", 1).set("steps", 1).set("out", folder.resolve("padded-tuned"));
        try (TrainingRun run = TrainingRun.open(tuning, TrainListener.NONE)) {
            assertTrue(run.train().finished());
        }
        assertEquals(288, ModelFolder.open(folder.resolve("padded-tuned")).model().vocab());
    }

    /** As a token for padding that a fine-tuning added, which nothing but batches of it ever had. */
    @Test
    void specialTokensWithoutARowAreLeftOut() throws IOException {
        Path hf = copy(exported(), "unresized");
        addToken(hf, 270, "[PAD]", true);
        addToken(hf, 273, "[MASK]", true);
        HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("of-unresized"));
        try (Model model = Model.load(folder.resolve("of-unresized")); Model original = Model.load(train("method fp32"))) {
            assertEquals(270, model.tokenizer().vocabSize());
            assertEquals(original.tokenizer().endToken(), model.tokenizer().endToken());
            assertArrayEquals(original.tokenizer().encode("a [PAD] <|end|>"), model.tokenizer().encode("a [PAD] <|end|>"));
        }
        addToken(hf, 274, "<think>", false);
        assertMessage(ModelException.class, "vocab_size 270, the tokenizer has 275, of which 274, \"<think>\", cannot be left out; every token but"
                + " unused special ones must have its row", hf, folder.resolve("never"));
    }

    @ParameterizedTest
    @CsvSource({"bos_token_id, 270", "eos_token_id, 270"})
    void tokensThatBeginAndEndTextsMustHaveARow(String field, String id) throws IOException {
        Path hf = copy(exported(), "unresized-" + field);
        Files.delete(hf.resolve("generation_config.json"));
        replace(hf, "\"" + field + "\": 0", "\"" + field + "\": " + id);
        addToken(hf, 270, "<mark>", true);
        assertMessage(ModelException.class, "of which 270, \"<mark>\", cannot be left out; every token but unused", hf, folder.resolve("never"));
        if (field.equals("eos_token_id")) { // texts do not end with it once another token is given
            HuggingFaceImport.read(hf, Optional.empty(), TokenizerLoader.BPE, List.of(0), folder.resolve("of-given-end"));
            assertEquals(270, ModelFolder.open(folder.resolve("of-given-end")).model().vocab());
        }
    }

    /** Of vocabularies that are lists, and files without added tokens. */
    @Test
    void aTemplateNamesTokensOfAnyVocabulary() throws IOException {
        for (String vocab : List.of("[[\"<unk>\", 0.0], [\"a\", -1.0]]", "{\"<unk>\": 0, \"a\": 1}")) {
            Map<String, Object> root = Json.asObject(Json.parse(("{\"model\": {\"vocab\": " + vocab + "}}").getBytes(StandardCharsets.UTF_8)), "");
            TokenizerTemplate.setBeginToken(root, Optional.of(1));
            Object written = Json.parse(Json.write(root).getBytes(StandardCharsets.UTF_8));
            assertEquals(Optional.of(1), TokenizerTemplate.beginToken(Json.asObject(written, "")));
            assertTrue(Json.write(root).contains("\"SpecialToken\":{\"id\":\"a\""), Json.write(root));
            assertThrows(IOException.class, () -> TokenizerTemplate.setBeginToken(root, Optional.of(2)));
        }
    }

    @Test
    void tokensOfATemplateMustHaveARow() throws IOException {
        Path hf = copy(exported(), "unresized-template");
        addToken(hf, 270, "<mark>", true);
        Map<String, Object> root = Json.readObject(hf.resolve("tokenizer.json"), 1 << 24);
        TokenizerTemplate.setBeginToken(root, Optional.of(270));
        Files.writeString(hf.resolve("tokenizer.json"), Json.writePretty(root));
        assertMessage(ModelException.class, "of which 270, \"<mark>\"", hf, folder.resolve("never"));
    }

    private static void addToken(Path hf, int id, String text, boolean special) throws IOException {
        Path file = hf.resolve("tokenizer.json");
        Map<String, Object> root = Json.readObject(file, 1 << 24);
        List<Object> added = new ArrayList<>(Json.list(root, "added_tokens"));
        added.add(BpeTokenizer.addedToken(id, text, special));
        root.put("added_tokens", added);
        Files.writeString(file, Json.writePretty(root));
    }

    private static String generated(Model model) {
        try (Session session = model.session(SessionOptions.of(model))) {
            return new Generator(session, model.tokenizer()).generate("the", GenerationOptions.of(12).withSampling(Sampling.greedy()), text -> { }).text();
        }
    }

    /** Adds rows of a huge number to embeddings and head. */
    private static void pad(Path file, long rows) throws IOException {
        List<SafetensorsWriter.Entry> entries = new ArrayList<>();
        List<byte[]> bodies = new ArrayList<>();
        try (SafetensorsReader reader = new SafetensorsReader(file)) {
            for (SafetensorsReader.Tensor t : reader.tensors().values()) {
                boolean padded = t.shape().getFirst() == 270;
                long cols = t.shape().getLast();
                ByteBuffer body = ByteBuffer.allocate((int) (padded ? rows * cols * Float.BYTES : t.bytes())).order(ByteOrder.LITTLE_ENDIAN);
                body.put(read(reader, t));
                while (body.hasRemaining()) {
                    body.putFloat(body.position() / (cols * Float.BYTES) % 2 == 0 ? 1e4f : -1e4f);
                }
                entries.add(new SafetensorsWriter.Entry(t.name(), t.dtype(), padded ? List.of(rows, cols) : t.shape(), body.capacity()));
                bodies.add(body.array());
            }
        }
        write(file, entries, bodies);
    }

    @Test
    void numbersThatCannotBeAreRefused() throws IOException {
        for (String bad : new String[] {"0", "-1", "99999999999", "1e400"}) {
            Path hf = copy(exported(), "edited");
            String config = Files.readString(hf.resolve("config.json"));
            Files.writeString(hf.resolve("config.json"), config.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": " + bad));
            Exception e = assertThrows(Exception.class, () -> HuggingFaceImport.read(hf, TokenizerLoader.BPE, folder.resolve("never")));
            assertTrue(e instanceof ConfigException || e instanceof IOException, bad + ": " + e);
        }
    }

    @Test
    void damagedFilesAreNamed() throws IOException {
        Path cut = copy(exported(), "edited");
        byte[] bytes = Files.readAllBytes(cut.resolve("model.safetensors"));
        Files.write(cut.resolve("model.safetensors"), Arrays.copyOf(bytes, bytes.length - 4));
        assertMessage(SafetensorsException.class, "model.safetensors", cut, folder.resolve("never"));

        Path sharded = copy(exported(), "edited");
        Files.delete(sharded.resolve("model.safetensors"));
        Files.writeString(sharded.resolve("model.safetensors.index.json"), "{}");
        assertMessage(SafetensorsException.class, "field \"weight_map\" is missing", sharded, folder.resolve("never"));
        Files.delete(sharded.resolve("model.safetensors.index.json"));

        assertMessage(ConfigException.class, "holds files already", exported(), sharded);
    }

    private static Path exported() throws IOException {
        return exported("method fp32", Form.F32);
    }

    private static Path packed() throws IOException {
        return exported("bits 1.58", Form.PACKED);
    }

    private static Path exported(String settings, Form form) throws IOException {
        Path out = folder.resolve("exported-" + form);
        if (!Files.exists(out)) {
            Path run = train(settings);
            try (Model model = Model.load(run)) {
                HuggingFaceExport.write(model, form, out);
            }
        }
        return out;
    }

    private static void replace(Path hf, String from, String to) throws IOException {
        String config = Files.readString(hf.resolve("config.json"));
        assertTrue(config.contains(from), config);
        Files.writeString(hf.resolve("config.json"), config.replace(from, to));
    }

    private static void assertSameFiles(Path first, Path second) throws IOException {
        try (var files = Files.list(first); var others = Files.list(second)) {
            List<Path> list = files.toList();
            assertEquals(list.size(), others.count());
            for (Path file : list) {
                assertArrayEquals(Files.readAllBytes(file), Files.readAllBytes(second.resolve(file.getFileName())), file.toString());
            }
        }
    }

    private static Path copy(Path from, String name) throws IOException {
        Path to = Files.createDirectories(folder.resolve(name));
        try (var files = Files.list(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
            }
        }
        return to;
    }

    private static void assertMessage(Class<? extends Exception> type, String part, Path hf, Path out) {
        String message = assertThrows(type, () -> HuggingFaceImport.read(hf, TokenizerLoader.BPE, out)).getMessage();
        assertTrue(message.contains(part), message);
    }

    private static Path train(String settings) throws IOException {
        return TinyModel.train(folder, ("tokenizer train vocab 270 " + settings).split(" "));
    }
}
