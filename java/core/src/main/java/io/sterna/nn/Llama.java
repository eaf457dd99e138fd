package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A LLaMA-structured model: its parameters and its layers. Weights live in the workspace and are zero
 * until {@link #initialize}, or until a checkpoint is written into them.
 */
public final class Llama {
    private final Engine engine;
    private final LlamaConfig config;
    private final Method method;
    private final Workspace.Section weights;
    private final Workspace.Section packedWeights;
    private final List<Parameter> parameters = new ArrayList<>();
    private final List<Block> blocks = new ArrayList<>();
    private final Ternary ternary;
    private final FloatMatrix ropeTable;
    private final FloatMatrix narrowGain;
    private final FloatMatrix wideGain;
    final Parameter.Plain embedding;
    final RmsNorm finalNorm;
    final Head head;

    /** A model in a workspace. */
    public Llama(LlamaConfig config, Method method, Engine engine, Workspace workspace) {
        this.engine = engine;
        this.config = config;
        this.method = method;
        this.weights = workspace.section(MemoryKind.FLOAT_WEIGHTS);
        this.packedWeights = workspace.section(MemoryKind.PACKED_WEIGHTS);
        Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
        this.ropeTable = FloatMatrix.allocate(scratch, FloatType.F32, config.seqLen(), config.headDim());
        if (!workspace.isPlanning()) {
            fillRopeTable();
        }
        this.narrowGain = FloatMatrix.allocate(scratch, FloatType.F32, 1, config.hidden());
        this.wideGain = FloatMatrix.allocate(scratch, FloatType.F32, 1, config.intermediate());
        this.ternary = method.ternarised()
                ? new Ternary(engine, workspace, Math.max(config.hidden(), config.intermediate())) : null;
        this.embedding = plain("model.embed_tokens", LayerKind.EMBEDDING, config.vocab(), config.hidden(), method.floatType());
        for (int i = 0; i < config.layers(); i++) {
            blocks.add(new Block(engine, config, layers("model.layers." + i + "."), ropeTable));
        }
        this.finalNorm = norm("model.norm", config.hidden());
        boolean allowBf16 = method.kind() != Method.Kind.FP32;
        this.head = new Head(engine, config.tied() ? embedding
                : plain("lm_head", LayerKind.HEAD, config.vocab(), config.hidden(), method.floatType()), allowBf16);
    }

    private Block.Layers layers(String prefix) {
        int hidden = config.hidden();
        int wide = config.intermediate();
        String attention = prefix + "self_attn.";
        String mlp = prefix + "mlp.";
        return new Block.Layers(
                norm(prefix + "input_layernorm", hidden),
                linear(attention + "q_proj", LayerKind.Q, hidden, hidden),
                linear(attention + "k_proj", LayerKind.K, config.kvWidth(), hidden),
                linear(attention + "v_proj", LayerKind.V, config.kvWidth(), hidden),
                config.subLn() ? norm(attention + "attn_sub_norm", hidden) : null,
                linear(attention + "o_proj", LayerKind.O, hidden, hidden),
                norm(prefix + "post_attention_layernorm", hidden),
                linear(mlp + "gate_proj", LayerKind.GATE, wide, hidden),
                linear(mlp + "up_proj", LayerKind.UP, wide, hidden),
                config.subLn() ? norm(mlp + "ffn_sub_norm", wide) : null,
                linear(mlp + "down_proj", LayerKind.DOWN, hidden, wide));
    }

    private RmsNorm norm(String name, int width) {
        Parameter.Plain gain = plain(name, LayerKind.NORM, 1, width, method.floatType());
        return new RmsNorm(engine, gain, (float) config.rmsEpsilon(), width == config.hidden() ? narrowGain : wideGain);
    }

    private Linear linear(String name, LayerKind kind, int rows, int cols) {
        return switch (method.kind()) {
            case FP32 -> new Linear.Floats(engine, plain(name, kind, rows, cols, FloatType.F32), false);
            case BF16 -> new Linear.Floats(engine, plain(name, kind, rows, cols, FloatType.BF16), true);
            case BITNET -> ternarised(plain(name, kind, rows, cols, FloatType.F32));
            case DQT -> {
                Parameter.Packed packed = packed(name, kind, rows, cols);
                yield method.ternaryForward() ? ternarised(packed) : new Linear.Packed(engine, packed);
            }
        };
    }

    private Linear ternarised(Parameter parameter) {
        ternary.reserve(parameter.rows(), parameter.cols());
        return new Linear.Ternarised(engine, parameter, ternary);
    }

    private Parameter.Plain plain(String name, LayerKind kind, int rows, int cols, FloatType type) {
        var parameter = new Parameter.Plain(parameters.size(), name + ".weight", kind,
                FloatMatrix.allocate(weights, type, rows, cols));
        parameters.add(parameter);
        return parameter;
    }

    private Parameter.Packed packed(String name, LayerKind kind, int rows, int cols) {
        var parameter = new Parameter.Packed(parameters.size(), name + ".weight", kind,
                PackedMatrix.allocate(packedWeights, method.grid(), method.scaling(), rows, cols));
        parameters.add(parameter);
        return parameter;
    }

    /** Draws the initial weights from a seed. */
    public void initialize(long seed) {
        var initializer = new Initializer(engine, method.scaleRule(), seed);
        parameters.forEach(initializer::fill);
    }

    /** Row p: cos(p / theta^(2i/d)), i = 0 ... d/2 - 1, then the sines. */
    private void fillRopeTable() {
        int half = config.headDim() / 2;
        for (int p = 0; p < config.seqLen(); p++) {
            for (int i = 0; i < half; i++) {
                double angle = p * StrictMath.pow(config.ropeTheta(), -(double) i / half);
                ropeTable.set(p, i, (float) StrictMath.cos(angle));
                ropeTable.set(p, half + i, (float) StrictMath.sin(angle));
            }
        }
    }

    /** Shape. */
    public LlamaConfig config() {
        return config;
    }

    /** How weights are represented. */
    public Method method() {
        return method;
    }

    /** All trained tensors, in the order of their ids. */
    public List<Parameter> parameters() {
        return Collections.unmodifiableList(parameters);
    }

    List<Block> blocks() {
        return blocks;
    }
}
