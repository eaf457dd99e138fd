package io.sterna.kernel;

/**
 * Who computes an operation: one worker by itself, which works on data that others leave alone, or all workers
 * of {@link Slices} together. With Sterna's kernels the result is the same.
 */
public sealed interface Team permits Slices, Worker {
    /** Runs the slices 0 ... count - 1 and returns when all are done. */
    void run(long count, Slices.Body body);

    /**
     * Runs rows 0 ... rows - 1 in slices whose sizes are multiples of {@code multiple} (the last one may be
     * shorter); a worker by itself takes all rows at once. How rows are cut must not matter to the result.
     */
    void rows(long rows, long multiple, Slices.RowBody body);
}
