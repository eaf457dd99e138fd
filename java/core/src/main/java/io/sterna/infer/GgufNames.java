package io.sterna.infer;

import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Parameter;
import java.util.Map;

/**
 * How llama.cpp names the tensors of a model, and how it orders their rows. Its {@code llama} architecture rotates
 * neighbouring rows of a head by each position where Sterna and Hugging Face rotate row i with row i + half, so
 * that the rows of queries and keys are interleaved there; {@code bitnet}, which has the norms of SubLN, keeps them.
 */
final class GgufNames {
    static final String LLAMA = "llama";
    static final String BITNET = "bitnet";

    private static final String LAYERS = "model.layers.";
    private static final Map<String, String> OUTSIDE = Map.of(
            "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output");
    private static final Map<String, String> IN_LAYER = Map.ofEntries(
            Map.entry("input_layernorm", "attn_norm"), Map.entry("self_attn.q_proj", "attn_q"),
            Map.entry("self_attn.k_proj", "attn_k"), Map.entry("self_attn.v_proj", "attn_v"),
            Map.entry("self_attn.attn_sub_norm", "attn_sub_norm"), Map.entry("self_attn.o_proj", "attn_output"),
            Map.entry("post_attention_layernorm", "ffn_norm"), Map.entry("mlp.gate_proj", "ffn_gate"),
            Map.entry("mlp.up_proj", "ffn_up"), Map.entry("mlp.ffn_sub_norm", "ffn_sub_norm"),
            Map.entry("mlp.down_proj", "ffn_down"));

    private GgufNames() {}

    /** The architecture that has the structure. */
    static String architecture(LlamaConfig config) {
        return config.subLn() ? BITNET : LLAMA;
    }

    /** The name of a parameter: {@code model.layers.3.self_attn.q_proj.weight} is {@code blk.3.attn_q.weight}. */
    static String of(Parameter parameter) {
        String name = parameter.name().substring(0, parameter.name().lastIndexOf(".weight"));
        if (!name.startsWith(LAYERS)) {
            return OUTSIDE.get(name) + ".weight";
        }
        String inside = name.substring(LAYERS.length());
        int dot = inside.indexOf('.');
        return "blk." + inside.substring(0, dot) + "." + IN_LAYER.get(inside.substring(dot + 1)) + ".weight";
    }

    /** The row of the parameter that the file holds as row {@code row}. */
    static long parameterRow(Parameter parameter, LlamaConfig config, long row) {
        boolean rotated = switch (parameter.kind()) {
            case Q, K -> !config.subLn();
            default -> false;
        };
        if (!rotated) {
            return row;
        }
        long in = row % config.headDim();
        return row - in + in / 2 + in % 2 * (config.headDim() / 2);
    }
}
