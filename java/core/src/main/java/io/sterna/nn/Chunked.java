package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Workspace;
import java.util.List;
import java.util.function.Function;

/**
 * Memory of all tokens of a pass, and windows over it that never move, one for each chunk of tokens.
 *
 * @param whole  of all tokens
 * @param chunks of the tokens of each chunk
 */
record Chunked<X>(X whole, List<X> chunks) {
    /** Memory and its chunks; a planning workspace, whose tokens may be beyond number, gives no chunks. */
    static <X> Chunked<X> of(X whole, Ranges ranges, Workspace.Section section, Function<Ranges.Chunk, X> window) {
        return new Chunked<>(whole, section.workspace().isPlanning() ? List.of() : ranges.chunks().stream().map(window).toList());
    }

    /** A matrix (T, K) and its chunks. */
    static Chunked<FloatMatrix> of(FloatMatrix x, Ranges ranges, Workspace.Section section) {
        return of(x, ranges, section, c -> FloatMatrix.window(section).overRows(x, c.row0(), c.row1()));
    }

    X chunk(Ranges.Chunk chunk) {
        return chunks.get(chunk.index());
    }
}
