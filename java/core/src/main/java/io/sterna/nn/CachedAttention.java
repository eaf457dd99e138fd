package io.sterna.nn;

import io.sterna.kernel.AttentionCall;
import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Attention of the new tokens of several sequences, each over all that it has seen. The new tokens lie in
 * the tape, those of a sequence together and the sequences in order; the old ones lie in the caches. A piece of
 * work is some key-value heads of a sequence: their rotary positions, their place in the cache, their attention.
 */
final class CachedAttention {
    private final Engine engine;
    private final LlamaConfig config;
    private final BlockTape tape;
    private final List<KvCache> caches;
    private final List<Lane> lanes;
    private final long[] first;
    private final List<Piece> pieces = new ArrayList<>();
    private int[] lengths = {};

    /** Heads head ... head + heads - 1 of a sequence's keys and values. */
    private record Piece(int sequence, int head, int heads) { }

    /** @param tape and caches are of the workspace; all caches have one type and capacity */
    CachedAttention(LlamaConfig config, Engine engine, BlockTape tape, List<KvCache> caches, CacheType type, Workspace workspace) {
        this.engine = engine;
        this.config = config;
        this.tape = tape;
        this.caches = caches;
        this.first = new long[caches.size()];
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        this.lanes = IntStream.range(0, engine.slices().workers()).mapToObj(i -> new Lane(section, type)).toList();
    }

    /** From now on sequence i has newLengths[i] new tokens, which may be none. */
    void place(int[] newLengths) {
        lengths = newLengths.clone();
        long tokens = Arrays.stream(lengths).asLongStream().sum();
        long share = engine.slices().sliceRows(tokens * config.kvHeads(), 1, 1); // tokens of heads in a piece
        pieces.clear();
        long row = 0;
        for (int i = 0; i < lengths.length; i++) {
            first[i] = row;
            row += lengths[i];
            if (lengths[i] > 0) {
                cut(i, Math.clamp(share / lengths[i], 1, config.kvHeads()));
            }
        }
    }

    /** Pieces of {@code heads} heads of a sequence; the last one may have fewer. */
    private void cut(int sequence, int heads) {
        for (int head = 0; head < config.kvHeads(); head += heads) {
            pieces.add(new Piece(sequence, head, Math.min(heads, config.kvHeads() - head)));
        }
    }

    /** Turns queries and keys to their positions, appends keys and values to a layer's caches, and attends. */
    void attend(int layer, FloatMatrix ropeTable) {
        engine.slices().run(pieces.size(), (i, worker) ->
                lanes.get(worker.index()).attend(pieces.get((int) i), layer, ropeTable, worker.scratch()));
    }

    /** What a thread works with: windows over the columns of a piece. */
    private final class Lane {
        private final Workspace.Section section;
        private final FloatMatrix q;
        private final FloatMatrix k;
        private final FloatMatrix v;
        private final FloatMatrix out;
        private final FloatMatrix lse;
        private final KvStore.Lane keys;
        private final KvStore.Lane values;
        private AttentionCall call;

        Lane(Workspace.Section section, CacheType type) {
            this.section = section;
            this.q = FloatMatrix.window(section);
            this.k = FloatMatrix.window(section);
            this.v = FloatMatrix.window(section);
            this.out = FloatMatrix.window(section);
            this.lse = FloatMatrix.allocate(section, FloatType.F32, config.heads(), tape.q().rows());
            this.keys = KvStore.Lane.of(section, type);
            this.values = KvStore.Lane.of(section, type);
        }

        /** Query heads that share a key-value head. */
        private int group() {
            return config.heads() / config.kvHeads();
        }

        /** The heads of keys and values, and the query heads that share them. */
        void attend(Piece piece, int layer, FloatMatrix ropeTable, MemorySegment scratch) {
            Kernels kernels = engine.kernels();
            int sequence = piece.sequence;
            int head = piece.head;
            int heads = piece.heads;
            KvCache cache = caches.get(sequence);
            long past = cache.length();
            int tokens = lengths[sequence];
            over(q, tape.q(), sequence, head * group(), heads * group());
            over(out, tape.out(), sequence, head * group(), heads * group());
            over(k, tape.k(), sequence, head, heads);
            over(v, tape.v(), sequence, head, heads);
            kernels.rope(q, config.headDim(), ropeTable, tokens, past, true, 0, tokens);
            kernels.rope(k, config.headDim(), ropeTable, tokens, past, true, 0, tokens);
            cache.keys(layer).show(cache.row(head, 0), heads * cache.headRows(), keys);
            cache.values(layer).show(cache.row(head, 0), heads * cache.headRows(), values);
            keys.append(kernels, k, past, true);
            values.append(kernels, v, past, false);
            lse.reshape((long) heads * group(), tokens);
            var shape = new AttentionCall.Shape(1, tokens, past, (long) heads * group(), heads, config.headDim(), cache.headRows());
            // The windows stay the same objects, so a lane's call is made once.
            call = call == null ? newCall(shape) : call.resize(shape);
            kernels.attentionForward(call, 0, heads, scratch);
        }

        private AttentionCall newCall(AttentionCall.Shape shape) {
            return keys.codes() == null ? new AttentionCall(section, shape, q, keys.floats(), values.floats(), out, lse)
                    : new AttentionCall(section, shape, q, keys.codes(), values.codes(), out, lse);
        }

        private void over(FloatMatrix window, FloatMatrix x, int sequence, int head, int heads) {
            long col = (long) head * config.headDim();
            window.over(x, first[sequence], first[sequence] + lengths[sequence], col, col + (long) heads * config.headDim());
        }
    }
}
