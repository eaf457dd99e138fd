package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.io.SafetensorsException;
import io.sterna.nn.Method;
import io.sterna.tensor.FloatType;
import io.sterna.train.ConfigException;
import io.sterna.train.PreparedData.TokenizerLoader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HuggingFaceImportTest {
    @TempDir
    private static Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"method fp32", "method fp32 tie-embeddings true", "method bf16", "bits 4", "method bitnet"})
    void exportImportExportIsByteStable(String settings) throws IOException {
        String name = settings.replace(' ', '-');
        Path run = train(settings);
        FloatType type = settings.contains("bf16") ? FloatType.BF16 : FloatType.F32;
        Path first = folder.resolve("first-" + name);
        Path second = folder.resolve("second-" + name);
        Path imported = folder.resolve("imported-" + name);
        float[] before;
        try (Model model = Model.load(run)) {
            HuggingFaceExport.write(run, model, type, first);
            before = logits(model);
        }
        HuggingFaceImport.read(first, TokenizerLoader.BPE, imported);
        try (Model model = Model.load(imported)) {
            assertEquals(type == FloatType.BF16 ? Method.Kind.BF16 : Method.Kind.FP32, model.method().kind());
            HuggingFaceExport.write(imported, model, type, second);
            if (settings.startsWith("method fp32") || settings.startsWith("method bf16")) {
                assertArrayEquals(before, logits(model), "the same weights, the same logits");
            }
        }
        try (var files = Files.list(first)) {
            for (Path file : files.toList()) {
                assertArrayEquals(Files.readAllBytes(file), Files.readAllBytes(second.resolve(file.getFileName())), file.toString());
            }
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"llama\"                     | \"gpt2\"                        | model_type gpt2",
        "\"silu\"                      | \"gelu\"                        | hidden_act gelu",
        "\"attention_bias\": false     | \"attention_bias\": true        | attention_bias true",
        "\"mlp_bias\": false           | \"rope_scaling\": {\"factor\": 2} | rope_scaling {\"factor\":2}",
        "\"mlp_bias\": false           | \"quantization_config\": {}     | quantization_config {}",
        "\"head_dim\": 12              | \"head_dim\": 16                | head_dim 16",
        "\"hidden_size\": 48           | \"hidden_size\": 40             | head_dim 12",
        "\"hidden_size\": 48           | \"hidden_sizes\": 48            | field \"hidden_size\" is missing",
        "\"num_hidden_layers\": 2      | \"num_hidden_layers\": 3        | tensor model.layers.2.input_layernorm.weight is missing",
        "\"num_hidden_layers\": 2      | \"num_hidden_layers\": 1        | tensor model.layers.1.",
        "\"num_hidden_layers\": 2      | \"num_hidden_layers\": \"2\"    | field \"num_hidden_layers\" is not an integer",
        "\"intermediate_size\": 112    | \"intermediate_size\": 111      | tensor model.layers.0.mlp.gate_proj.weight is F32 [112, 48]",
        "\"vocab_size\": 270           | \"vocab_size\": 271             | vocab_size 271, the tokenizer has 270",
        "\"tie_word_embeddings\": false | \"tie_word_embeddings\": true  | tensor lm_head.weight"})
    void whatHasNoPlaceIsRefusedByName(String from, String to, String message) throws IOException {
        Path hf = copy(exported(), "edited");
        String config = Files.readString(hf.resolve("config.json"));
        assertTrue(config.contains(from), config);
        Files.writeString(hf.resolve("config.json"), config.replace(from, to));
        assertMessage(ModelException.class, message, hf, folder.resolve("never"));
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
        Files.writeString(sharded.resolve("model.safetensors.index.json"), "{}");
        assertMessage(ModelException.class, "several files", sharded, folder.resolve("never"));
        Files.delete(sharded.resolve("model.safetensors.index.json"));

        assertMessage(ConfigException.class, "holds files already", exported(), sharded);
    }

    private static Path exported() throws IOException {
        Path out = folder.resolve("exported");
        if (!Files.exists(out)) {
            Path run = train("method fp32");
            try (Model model = Model.load(run)) {
                HuggingFaceExport.write(run, model, FloatType.F32, out);
            }
        }
        return out;
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

    private static float[] logits(Model model) {
        try (Session session = model.session(SessionOptions.of(model))) {
            session.append(256, 1, 2, 3);
            float[] logits = new float[model.config().vocab()];
            session.logits(logits);
            return logits;
        }
    }

    private static Path train(String settings) throws IOException {
        return TinyModel.train(folder, ("tokenizer train vocab 270 " + settings).split(" "));
    }
}
