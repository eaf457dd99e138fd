package io.sterna.nn;

import io.sterna.kernel.AttentionCall;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Worker;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * Attention of the sequences that are being worked on: memory of its operands for one span of tokens at a time, of one
 * block after the other. n tokens of the span, T of the pass.
 */
final class SpanAttention {
    private final LlamaConfig config;
    private final int length;
    private final Workspace.Section section;
    private final BlockTape tape;
    private final Kept own;
    private final FloatMatrix lse;
    private final FloatMatrix lseRows;
    private final FloatMatrix dq;
    private final FloatMatrix dk;
    private final FloatMatrix dv;
    private AttentionCall call;

    /**
     * What a block keeps of its attention between the passes.
     *
     * @param out its result (T, A)
     * @param lse logs of its softmax's denominators F32 (T, heads): a span's rows hold them as (heads, n)
     */
    record Kept(FloatMatrix out, FloatMatrix lse) {
        static Kept allocate(LlamaConfig config, FloatType type, long tokens, Workspace.Section section) {
            return new Kept(FloatMatrix.allocate(section, type, tokens, config.attentionWidth()),
                    FloatMatrix.allocate(section, FloatType.F32, tokens, config.heads()));
        }
    }

    /**
     * For spans of at most so many tokens.
     *
     * @param kept whether blocks keep the result between the passes; else it is made again
     */
    SpanAttention(LlamaConfig config, Batch batch, long tokens, boolean kept, Workspace.Section section) {
        this.config = config;
        this.length = batch.length();
        this.section = section;
        this.own = kept ? null : Kept.allocate(config, batch.activations(), tokens, section);
        this.tape = BlockTape.allocate(config, batch.activations(), tokens, FloatMatrix.window(section), section);
        this.lse = FloatMatrix.window(section);
        this.lseRows = FloatMatrix.window(section);
        this.dq = FloatMatrix.window(section);
        this.dk = FloatMatrix.window(section);
        this.dv = FloatMatrix.window(section);
    }

    /**
     * From now on it is about tokens row0 ... row1 - 1 of a block.
     *
     * @param kept null where the block keeps nothing
     * @param d    receives the gradients of queries, keys and values
     */
    void begin(Kept kept, BlockGradients d, long row0, long row1) {
        long n = row1 - row0;
        for (FloatMatrix x : List.of(tape.q(), tape.k(), tape.v(), tape.dout())) {
            x.reshape(n, x.cols());
        }
        Kept results = kept != null ? kept : own;
        long first = kept != null ? row0 : 0;
        tape.out().overRows(results.out, first, first + n);
        lseRows.overRows(results.lse, first, first + n);
        lse.shaped(lseRows, config.heads(), n);
        dq.overRows(d.dq(), row0, row1);
        dk.overRows(d.dk(), row0, row1);
        dv.overRows(d.dv(), row0, row1);
        var shape = new AttentionCall.Shape(n / length, length, config.heads(), config.kvHeads(), config.headDim());
        // The matrices stay the same objects, so the call is made once.
        call = call == null ? new AttentionCall(section, shape, tape.q(), tape.k(), tape.v(), tape.out(), lse, tape.dout(), dq, dk, dv)
                : call.resize(shape);
    }

    /** Operands of the span's tokens (n). */
    BlockTape tape() {
        return tape;
    }

    void forward(Kernels kernels, long unit0, long unit1, Worker worker) {
        kernels.attentionForward(call, unit0, unit1, worker.scratch());
    }

    void backward(Kernels kernels, long unit0, long unit1, Worker worker) {
        kernels.attentionBackward(call, unit0, unit1, worker.scratch());
    }
}
