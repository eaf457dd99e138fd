package io.sterna.oracle;

import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.oracle.Tape.Node;
import java.util.HashMap;
import java.util.Map;

/** The loss of a LLaMA-structured model and its gradients, in float64, from weights by their Hugging Face names. */
final class LlamaOracle {
    private final LlamaConfig config;
    private final Method method;
    private final Map<String, Node> weights = new HashMap<>();
    private final Tape tape;
    private final double loss;

    LlamaOracle(LlamaConfig config, Method method, Map<String, Matrix> weights, int[] ids, int[] targets, int choices) {
        this.config = config;
        this.method = method;
        this.tape = new Tape(choices);
        weights.forEach((name, value) -> this.weights.put(name, new Node(value)));
        Node x = tape.gather(weight("model.embed_tokens"), ids);
        for (int i = 0; i < config.layers(); i++) {
            x = block(x, "model.layers." + i + ".");
        }
        Node logits = tape.linear(norm(x, "model.norm"), weight("lm_head"));
        loss = tape.crossEntropy(logits, targets);
        tape.backward();
    }

    /** The mean cross-entropy in nats. */
    double loss() {
        return loss;
    }

    /** Decisions of quantizers that float arithmetic may take either way; see {@link Tape}. */
    int doubts() {
        return tape.doubts();
    }

    /** The gradient of the loss with respect to a weight. */
    Matrix gradient(String name) {
        return weights.get(name).gradient();
    }

    private Node block(Node x, String prefix) {
        Node input = quantized(norm(x, prefix + "input_layernorm"));
        Node q = rotate(linear(input, prefix + "self_attn.q_proj"));
        Node k = rotate(linear(input, prefix + "self_attn.k_proj"));
        Node v = linear(input, prefix + "self_attn.v_proj");
        Node heads = tape.attention(q, k, v, config.heads(), config.headDim(), config.seqLen());
        Node result = quantized(subNorm(heads, prefix + "self_attn.attn_sub_norm"));
        Node middle = tape.sum(x, linear(result, prefix + "self_attn.o_proj"));

        Node wide = quantized(norm(middle, prefix + "post_attention_layernorm"));
        Node product = tape.swiglu(linear(wide, prefix + "mlp.gate_proj"), linear(wide, prefix + "mlp.up_proj"));
        Node down = quantized(subNorm(product, prefix + "mlp.ffn_sub_norm"));
        return tape.sum(middle, linear(down, prefix + "mlp.down_proj"));
    }

    private Node linear(Node x, String name) {
        return tape.linear(x, method.ternarised() ? tape.ternarize(weight(name)) : weight(name));
    }

    private Node quantized(Node x) {
        return method.quantized() ? tape.quantize(x) : x;
    }

    private Node subNorm(Node x, String name) {
        return config.subLn() ? norm(x, name) : x;
    }

    private Node norm(Node x, String name) {
        return tape.norm(x, weight(name), config.rmsEpsilon());
    }

    private Node rotate(Node x) {
        return tape.rotate(x, config.headDim(), config.seqLen(), config.ropeTheta());
    }

    private Node weight(String name) {
        return weights.get(name + ".weight");
    }
}
