package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The keys and values of the tokens that a sequence has seen, of every layer: off-heap, allocated once, for a
 * bounded number of tokens. Belongs to one thread at a time.
 */
public final class KvCache {
    private final int capacity;
    private final int heads;
    private final List<KvStore> keys;
    private final List<KvStore> values;
    private int length;

    /**
     * An empty cache.
     *
     * @param type     of keys and values
     * @param capacity tokens it can hold, at most those of the model's sequences
     * @throws IllegalArgumentException for a capacity outside 1 ... seqLen
     */
    public KvCache(LlamaConfig config, CacheType type, int capacity, Workspace workspace) {
        if (capacity < 1 || capacity > config.seqLen()) {
            throw new IllegalArgumentException("context " + capacity + ": must lie between 1 and the model's " + config.seqLen());
        }
        this.capacity = capacity;
        this.heads = config.kvHeads();
        this.keys = layers(config, type, capacity, workspace);
        this.values = layers(config, type, capacity, workspace);
    }

    private static List<KvStore> layers(LlamaConfig config, CacheType type, int capacity, Workspace workspace) {
        Workspace.Section section = workspace.section(MemoryKind.ACTIVATIONS);
        return IntStream.range(0, config.layers())
                .mapToObj(layer -> KvStore.allocate(section, type, config.kvHeads() * wholeBlocks(capacity), config.headDim())).toList();
    }

    /** As many rows as blocks of keys with so many tokens have. */
    private static long wholeBlocks(int tokens) {
        return Math.ceilDiv(tokens, Kernels.KEY_BLOCK) * (long) Kernels.KEY_BLOCK;
    }

    /** Tokens it can hold. */
    public int capacity() {
        return capacity;
    }

    /** Tokens it holds. */
    public int length() {
        return length;
    }

    /** Forgets all but the first {@code tokens} tokens; more than it holds is an {@link IllegalArgumentException}. */
    public void truncate(int tokens) {
        if (tokens < 0 || tokens > length) {
            throw new IllegalArgumentException("truncate " + tokens + ": the cache holds " + length + " tokens");
        }
        length = tokens;
    }

    /** Becomes the first {@code tokens} tokens of another cache of this model, type and capacity. */
    void copyFrom(KvCache other, int tokens) {
        for (int layer = 0; layer < keys.size(); layer++) {
            for (int head = 0; head < heads; head++) {
                keys.get(layer).copy(other.keys.get(layer), row(head, 0), wholeBlocks(tokens));
                values.get(layer).copy(other.values.get(layer), row(head, 0), tokens);
            }
        }
        length = tokens;
    }

    void grow(int tokens) {
        length += tokens;
    }

    /** Rows of each head in a layer's keys and values: room for the capacity in whole blocks of keys. */
    long headRows() {
        return wholeBlocks(capacity);
    }

    /** Keys of a layer; the first {@link #length} rows of each head hold some, by column in blocks. */
    KvStore keys(int layer) {
        return keys.get(layer);
    }

    /** Values of a layer, as keys but by row. */
    KvStore values(int layer) {
        return values.get(layer);
    }

    /** The row of a head's token in a layer's keys and values: a head's lie together, so that attention streams over them. */
    long row(long head, long token) {
        return head * headRows() + token;
    }
}
