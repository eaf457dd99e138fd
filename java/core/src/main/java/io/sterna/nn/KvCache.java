package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The keys and values of the tokens that a sequence has seen, of every layer: off-heap, allocated once, for a
 * bounded number of tokens. Belongs to one thread at a time.
 */
public final class KvCache {
    private final int capacity;
    private final List<FloatMatrix> keys;
    private final List<FloatMatrix> values;
    private int length;

    /**
     * An empty cache.
     *
     * @param type     of keys and values
     * @param capacity tokens it can hold, at most those of the model's sequences
     * @throws IllegalArgumentException for a capacity outside 1 ... seqLen
     */
    public KvCache(LlamaConfig config, FloatType type, int capacity, Workspace workspace) {
        if (capacity < 1 || capacity > config.seqLen()) {
            throw new IllegalArgumentException("context " + capacity + ": must lie between 1 and the model's " + config.seqLen());
        }
        this.capacity = capacity;
        this.keys = layers(config, type, capacity, workspace);
        this.values = layers(config, type, capacity, workspace);
    }

    private static List<FloatMatrix> layers(LlamaConfig config, FloatType type, int capacity, Workspace workspace) {
        Workspace.Section section = workspace.section(MemoryKind.ACTIVATIONS);
        return IntStream.range(0, config.layers())
                .mapToObj(layer -> FloatMatrix.allocate(section, type, capacity, config.kvWidth())).toList();
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

    /** Becomes the first {@code tokens} tokens of another cache of this model, type and workspace. */
    void copyFrom(KvCache other, int tokens) {
        for (int layer = 0; layer < keys.size(); layer++) {
            copy(other.keys.get(layer), keys.get(layer), tokens);
            copy(other.values.get(layer), values.get(layer), tokens);
        }
        length = tokens;
    }

    private static void copy(FloatMatrix from, FloatMatrix to, long tokens) {
        MemorySegment.copy(from.data(), 0, to.data(), 0, tokens * from.cols() * from.type().bytes());
    }

    void grow(int tokens) {
        length += tokens;
    }

    /** Keys of a layer (capacity, V); the first {@link #length} rows hold some. */
    FloatMatrix keys(int layer) {
        return keys.get(layer);
    }

    /** Values of a layer, as keys. */
    FloatMatrix values(int layer) {
        return values.get(layer);
    }
}
