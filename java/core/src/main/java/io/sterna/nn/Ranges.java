package io.sterna.nn;

import io.sterna.kernel.Slices;
import io.sterna.kernel.Worker;
import io.sterna.tensor.QuantizedGradient;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * How the T tokens of a pass are shared out among workers. Tokens come in chunks, small enough that what a
 * block makes of one stays in a worker's cache. A worker does a whole chain of operations on a chunk before it
 * takes the next one, so that threads wait for each other a few times a block and not at each operation.
 *
 * <p>Attention mixes the tokens of a sequence. Where there are enough sequences to keep all workers busy, a
 * worker takes a span of some sequences, all of their chunks, and nobody waits for it; otherwise all tokens are one
 * span, whose chunks are all done before attention begins, and attention before what comes after it.
 *
 * <p>Chunks depend on T alone and never on the threads: they are also what the gradients of norms are summed by.
 */
final class Ranges {
    /** Tokens of a chunk with float weights, which each chunk packs anew, and with int8 gradients, whose scales are those of a chunk. */
    static final long CHUNK = QuantizedGradient.GROUP;
    /** Packed weights are unpacked fast enough for shorter ones, which take half of the memory and more of which fits in a worker's cache ... */
    private static final long SHORT_CHUNK = CHUNK / 2;
    /** ... unless a row of the widest layer is so wide that most of a short one would not fit either. */
    private static final long SHORT_WIDTH = 4096;
    /** With fewer tokens there are still so many chunks, of at least {@link #MIN_CHUNK}. */
    private static final long MIN_CHUNKS = 8;
    private static final long MIN_CHUNK = 32;
    /** A worker takes whole sequences of at most so many tokens. */
    private static final long MAX_SEQUENCE = 8 * CHUNK;
    /** Share of its time that a worker may be idle for the sake of whole sequences. */
    private static final double IDLE = 0.1;

    private final Slices slices;
    private final int workers;
    private final long count;
    private final List<Chunk> chunks;
    private final List<Span> spans;
    private final long chunk;
    private final long units;
    private final long tokens;
    private final long length;
    private final long chunksOfSpan;

    /** Tokens row0 ... row1 - 1 of the pass, which are those from {@code start} on of their span. */
    record Chunk(int index, long row0, long row1, long start) {
        long rows() {
            return row1 - row0;
        }
    }

    /** Whole sequences, in order. */
    record Span(List<Chunk> chunks) {
        long row0() {
            return chunks.getFirst().row0;
        }

        long row1() {
            return chunks.getLast().row1;
        }
    }

    /** What is done before anything is done with a span. */
    interface SpanBody {
        void run(Span span, int place);
    }

    /** What is done with a chunk of tokens, of the span at {@code place}. */
    interface ChunkBody {
        void run(Chunk chunk, int place, Worker worker);
    }

    /** What is done with units of attention, counted from the first of the span at {@code place}. */
    interface UnitBody {
        void run(long unit0, long unit1, int place, Worker worker);
    }

    /** A part of what is done with a span, which begins when the one before has ended for all of it. */
    sealed interface Phase { }

    /** By chunk. */
    record Chunks(ChunkBody body) implements Phase { }

    /** By unit of attention. */
    record Units(UnitBody body) implements Phase { }

    /**
     * The ranges of a pass.
     *
     * @param units     of attention that a sequence has
     * @param width     of the widest layer
     * @param quantized whether the weights are
     */
    Ranges(Slices slices, int workers, Batch batch, long units, long width, boolean quantized) {
        this.tokens = batch.tokens();
        this.length = batch.length();
        long share = Math.ceilDiv(Math.ceilDiv(tokens, MIN_CHUNKS), MIN_CHUNK) * MIN_CHUNK;
        this.slices = slices;
        this.workers = workers;
        this.units = units;
        long most = quantized && width < SHORT_WIDTH ? SHORT_CHUNK : CHUNK;
        this.chunk = Math.min(tokens, batch.gradients() == GradientType.INT8 ? CHUNK : Math.min(most, share));
        this.count = Math.ceilDiv(tokens, chunk);
        long together = chunk % length == 0 ? 1 : length % chunk == 0 && length <= MAX_SEQUENCE ? length / chunk : count;
        this.chunksOfSpan = even(Math.ceilDiv(count, together), workers) ? together : count;
        this.chunks = slices == null ? List.of() : LongStream.range(0, count)
                .mapToObj(i -> new Chunk((int) i, i * chunk, Math.min(tokens, (i + 1) * chunk), i % chunksOfSpan * chunk)).toList();
        this.spans = IntStream.range(0, Math.toIntExact(Math.ceilDiv(chunks.size(), chunksOfSpan)))
                .mapToObj(i -> new Span(chunks.subList((int) (i * chunksOfSpan), (int) Math.min(count, (i + 1) * chunksOfSpan)))).toList();
    }

    /** Whether so many spans keep the workers busy. */
    private static boolean even(long spans, int workers) {
        long rounds = Math.ceilDiv(spans, workers);
        return rounds * workers <= spans * (1 + IDLE);
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

    /** How many spans are worked on at once: one by all workers, or one by each. */
    int places() {
        return chunksOfSpan == count ? 1 : workers;
    }

    /** Tokens of a span at most. */
    long spanTokens() {
        return Math.min(chunksOfSpan * chunk, tokens);
    }

    /** Does something with each chunk. */
    void run(ChunkBody body) {
        slices.run(chunks.size(), (i, worker) -> body.run(chunks.get((int) i), 0, worker));
    }

    /** Does with each span what there is to be done, phase by phase. */
    void run(SpanBody begin, Phase... phases) {
        if (spans.size() == 1) {
            begin.run(spans.getFirst(), 0);
            for (Phase phase : phases) {
                switch (phase) {
                    case Chunks(ChunkBody body) -> run(body);
                    case Units(UnitBody body) -> slices.run(tokens / length * units, (i, worker) -> body.run(i, i + 1, 0, worker));
                }
            }
        } else {
            slices.run(spans.size(), (i, worker) -> run(spans.get((int) i), begin, phases, worker));
        }
    }

    private void run(Span span, SpanBody begin, Phase[] phases, Worker worker) {
        int place = worker.index();
        long spanUnits = (span.row1() - span.row0()) / length * units;
        begin.run(span, place);
        for (Phase phase : phases) {
            switch (phase) {
                case Chunks(ChunkBody body) -> span.chunks.forEach(c -> body.run(c, place, worker));
                case Units(UnitBody body) -> body.run(0, spanUnits, place, worker);
            }
        }
    }
}
