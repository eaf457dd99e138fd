package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A LLaMA-structured model: its parameters and its layers. Weights live in the workspace and are zero
 * until {@link #initialize}, or until a checkpoint is written into them.
 */
public final class Llama {
    private final Engine engine;
    private final LlamaConfig config;
    private final Method method;
    private final Workspace workspace;
    private final List<Parameter> parameters;
    private final List<Block> blocks;
    private final Ternary ternary;
    private final FloatMatrix ropeTable;
    final Parameter.Plain embedding;
    final RmsNorm finalNorm;
    final Head head;

    /** A model in a workspace. */
    public Llama(LlamaConfig config, Method method, Engine engine, Workspace workspace) {
        this.engine = engine;
        this.config = config;
        this.method = method;
        this.workspace = workspace;
        this.parameters = new ArrayList<>();
        this.blocks = new ArrayList<>();
        Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
        this.ropeTable = FloatMatrix.allocate(scratch, FloatType.F32, config.seqLen(), config.headDim());
        if (!workspace.isPlanning()) {
            fillRopeTable();
        }
        this.ternary = method.ternarised()
                ? new Ternary(engine, workspace, config.widest()) : null;
        this.embedding = plain("model.embed_tokens", LayerKind.EMBEDDING, config.vocab(), config.hidden());
        for (int i = 0; i < config.layers(); i++) {
            blocks.add(new Block(engine, config, layers("model.layers." + i + "."), ropeTable));
        }
        this.finalNorm = norm("model.norm", config.hidden());
        boolean allowBf16 = method.kind() != Method.Kind.FP32;
        Parameter.Plain output = config.tied() ? embedding : plain("lm_head", LayerKind.HEAD, config.vocab(), config.hidden());
        this.head = new Head(engine, output, features(output), allowBf16);
    }

    private Llama(Llama model, Engine engine) {
        this.engine = engine;
        this.config = model.config;
        this.method = model.method;
        this.workspace = model.workspace;
        this.parameters = model.parameters;
        this.ropeTable = model.ropeTable;
        this.ternary = null;
        this.embedding = model.embedding;
        this.blocks = model.blocks.stream().map(block -> block.on(engine)).toList();
        this.finalNorm = model.finalNorm.on(engine);
        this.head = model.head.on(engine);
    }

    /**
     * The same model, weights shared, computing with another engine: forward passes of several may run at the
     * same time. The model must live as long.
     *
     * @throws IllegalStateException for a method that ternarises its weights for each use: see
     *     {@link Method#deployed}
     */
    public Llama on(Engine other) {
        return new Llama(this, other);
    }

    private Block.Layers layers(String prefix) {
        int hidden = config.hidden();
        int attended = config.attentionWidth();
        int wide = config.intermediate();
        String attention = prefix + "self_attn.";
        String mlp = prefix + "mlp.";
        return new Block.Layers(
                norm(prefix + "input_layernorm", hidden),
                linear(attention + "q_proj", LayerKind.Q, attended, hidden),
                linear(attention + "k_proj", LayerKind.K, config.kvWidth(), hidden),
                linear(attention + "v_proj", LayerKind.V, config.kvWidth(), hidden),
                config.subLn() ? norm(attention + "attn_sub_norm", attended) : null,
                linear(attention + "o_proj", LayerKind.O, hidden, attended),
                norm(prefix + "post_attention_layernorm", hidden),
                linear(mlp + "gate_proj", LayerKind.GATE, wide, hidden),
                linear(mlp + "up_proj", LayerKind.UP, wide, hidden),
                config.subLn() ? norm(mlp + "ffn_sub_norm", wide) : null,
                linear(mlp + "down_proj", LayerKind.DOWN, hidden, wide));
    }

    private RmsNorm norm(String name, int width) {
        Parameter.Plain gain = plain(name, LayerKind.NORM, 1, width);
        return new RmsNorm(engine, gain, (float) config.rmsEpsilon());
    }

    private Linear linear(String name, LayerKind kind, int rows, int cols) {
        Parameter parameter = parameter(name, kind, rows, cols);
        if (method.ternarised()) {
            return ternarised(parameter);
        }
        return switch (parameter) {
            case Parameter.Packed packed -> new Linear.Packed(engine, packed);
            case Parameter.Plain plain -> new Linear.Floats(engine, plain, features(plain), method.kind() == Method.Kind.BF16);
        };
    }

    private Features features(Parameter.Plain parameter) {
        return new Features(workspace.section(MemoryKind.FLOAT_WEIGHTS), parameter.weight());
    }

    private Linear ternarised(Parameter parameter) {
        ternary.reserve(parameter.kind(), parameter.rows(), parameter.cols());
        return new Linear.Ternarised(engine, parameter, ternary);
    }

    private Parameter.Plain plain(String name, LayerKind kind, int rows, int cols) {
        return (Parameter.Plain) parameter(name, kind, rows, cols);
    }

    private Parameter parameter(String name, LayerKind kind, int rows, int cols) {
        Parameter parameter = method.parameter(parameters.size(), name + ".weight", kind, rows, cols, workspace);
        parameters.add(parameter);
        return parameter;
    }

    /** Draws the initial weights from a seed. */
    public void initialize(long seed) {
        var initializer = new Initializer(engine, method.scaleRule(), seed);
        parameters.forEach(initializer::fill);
    }

    /** Row p: the cosines of p times the frequencies of pairs 0 ... d/2 - 1, then the sines. */
    private void fillRopeTable() {
        int half = config.headDim() / 2;
        double[] frequencies = IntStream.range(0, half).mapToDouble(config::ropeFrequency).toArray();
        for (int p = 0; p < config.seqLen(); p++) {
            for (int i = 0; i < half; i++) {
                double angle = p * frequencies[i];
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
