package io.sterna.nn;

import io.sterna.kernel.Team;
import io.sterna.kernel.Worker;
import io.sterna.nn.GradientSink.Part;
import io.sterna.tensor.FloatMatrix;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A transformer block: y = m + down(swiglu(norm(m))), m = x + o(attention(norm(x))), where SubLN puts a
 * norm before o and before down. x, m, y (T, H), attention (T, A). A pass is what comes before attention, attention, and
 * what comes after it; all but attention works on any tokens, wherever they lie in their sequences.
 */
final class Block {
    private final Engine engine;
    private final LlamaConfig config;
    private final Layers layers;
    private final FloatMatrix ropeTable;

    /** The keys of the random bits of a pass. */
    interface Keys {
        long of(Parameter parameter);
    }

    /** The layers of a block; outputNorm and downNorm are null without SubLN. */
    record Layers(RmsNorm attentionNorm, Linear q, Linear k, Linear v, RmsNorm outputNorm, Linear output,
                  RmsNorm mlpNorm, Linear gate, Linear up, RmsNorm downNorm, Linear down) {
        Layers on(Engine e) {
            return new Layers(attentionNorm.on(e), q.on(e), k.on(e), v.on(e), outputNorm == null ? null : outputNorm.on(e),
                    output.on(e), mlpNorm.on(e), gate.on(e), up.on(e), downNorm == null ? null : downNorm.on(e), down.on(e));
        }

        Stream<Linear> linear() {
            return Stream.of(q, k, v, output, gate, up, down);
        }
    }

    Block(Engine engine, LlamaConfig config, Layers layers, FloatMatrix ropeTable) {
        this.engine = engine;
        this.config = config;
        this.layers = layers;
        this.ropeTable = ropeTable;
    }

    /** The same block, computing with another engine. */
    Block on(Engine other) {
        return new Block(other, config, layers.on(other), ropeTable);
    }

    /** Turns x into y in place, where the tokens follow those of a cache; the tape is all blocks' own. */
    void decode(FloatMatrix x, BlockInputs inputs, BlockTape tape, BlockScratch scratch, CachedAttention attention, int layer) {
        project(x, inputs, tape, engine.slices());
        attention.attend(layer, ropeTable);
        mix(x, x, inputs, tape, scratch, engine.slices());
    }

    /** Makes ready for passes with the weights as they are now. */
    void prepare() {
        layers.linear().forEach(Linear::prepare);
    }

    // ------------------------------------------------------------ before attention

    /** Queries, keys and values of x, not yet turned to their positions. */
    void project(FloatMatrix x, BlockInputs inputs, BlockTape tape, Team team) {
        layers.attentionNorm.forward(x, inputs.attention(), inputs.attentionRms(), team);
        Input normed = inputs.attention();
        team.run(layers.q.forwardWork(normed, null, tape.q(), team), layers.k.forwardWork(normed, null, tape.k(), team),
                layers.v.forwardWork(normed, null, tape.v(), team));
    }

    /** Adds to dx, so far the gradient of m, what queries, keys and values give to the gradient of x; inputs as of {@link #project}. */
    void projectBackward(FloatMatrix x, FloatMatrix dx, BlockInputs inputs, BlockScratch scratch, BlockGradients d, Keys keys, Worker worker) {
        FloatMatrix dnormed = scratch.narrow(config.hidden());
        inputGradient(layers.q, d.dq(), d.results().q(), dnormed, false, scratch, keys, worker);
        inputGradient(layers.k, d.dk(), d.results().k(), dnormed, true, scratch, keys, worker);
        inputGradient(layers.v, d.dv(), d.results().v(), dnormed, true, scratch, keys, worker);
        layers.attentionNorm.backward(x, inputs.attentionRms(), dnormed, dx, true, d.gains().attention());
    }

    /** Turns tokens row0 ... row1 - 1 of all queries or keys to their positions in sequences, or back. */
    void rotate(FloatMatrix x, int length, boolean forward, long row0, long row1) {
        engine.kernels().rope(x, config.headDim(), ropeTable, length, 0, forward, row0, row1);
    }

    // ------------------------------------------------------------ after attention

    /** y from x and the attention's result; y may be x. */
    void mix(FloatMatrix x, FloatMatrix y, BlockInputs inputs, BlockTape tape, BlockScratch scratch, Team team) {
        activate(x, inputs, tape, scratch, team);
        team.run(layers.down.forwardWork(inputs.down(), scratch.middle, y, team));
    }

    /** Everything between the attention's result and the down projection. */
    private void activate(FloatMatrix x, BlockInputs inputs, BlockTape tape, BlockScratch scratch, Team team) {
        prepare(layers.outputNorm, tape.out(), inputs.output(), scratch.outputRms, team);
        team.run(layers.output.forwardWork(inputs.output(), x, scratch.middle, team));
        layers.mlpNorm.forward(scratch.middle, inputs.mlp(), scratch.mlpRms, team);
        team.run(layers.gate.forwardWork(inputs.mlp(), null, scratch.gate, team), layers.up.forwardWork(inputs.mlp(), null, scratch.up, team));
        Engine.tokens(x.rows(), team, (r0, r1, worker) ->
                engine.kernels().swiglu(scratch.gate, scratch.up, scratch.product, r0, r1));
        prepare(layers.downNorm, scratch.product, inputs.down(), scratch.downRms, team);
    }

    /** Turns dx, the gradient of y, into that of m, and gives the tape the gradient of the attention's result. */
    void mixBackward(FloatMatrix x, FloatMatrix dx, BlockInputs inputs, BlockTape tape, BlockScratch scratch, BlockGradients d,
            Keys keys, Worker worker) {
        activate(x, inputs, tape, scratch, worker);
        inputGradient(layers.down, dx, d.results().down(), scratch.wide, false, scratch, keys, worker);
        if (layers.downNorm != null) {
            layers.downNorm.backward(scratch.product, scratch.downRms, scratch.wide, scratch.wide, false, d.gains().down());
        }
        FloatMatrix dgate = d.results().gate().floatsOr(scratch.gate);
        FloatMatrix dup = d.results().up().floatsOr(scratch.up);
        engine.kernels().swigluBackward(scratch.gate, scratch.up, scratch.wide, dgate, dup, 0, x.rows());
        FloatMatrix dnormed = scratch.narrow(config.hidden());
        inputGradient(layers.gate, dgate, d.results().gate(), dnormed, false, scratch, keys, worker);
        inputGradient(layers.up, dup, d.results().up(), dnormed, true, scratch, keys, worker);
        layers.mlpNorm.backward(scratch.middle, scratch.mlpRms, dnormed, dx, true, d.gains().mlp());

        FloatMatrix dattended = scratch.narrow(config.attentionWidth());
        inputGradient(layers.output, dx, d.results().output(), dattended, false, scratch, keys, worker);
        if (layers.outputNorm != null) {
            layers.outputNorm.backward(tape.out(), scratch.outputRms, dattended, tape.dout(), false, d.gains().output());
        } else {
            engine.copy(dattended, tape.dout(), worker);
        }
    }

    private static void inputGradient(Linear layer, FloatMatrix dy, OutputGradient kept, FloatMatrix dx, boolean accumulate,
                                      BlockScratch scratch, Keys keys, Worker worker) {
        layer.inputGradient(dy, kept, scratch.codes(dy.cols()), keys.of(layer.parameter), dx, accumulate, worker);
    }

    /** The gradients of all parameters, from inputs and gradients of all tokens; the largest first. */
    List<Part> gradients(BlockInputs inputs, BlockGradients d) {
        List<Part> parts = new ArrayList<>(List.of(
                layers.gate.weightGradient(d.results().gate(), inputs.mlp()),
                layers.up.weightGradient(d.results().up(), inputs.mlp()),
                layers.down.weightGradient(d.results().down(), inputs.down()),
                layers.output.weightGradient(d.results().output(), inputs.output()),
                layers.q.weightGradient(d.results().q(), inputs.attention()),
                layers.k.weightGradient(d.results().k(), inputs.attention()),
                layers.v.weightGradient(d.results().v(), inputs.attention()), layers.mlpNorm.gradient(d.gains().mlp()),
                layers.attentionNorm.gradient(d.gains().attention())));
        if (layers.downNorm != null) {
            parts.add(layers.downNorm.gradient(d.gains().down()));
            parts.add(layers.outputNorm.gradient(d.gains().output()));
        }
        return parts;
    }

    /** The input of a linear layer from x: normed with SubLN, quantized where the layer wants int8, else x itself. */
    private void prepare(RmsNorm norm, FloatMatrix x, Input input, FloatMatrix invRms, Team team) {
        if (norm != null) {
            norm.forward(x, input, invRms, team);
        } else {
            switch (input) {
                case Input.Int8(var q) -> Engine.tokens(x.rows(), team, (r0, r1, worker) -> engine.kernels().quantize(x, q, r0, r1));
                case Input.Floats(var f) -> engine.copy(x, f, team);
            }
        }
    }
}
