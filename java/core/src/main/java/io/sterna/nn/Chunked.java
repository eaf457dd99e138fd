package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * Memory of all tokens of a pass, and windows over it that never move, one for each chunk of tokens.
 *
 * @param whole  of all tokens
 * @param chunks of the tokens of each chunk
 */
record Chunked<X>(X whole, List<X> chunks) {
    /** A matrix (T, K) and its chunks. */
    static Chunked<FloatMatrix> of(FloatMatrix x, Ranges ranges, Workspace.Section section) {
        return new Chunked<>(x, FloatMatrix.windows(section, x, ranges.chunk()));
    }

    X chunk(Ranges.Chunk chunk) {
        return chunks.get(chunk.index());
    }
}
