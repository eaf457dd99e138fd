package io.sterna.data;

import java.nio.file.Path;

/**
 * Hears how far a long operation on data has come; called on the thread that started it, several times a
 * second. An unchecked exception thrown here cancels the operation, which then leaves nothing behind.
 */
@FunctionalInterface
public interface DataProgress {
    /** Hears nothing. */
    DataProgress NONE = (phase, fraction, bytes) -> {};

    /**
     * How far the operation has come.
     *
     * @param phase    what is being done, in a word or two
     * @param fraction how much of it is done, in [0, 1]
     * @param bytes    bytes of text seen so far in this phase, or 0 where bytes mean nothing
     */
    void update(String phase, double fraction, long bytes);

    /** A corpus was tokenized, and its shards are written; not called where they were found. They stay, whatever is thrown here. */
    default void tokenized(Shards.Prepared result) {}

    /** Another run prepares the same data in {@code folder}, and is waited for; cancelled as by {@link #update}. */
    default void waiting(Path folder) {}
}
