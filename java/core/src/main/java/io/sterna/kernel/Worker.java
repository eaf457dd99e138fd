package io.sterna.kernel;

import java.lang.foreign.MemorySegment;

/**
 * A thread of {@link Slices} as its work sees it.
 *
 * @param index   0 ... workers - 1; 0 is the calling thread
 * @param scratch {@link Slices#SCRATCH_BYTES} bytes for kernels, this worker's own
 */
public record Worker(int index, MemorySegment scratch) implements Team {
    @Override
    public long sliceRows(long rows, long multiple, long worth) {
        return rows;
    }

    @Override
    public void run(Work... works) {
        for (Work work : works) {
            for (long i = 0; i < work.count(); i++) {
                work.body().run(i, this);
            }
        }
    }

    /** One slice, without the objects that several take: every chunk of tokens comes here dozens of times. */
    @Override
    public void rows(long rows, long multiple, Slices.RowBody body) {
        body.run(0, rows, this);
    }
}
