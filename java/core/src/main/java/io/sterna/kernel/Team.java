package io.sterna.kernel;

/**
 * Who computes an operation: one worker by itself, which works on data that others leave alone, or all workers
 * of {@link Slices} together. With Sterna's kernels the result is the same.
 */
public sealed interface Team permits Slices, Worker {
    /** Runs the slices 0 ... count - 1 and returns when all are done. */
    default void run(long count, Slices.Body body) {
        run(new Work(count, body));
    }

    /** Slices 0 ... count - 1, which may run in any order and at the same time. */
    record Work(long count, Slices.Body body) {
        /** @throws IllegalArgumentException for a count that is negative or beyond an int */
        public Work {
            if (count < 0 || count > Integer.MAX_VALUE) {
                throw new IllegalArgumentException(count + " slices: must lie between 0 and " + Integer.MAX_VALUE);
            }
        }

        /**
         * Rows 0 ... rows - 1 in slices of exactly {@code size} rows; the last one may be shorter.
         *
         * @throws IllegalArgumentException for a size below 1
         */
        public static Work rows(long rows, long size, Slices.RowBody body) {
            if (size < 1) {
                throw new IllegalArgumentException("slices of " + size + " rows: must be at least 1");
            }
            return new Work(Math.ceilDiv(rows, size), (i, worker) -> body.run(i * size, Math.min(rows, (i + 1) * size), worker));
        }
    }

    /** Runs several pieces of work, whose slices don't depend on each other, as one: nobody waits between them. */
    void run(Work... works);

    /**
     * Rows of a slice, a multiple of {@code multiple}, when all have work; a worker by itself takes all rows at once.
     *
     * @param worth rows of a slice at least, as long as there is one for every worker
     */
    long sliceRows(long rows, long multiple, long worth);

    /**
     * Rows 0 ... rows - 1 in slices whose sizes are multiples of {@code multiple} (the last one may be shorter), and at
     * least {@code worth} where all workers still get one. How rows are cut must not matter to the result.
     */
    default Work rowWork(long rows, long multiple, long worth, Slices.RowBody body) {
        return Work.rows(rows, Math.max(1, sliceRows(rows, multiple, worth)), body);
    }

    /** The same in slices of any size. */
    default Work rowWork(long rows, long multiple, Slices.RowBody body) {
        return rowWork(rows, multiple, 1, body);
    }

    /** Runs {@link #rowWork}. */
    default void rows(long rows, long multiple, Slices.RowBody body) {
        run(rowWork(rows, multiple, body));
    }
}
