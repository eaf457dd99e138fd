package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.TokenizerTemplate;
import io.sterna.io.Json;
import io.sterna.kernel.Tier;
import io.sterna.tensor.FloatType;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HuggingFaceExportTest {
    private static final int[] TOKENS = {256, 116, 104, 101, 32, 116, 101, 114, 110, 257, 260};

    @TempDir
    private static Path folder;

    /** What transformers computes from the folder, in double, with inputs in int8 where the model has them so. */
    @ParameterizedTest
    @CsvSource({"method fp32, false", "method fp32 tie-embeddings true, false", "method fp32 sub-ln true, false",
        "method fp32 head-dim 20, false", "method fp32 head-dim 6, false", "bits 4 sub-ln false head-dim 16, true",
        "method fp32 head-dim 20 rope-theta 100 rope-scaling llama3:4:1:4:32, false", "method fp32 rope-scaling linear:2.5, false", "method fp32 rope-theta 100 rope-scaling llama3:4:1:4:32, false",
        "bits 1.58, true", "bits 4 scale row, true", "bits 8 forward ternary, true", "method bitnet, true"})
    void theFolderHoldsTheModel(String settings, boolean int8) throws IOException {
        Path run = train(settings);
        Path out = folder.resolve("hf-" + settings.replace(' ', '-').replace(':', '-'));
        float[] logits;
        try (Model model = Model.load(run);
                Session session = model.session(SessionOptions.of(model).withCacheType(FloatType.F32))) {
            HuggingFaceExport.write(model, HuggingFaceExport.Form.F32, out);
            session.append(TOKENS);
            logits = new float[model.config().vocab()];
            session.logits(logits);
        }
        double[] expected = new Forward(out, int8).logits(TOKENS);
        // A sum that differs in the last place may move an int8 input by one step, of 127.
        double bound = Tier.best() == Tier.AMX ? 3e-2 : int8 ? 2e-3 : 1e-5;
        for (int i = 0; i < expected.length; i++) {
            assertEquals(expected[i], logits[i], bound, "token " + i);
        }
        Map<String, Object> config = Json.readObject(out.resolve("config.json"), 1 << 20);
        boolean subLn = settings.contains("sub-ln true") || int8 && !settings.contains("sub-ln false");
        assertEquals(List.of(subLn ? "BitNetForCausalLM" : "LlamaForCausalLM"), config.get("architectures"));
        Map<String, Object> tokenizer = Json.readObject(out.resolve("tokenizer.json"), 1 << 24);
        assertEquals(Optional.of(0), TokenizerTemplate.beginToken(tokenizer), "texts begin behind the end of another one there too");
        TokenizerTemplate.setBeginToken(tokenizer, Optional.empty());
        assertEquals(Json.readObject(run.resolve("model/tokenizer.json"), 1 << 24), tokenizer, "all else is as it was");
        assertEquals(config.get("eos_token_id"), Json.readObject(out.resolve("generation_config.json"), 1 << 20).get("eos_token_id"));
        assertEquals("<|end|>", Json.readObject(out.resolve("tokenizer_config.json"), 1 << 20).get("eos_token"));
    }

    @Test
    void bf16IsEachWeightRounded() throws IOException {
        Path run = train("bits 4");
        try (Model model = Model.load(run)) {
            HuggingFaceExport.write(model, HuggingFaceExport.Form.F32, folder.resolve("f32"));
            HuggingFaceExport.write(model, HuggingFaceExport.Form.BF16, folder.resolve("bf16"));
        }
        Map<String, double[]> exact = Forward.read(folder.resolve("f32/model.safetensors"));
        Map<String, double[]> rounded = Forward.read(folder.resolve("bf16/model.safetensors"));
        assertEquals(exact.keySet(), rounded.keySet());
        exact.forEach((name, values) -> {
            for (int i = 0; i < values.length; i++) {
                assertEquals(values[i], rounded.get(name)[i], Math.abs(values[i]) / 256, name);
            }
        });
    }

    @Test
    void whatCannotBeExportedIsRefused() throws IOException {
        Path bytes = TinyModel.train(folder, "bits", "1.58");
        Path run = train("bits 4");
        try (Model model = Model.load(bytes); Model other = Model.load(run)) {
            String message = assertThrows(ModelException.class,
                    () -> HuggingFaceExport.write(model, HuggingFaceExport.Form.F32, folder.resolve("none"))).getMessage();
            assertTrue(message.contains("its tokens are bytes") && message.contains("trained with tokenizer train"), message);
            assertFalse(Files.exists(folder.resolve("none")));
            message = assertThrows(ConfigException.class,
                    () -> HuggingFaceExport.write(other, HuggingFaceExport.Form.F32, folder)).getMessage();
            assertTrue(message.contains("holds files already"), message);
            message = assertThrows(ModelException.class,
                    () -> HuggingFaceExport.write(other, HuggingFaceExport.Form.PACKED, folder.resolve("none"))).getMessage();
            assertTrue(message.contains("of 4 bits with scale tensor"), message);
            Path wide = train("bits 1.58 head-dim 16");
            try (Model heads = Model.load(wide)) {
                message = assertThrows(ModelException.class,
                        () -> HuggingFaceExport.write(heads, HuggingFaceExport.Form.F32, folder.resolve("none"))).getMessage();
                assertTrue(message.contains("has SubLN and heads of 16") && message.contains("train with sub-ln false"), message);
            }
            assertEquals("form", assertThrows(NullPointerException.class,
                    () -> HuggingFaceExport.write(other, null, folder.resolve("none"))).getMessage());
            assertFalse(Files.exists(folder.resolve("none")));
        }
    }

    private static Path train(String settings) throws IOException {
        return TinyModel.train(folder, ("tokenizer train vocab 270 " + settings).split(" "));
    }

    /** The model of a Hugging Face folder, computed from the definitions in double. */
    private static final class Forward {
        private final Map<String, double[]> weights;
        private final boolean int8;
        private final int hidden;
        private final int wide;
        private final int layers;
        private final int heads;
        private final int dim;
        private final int kvHeads;
        private final double theta;
        private final Map<String, Object> scaling;
        private final double epsilon;
        private final boolean tied;

        Forward(Path folder, boolean int8) throws IOException {
            this.weights = read(folder.resolve("model.safetensors"));
            this.int8 = int8;
            Map<String, Object> config = Json.readObject(folder.resolve("config.json"), 1 << 20);
            this.hidden = (int) Json.integer(config, "hidden_size");
            this.wide = (int) Json.integer(config, "intermediate_size");
            this.layers = (int) Json.integer(config, "num_hidden_layers");
            this.heads = (int) Json.integer(config, "num_attention_heads");
            this.dim = (int) Json.integer(config, "head_dim");
            this.kvHeads = (int) Json.integer(config, "num_key_value_heads");
            this.theta = Json.number(config, "rope_theta");
            this.scaling = config.containsKey("rope_scaling") ? Json.object(config, "rope_scaling") : Map.of("rope_type", "default");
            this.epsilon = Json.number(config, "rms_norm_eps");
            this.tied = Json.bool(config, "tie_word_embeddings");
        }

        static Map<String, double[]> read(Path file) throws IOException {
            ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
            int size = Math.toIntExact(bytes.getLong());
            byte[] json = new byte[size];
            bytes.get(json);
            Map<String, double[]> tensors = new HashMap<>();
            int end = 0;
            for (Map.Entry<String, Object> entry : Json.asObject(Json.parse(json), "header").entrySet()) {
                if (entry.getKey().equals("__metadata__")) {
                    continue;
                }
                Map<String, Object> tensor = Json.asObject(entry.getValue(), "tensor");
                int begin = ((Long) Json.list(tensor, "data_offsets").get(0)).intValue();
                assertEquals(end, begin, "no gaps");
                end = ((Long) Json.list(tensor, "data_offsets").get(1)).intValue();
                boolean f32 = Json.string(tensor, "dtype").equals("F32");
                double[] values = new double[(end - begin) / (f32 ? 4 : 2)];
                assertEquals(values.length, Json.list(tensor, "shape").stream().mapToLong(d -> (Long) d).reduce(1, (a, b) -> a * b));
                for (int i = 0; i < values.length; i++) {
                    values[i] = f32 ? bytes.getFloat(8 + size + begin + 4 * i)
                            : Float.intBitsToFloat(bytes.getShort(8 + size + begin + 2 * i) << 16);
                }
                tensors.put(entry.getKey(), values);
            }
            assertEquals(bytes.capacity(), 8 + size + end);
            assertEquals(0, size % 8);
            return tensors;
        }

        double[] logits(int[] tokens) {
            double[][] x = new double[tokens.length][];
            for (int t = 0; t < tokens.length; t++) {
                x[t] = Arrays.copyOfRange(weights.get("model.embed_tokens.weight"), tokens[t] * hidden, (tokens[t] + 1) * hidden);
            }
            for (int layer = 0; layer < layers; layer++) {
                block("model.layers." + layer + ".", x);
            }
            double[] last = norm(x[tokens.length - 1], "model.norm");
            return product(last, weights.get(tied ? "model.embed_tokens.weight" : "lm_head.weight"));
        }

        private void block(String prefix, double[][] x) {
            int length = x.length;
            double[][] q = new double[length][];
            double[][] k = new double[length][];
            double[][] v = new double[length][];
            for (int t = 0; t < length; t++) {
                double[] a = norm(x[t], prefix + "input_layernorm");
                q[t] = rotate(linear(a, prefix + "self_attn.q_proj"), t);
                k[t] = rotate(linear(a, prefix + "self_attn.k_proj"), t);
                v[t] = linear(a, prefix + "self_attn.v_proj");
            }
            for (int t = 0; t < length; t++) {
                double[] attended = norm(attend(q[t], k, v, t), prefix + "self_attn.attn_sub_norm");
                add(x[t], linear(attended, prefix + "self_attn.o_proj"));
                double[] b = norm(x[t], prefix + "post_attention_layernorm");
                double[] gate = linear(b, prefix + "mlp.gate_proj");
                double[] up = linear(b, prefix + "mlp.up_proj");
                for (int i = 0; i < wide; i++) {
                    up[i] *= gate[i] / (1 + Math.exp(-gate[i]));
                }
                add(x[t], linear(norm(up, prefix + "mlp.ffn_sub_norm"), prefix + "mlp.down_proj"));
            }
        }

        private double[] attend(double[] q, double[][] k, double[][] v, int t) {
            double[] out = new double[heads * dim];
            for (int h = 0; h < heads; h++) {
                int kv = h / (heads / kvHeads) * dim;
                double[] p = new double[t + 1];
                double sum = 0;
                for (int s = 0; s <= t; s++) {
                    double score = 0;
                    for (int i = 0; i < dim; i++) {
                        score += q[h * dim + i] * k[s][kv + i];
                    }
                    p[s] = Math.exp(score / Math.sqrt(dim));
                    sum += p[s];
                }
                for (int s = 0; s <= t; s++) {
                    for (int i = 0; i < dim; i++) {
                        out[h * dim + i] += p[s] / sum * v[s][kv + i];
                    }
                }
            }
            return out;
        }

        private double[] rotate(double[] x, int position) {
            double[] y = new double[x.length];
            for (int i = 0; i < x.length; i++) {
                int j = i % dim;
                double angle = position * scaled(Math.pow(theta, -2.0 * (j % (dim / 2)) / dim));
                double partner = j < dim / 2 ? -x[i + dim / 2] : x[i - dim / 2];
                y[i] = x[i] * Math.cos(angle) + partner * Math.sin(angle);
            }
            return y;
        }

        /** By the length of a wave, as the Llama 3.1 code has it. */
        private double scaled(double frequency) {
            String type = (String) scaling.get("rope_type");
            if (type.equals("default")) {
                return frequency;
            }
            double factor = (Double) scaling.get("factor");
            if (type.equals("linear")) {
                return frequency / factor;
            }
            double low = (Double) scaling.get("low_freq_factor");
            double high = (Double) scaling.get("high_freq_factor");
            double original = (Long) scaling.get("original_max_position_embeddings");
            double wave = 2 * Math.PI / frequency;
            if (wave < original / high) {
                return frequency;
            }
            if (wave > original / low) {
                return frequency / factor;
            }
            double smooth = (original / wave - low) / (high - low);
            return (1 - smooth) * frequency / factor + smooth * frequency;
        }

        /** The norm of that name, or x itself when there is none. */
        private double[] norm(double[] x, String name) {
            double[] gain = weights.get(name + ".weight");
            if (gain == null) {
                assertTrue(Set.of("attn_sub_norm", "ffn_sub_norm").contains(name.substring(name.lastIndexOf('.') + 1)), name);
                return x;
            }
            double rms = Math.sqrt(Arrays.stream(x).map(a -> a * a).sum() / x.length + epsilon);
            double[] y = new double[x.length];
            for (int i = 0; i < x.length; i++) {
                y[i] = x[i] / rms * gain[i];
            }
            return y;
        }

        private double[] linear(double[] x, String name) {
            double[] input = x;
            if (int8) {
                double scale = Math.max(Arrays.stream(x).map(Math::abs).max().orElseThrow(), 1e-5) / 127;
                input = Arrays.stream(x).map(a -> Math.rint(a / scale) * scale).toArray();
            }
            return product(input, weights.get(name + ".weight"));
        }

        private static double[] product(double[] x, double[] w) {
            double[] y = new double[w.length / x.length];
            for (int n = 0; n < y.length; n++) {
                for (int i = 0; i < x.length; i++) {
                    y[n] += x[i] * w[n * x.length + i];
                }
            }
            return y;
        }

        private static void add(double[] x, double[] y) {
            for (int i = 0; i < x.length; i++) {
                x[i] += y[i];
            }
        }
    }
}
