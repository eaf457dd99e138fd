package io.sterna.nn;

import io.sterna.kernel.Slices;
import io.sterna.kernel.Worker;
import io.sterna.tensor.QuantizedGradient;
import java.util.List;
import java.util.stream.LongStream;

/**
 * How the T tokens of a pass are shared out among workers. Tokens come in chunks, small enough that what a
 * block makes of one stays in a worker's cache. A worker does a whole chain of operations on a chunk before it
 * takes the next one, so that threads wait for each other a few times a block and not at each operation.
 *
 * <p>Attention mixes the tokens of a sequence. Where there are enough sequences to keep all workers busy, a
 * worker takes all chunks of some sequences and nobody waits for it; otherwise all chunks are done before
 * attention begins, and attention before what comes after it.
 *
 * <p>Chunks depend on T alone and never on the threads: they are also what the gradients of norms are summed by.
 */
final class Ranges {
    /** Tokens of a chunk where there are many, and of each with int8 gradients, whose scales are those of a chunk. */
    static final long CHUNK = QuantizedGradient.GROUP;
    /**
     * Shorter ones where these fit in a worker's L2 cache and those do not: with little work between, memory decides. Not
     * with float weights, which each chunk packs anew.
     */
    private static final long SHORT_CHUNK = CHUNK / 2;
    private static final long CACHE = 5 << 18;
    /** With fewer tokens there are still so many chunks, of at least {@link #MIN_CHUNK}. */
    private static final long MIN_CHUNKS = 8;
    private static final long MIN_CHUNK = 32;
    /** A worker takes whole sequences of at most so many chunks. */
    private static final long MAX_SEQUENCE_CHUNKS = 8;
    /** Share of its time that a worker may be idle for the sake of whole sequences. */
    private static final double IDLE = 0.1;

    private final Slices slices;
    private final long count;
    private final List<Chunk> chunks;
    private final long chunk;
    private final long units;
    private final long sequences;
    private final long chunksOfRange;

    /** Tokens row0 ... row1 - 1. */
    record Chunk(int index, long row0, long row1) {
        long rows() {
            return row1 - row0;
        }
    }

    /** What is done with a chunk of tokens. */
    interface ChunkBody {
        void run(Chunk chunk, Worker worker);
    }

    /** What is done with units of attention. */
    interface UnitBody {
        void run(long unit0, long unit1, Worker worker);
    }

    /**
     * The ranges of a pass.
     *
     * @param units     of attention that a sequence has
     * @param width     of a block's widest tensors
     * @param quantized whether the weights are
     */
    Ranges(Slices slices, int workers, Batch batch, long units, long width, boolean quantized) {
        long tokens = batch.tokens();
        long length = batch.length();
        long share = Math.ceilDiv(Math.ceilDiv(tokens, MIN_CHUNKS), MIN_CHUNK) * MIN_CHUNK;
        this.slices = slices;
        this.sequences = batch.sequences();
        this.units = units;
        this.chunk = Math.min(tokens, batch.gradients() == GradientType.INT8 ? CHUNK : Math.min(quantized ? chunkOf(width) : CHUNK, share));
        this.count = Math.ceilDiv(tokens, chunk);
        long together = chunk % length == 0 ? 1 : length % chunk == 0 ? length / chunk : Long.MAX_VALUE;
        this.chunksOfRange = together <= MAX_SEQUENCE_CHUNKS && even(Math.ceilDiv(count, together), workers) ? together : 0;
        this.chunks = slices == null ? List.of() : LongStream.range(0, count)
                .mapToObj(i -> new Chunk((int) i, i * chunk, Math.min(tokens, (i + 1) * chunk))).toList();
    }

    /** Gate, up and their product are what a chunk is about; where even few tokens' do not fit, fewer packings of weights do more. */
    private static long chunkOf(long width) {
        long fitting = CACHE / (3 * width * Float.BYTES);
        return fitting < CHUNK && fitting >= SHORT_CHUNK ? SHORT_CHUNK : CHUNK;
    }

    /** Whether so many ranges keep the workers busy. */
    private static boolean even(long ranges, int workers) {
        long rounds = Math.ceilDiv(ranges, workers);
        return rounds * workers <= ranges * (1 + IDLE);
    }

    /** Tokens of a chunk; the last one may be shorter. */
    long chunk() {
        return chunk;
    }

    /** How many chunks there are. */
    long count() {
        return count;
    }

    /** The chunks; none for a plan, whose tokens may be beyond number. */
    List<Chunk> chunks() {
        return chunks;
    }

    /** Does something with each chunk. */
    void run(ChunkBody body) {
        slices.run(chunks.size(), (i, worker) -> body.run(chunks.get((int) i), worker));
    }

    /** Does something with each chunk, then attention, then something else with each chunk. */
    void run(ChunkBody before, UnitBody attention, ChunkBody after) {
        if (chunksOfRange == 0) {
            run(before);
            slices.run(sequences * units, (i, worker) -> attention.run(i, i + 1, worker));
            run(after);
        } else {
            slices.run(Math.ceilDiv(chunks.size(), chunksOfRange), (i, worker) -> {
                List<Chunk> own = chunks.subList((int) (i * chunksOfRange), (int) Math.min(chunks.size(), (i + 1) * chunksOfRange));
                long tokens = chunks.getLast().row1();
                own.forEach(chunk -> before.run(chunk, worker));
                attention.run(own.getFirst().row0() * sequences / tokens * units, own.getLast().row1() * sequences / tokens * units, worker);
                own.forEach(chunk -> after.run(chunk, worker));
            });
        }
    }
}
