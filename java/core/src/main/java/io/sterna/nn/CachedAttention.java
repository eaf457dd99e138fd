package io.sterna.nn;

import io.sterna.kernel.AttentionCall;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * Attention of the new tokens of several sequences, each over all that it has seen. The new tokens lie in
 * the tape, those of a sequence together and the sequences in order; the old ones lie in the caches.
 */
final class CachedAttention {
    private final Engine engine;
    private final LlamaConfig config;
    private final BlockTape tape;
    private final FloatMatrix lse;
    private final List<Sequence> sequences;

    /** @param tape and caches are of the workspace */
    CachedAttention(LlamaConfig config, Engine engine, BlockTape tape, List<KvCache> caches, Workspace workspace) {
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        this.engine = engine;
        this.config = config;
        this.tape = tape;
        this.lse = FloatMatrix.allocate(section, FloatType.F32, config.heads(), tape.q.rows());
        this.sequences = caches.stream().map(cache -> new Sequence(cache, section)).toList();
    }

    /** From now on sequence i has lengths[i] new tokens, which may be none. */
    void place(int[] lengths) {
        long row = 0;
        for (int i = 0; i < lengths.length; i++) {
            sequences.get(i).place(row, lengths[i]);
            row += lengths[i];
        }
    }

    /** Turns queries and keys to their positions, appends keys and values to a layer's caches, and attends. */
    void attend(int layer, FloatMatrix ropeTable) {
        for (Sequence sequence : sequences) {
            if (sequence.tokens > 0) {
                sequence.attend(layer, ropeTable);
            }
        }
    }

    /** A sequence's new tokens and its cache. */
    private final class Sequence {
        private final Workspace.Section section;
        private final KvCache cache;
        private final FloatMatrix q;
        private final FloatMatrix k;
        private final FloatMatrix v;
        private final FloatMatrix out;
        private final FloatMatrix keys;
        private final FloatMatrix values;
        private AttentionCall call;
        private int tokens;

        Sequence(KvCache cache, Workspace.Section section) {
            this.section = section;
            this.cache = cache;
            this.q = FloatMatrix.window(section);
            this.k = FloatMatrix.window(section);
            this.v = FloatMatrix.window(section);
            this.out = FloatMatrix.window(section);
            this.keys = FloatMatrix.window(section);
            this.values = FloatMatrix.window(section);
        }

        void place(long row, int count) {
            tokens = count;
            if (count > 0) {
                q.overRows(tape.q, row, row + count);
                k.overRows(tape.k, row, row + count);
                v.overRows(tape.v, row, row + count);
                out.overRows(tape.out, row, row + count);
            }
        }

        void attend(int layer, FloatMatrix ropeTable) {
            long past = cache.length();
            rotate(q, ropeTable, past);
            rotate(k, ropeTable, past);
            append(k, cache.keys(layer), past, keys);
            append(v, cache.values(layer), past, values);
            lse.reshape(config.heads(), tokens);
            var shape = new AttentionCall.Shape(1, tokens, past, config.heads(), config.kvHeads(), config.headDim());
            call = call == null ? new AttentionCall(section, shape, q, keys, values, out, lse) : call.resize(shape);
            engine.slices().run(call.units(), (unit, worker) ->
                    engine.kernels().attentionForward(call, unit, unit + 1, worker.scratch()));
        }

        private void rotate(FloatMatrix x, FloatMatrix ropeTable, long first) {
            engine.tokens(tokens, (r0, r1, worker) ->
                    engine.kernels().rope(x, config.headDim(), ropeTable, tokens, first, true, r0, r1));
        }

        /** Writes x behind the {@code past} tokens of the store, and lays the window over all of them. */
        private void append(FloatMatrix x, FloatMatrix store, long past, FloatMatrix window) {
            window.overRows(store, past, past + tokens);
            engine.tokens(tokens, (r0, r1, worker) -> engine.kernels().copy(x, window, r0, r1));
            window.overRows(store, 0, past + tokens);
        }
    }
}
