package io.sterna.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Objects;

/**
 * The tokens of train or dev as one sequence, over memory-mapped shards. What was read is taken out of the
 * process's memory again, so that a long run does not end up with all its data resident; the system may keep it in
 * its cache. Thread-safe until its shards are closed.
 */
public final class TokenStream {
    /** A read makes what is around it resident too: Linux maps 64 KiB at once, or a huge page. */
    private static final long AROUND = 2 << 20;
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final MemorySegment[] shards; // tokens alone
    private final long[] starts; // (shards + 1), in tokens
    private final int width;
    private final int vocabSize;

    TokenStream(List<MemorySegment> shards, int width, int vocabSize) {
        this.shards = shards.toArray(MemorySegment[]::new);
        this.width = width;
        this.vocabSize = vocabSize;
        this.starts = new long[this.shards.length + 1];
        for (int i = 0; i < this.shards.length; i++) {
            starts[i + 1] = starts[i] + this.shards[i].byteSize() / width;
        }
    }

    /** Number of tokens. */
    public long size() {
        return starts[shards.length];
    }

    /** Tokens are below this. */
    public int vocabSize() {
        return vocabSize;
    }

    /**
     * Copies tokens {@code [from, from + count)} to {@code out[at, at + count)}.
     *
     * @throws IndexOutOfBoundsException if either range is outside
     * @throws IllegalStateException     if a token is not below the vocabulary size (a damaged shard that was
     *                                   opened without verification), or the shards are closed
     */
    public void read(long from, int count, int[] out, int at) {
        Objects.checkFromIndexSize(from, count, size());
        Objects.checkFromIndexSize(at, count, out.length);
        int shard = 0;
        int done = 0;
        while (done < count) {
            while (from + done >= starts[shard + 1]) {
                shard++;
            }
            int n = (int) Math.min(count - done, starts[shard + 1] - from - done);
            long first = from + done - starts[shard];
            copy(shards[shard], first, n, out, at + done);
            unload(shards[shard], first * width, (long) n * width);
            done += n;
        }
        check(out, at, count);
    }

    private static void unload(MemorySegment shard, long from, long bytes) {
        if (shard.isMapped()) {
            long start = Math.max(0, from - AROUND);
            shard.asSlice(start, Math.min(shard.byteSize(), from + bytes + AROUND) - start).unload();
        }
    }

    private void copy(MemorySegment source, long from, int n, int[] out, int at) {
        if (width == 4) {
            MemorySegment.copy(source, INT, 4 * from, out, at, n);
            return;
        }
        short[] narrow = new short[n];
        MemorySegment.copy(source, SHORT, 2 * from, narrow, 0, n);
        for (int i = 0; i < n; i++) {
            out[at + i] = narrow[i] & 0xFFFF;
        }
    }

    private void check(int[] ids, int at, int count) {
        for (int i = at; i < at + count; i++) {
            if (Integer.compareUnsigned(ids[i], vocabSize) >= 0) {
                throw new IllegalStateException("token " + ids[i] + " is not below the vocabulary size " + vocabSize
                        + ": the shard is damaged; prepare the data again");
            }
        }
    }
}
