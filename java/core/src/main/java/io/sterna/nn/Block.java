package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;

/**
 * A transformer block: y = m + down(swiglu(norm(m))), m = x + o(attention(norm(x))), where SubLN puts a
 * norm before o and before down. x, m, y (T, H).
 */
final class Block {
    private final Engine engine;
    private final LlamaConfig config;
    private final Layers layers;
    private final FloatMatrix ropeTable;

    /** The layers of a block; outputNorm and downNorm are null without SubLN. */
    record Layers(RmsNorm attentionNorm, Linear q, Linear k, Linear v, RmsNorm outputNorm, Linear output,
                  RmsNorm mlpNorm, Linear gate, Linear up, RmsNorm downNorm, Linear down) {
        Layers on(Engine e) {
            return new Layers(attentionNorm.on(e), q.on(e), k.on(e), v.on(e), outputNorm == null ? null : outputNorm.on(e),
                    output.on(e), mlpNorm.on(e), gate.on(e), up.on(e), downNorm == null ? null : downNorm.on(e), down.on(e));
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

    /** y from x; the tape keeps what the backward pass needs. */
    void forward(FloatMatrix x, FloatMatrix y, BlockTape tape, BlockScratch scratch, int length) {
        project(x, tape);
        rotate(tape.q, length, true);
        rotate(tape.k, length, true);
        engine.slices().run(tape.attention.units(), (unit, worker) ->
                engine.kernels().attentionForward(tape.attention, unit, unit + 1, worker.scratch()));
        mix(x, y, tape, scratch);
    }

    /** Turns x into y in place, where the tokens follow those of a cache; the tape is all blocks' own. */
    void decode(FloatMatrix x, BlockTape tape, BlockScratch scratch, CachedAttention attention, int layer) {
        project(x, tape);
        attention.attend(layer, ropeTable);
        mix(x, x, tape, scratch);
    }

    /** Queries, keys and values of x. */
    private void project(FloatMatrix x, BlockTape tape) {
        layers.attentionNorm.forward(x, tape.attentionInput, tape.attentionRms);
        layers.q.forward(tape.attentionInput, tape.q, false);
        layers.k.forward(tape.attentionInput, tape.k, false);
        layers.v.forward(tape.attentionInput, tape.v, false);
    }

    /** y from x and the attention's result; y may be x. */
    private void mix(FloatMatrix x, FloatMatrix y, BlockTape tape, BlockScratch scratch) {
        prepare(layers.outputNorm, tape.out, tape.outputInput, tape.outputRms);
        addProduct(x, layers.output, tape.outputInput, tape.middle);

        layers.mlpNorm.forward(tape.middle, tape.mlpInput, tape.mlpRms);
        layers.gate.forward(tape.mlpInput, tape.gate, false);
        layers.up.forward(tape.mlpInput, tape.up, false);
        activate(tape, scratch);
        prepare(layers.downNorm, scratch.product, tape.downInput, tape.downRms);
        addProduct(tape.middle, layers.down, tape.downInput, y);
    }

    /** Turns dx, the gradient of y (T, H), into the gradient of x in place. Uses up the tape. */
    void backward(FloatMatrix x, FloatMatrix dx, BlockTape tape, BlockScratch scratch, int length, GradientSink sink) {
        activate(tape, scratch);
        layers.down.backward(dx, tape.downInput, scratch.wide, false, sink);
        if (layers.downNorm != null) {
            layers.downNorm.backward(scratch.product, tape.downRms, scratch.wide, scratch.wide, false, sink);
        }
        Kernels kernels = engine.kernels();
        engine.tokens(dx.rows(), (r0, r1, worker) ->
                kernels.swigluBackward(tape.gate, tape.up, scratch.wide, tape.gate, tape.up, r0, r1));
        layers.gate.backward(tape.gate, tape.mlpInput, scratch.narrow, false, sink);
        layers.up.backward(tape.up, tape.mlpInput, scratch.narrow, true, sink);
        layers.mlpNorm.backward(tape.middle, tape.mlpRms, scratch.narrow, dx, true, sink);

        layers.output.backward(dx, tape.outputInput, scratch.narrow, false, sink);
        if (layers.outputNorm != null) {
            layers.outputNorm.backward(tape.out, tape.outputRms, scratch.narrow, scratch.narrow, false, sink);
        }
        engine.slices().run(tape.attention.units(), (unit, worker) ->
                kernels.attentionBackward(tape.attention, unit, unit + 1, worker.scratch()));
        rotate(scratch.dq, length, false);
        rotate(scratch.dk, length, false);
        layers.q.backward(scratch.dq, tape.attentionInput, scratch.narrow, false, sink);
        layers.k.backward(scratch.dk, tape.attentionInput, scratch.narrow, true, sink);
        layers.v.backward(scratch.dv, tape.attentionInput, scratch.narrow, true, sink);
        layers.attentionNorm.backward(x, tape.attentionRms, scratch.narrow, dx, true, sink);
    }

    private void rotate(FloatMatrix x, int length, boolean forward) {
        engine.tokens(x.rows(), (r0, r1, worker) ->
                engine.kernels().rope(x, config.headDim(), ropeTable, length, 0, forward, r0, r1));
    }

    private void activate(BlockTape tape, BlockScratch scratch) {
        engine.tokens(tape.gate.rows(), (r0, r1, worker) ->
                engine.kernels().swiglu(tape.gate, tape.up, scratch.product, r0, r1));
    }

    /** The input of a linear layer from x: normed with SubLN, quantized where the layer wants int8, else x itself. */
    private void prepare(RmsNorm norm, FloatMatrix x, Input input, FloatMatrix invRms) {
        if (norm != null) {
            norm.forward(x, input, invRms);
        } else if (input instanceof Input.Int8(var q)) {
            engine.tokens(x.rows(), (r0, r1, worker) -> engine.kernels().quantize(x, q, r0, r1));
        }
    }

    /** y = x + layer(input), each (T, H). */
    private void addProduct(FloatMatrix x, Linear layer, Input input, FloatMatrix y) {
        engine.tokens(x.rows(), (r0, r1, worker) -> engine.kernels().copy(x, y, r0, r1));
        layer.forward(input, y, true);
    }
}
