package io.sterna.kernel;

import io.sterna.kernel.ffm.sterna_h;
import java.lang.foreign.Arena;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * The thread budget of a training: {@code workers} threads, of which the calling thread is one. Work is a
 * number of slices. A worker takes those of its own share first, so that the same tokens, rows and heads mostly come to
 * the core whose caches they are in; then what others have not begun. Results must not depend on who takes which, and
 * with Sterna's kernels they do not.
 *
 * <p>Idle threads spin for about a tenth of a millisecond, since the next piece of work is usually near, then park.
 * Several instances may exist in a JVM; one instance serves one calling thread at a time.
 */
public final class Slices implements Team, AutoCloseable {
    static {
        LibraryCache.requireAccess();
    }

    /** Workers there can be, the calling thread included. */
    public static final int MOST_WORKERS = 1024;
    /** Bytes of a worker's scratch. */
    public static final long SCRATCH_BYTES = sterna_h.STERNA_SCRATCH_BYTES();

    private static final int SPINS = 5_000;
    /** Slices a worker on average: enough to even out, few enough to keep kernels long. */
    private static final int SLICES_PER_WORKER = 4;

    private final Arena arena = Arena.ofShared();
    private final Worker[] workers;
    private final Thread[] threads;
    private final AtomicReference<Thread> caller = new AtomicReference<>();
    private volatile Job job;
    private volatile boolean closed;

    /** The work of one slice. */
    @FunctionalInterface
    public interface Body {
        /** Does slice {@code index}. */
        void run(long index, Worker worker);
    }

    /** The work of a range of rows. */
    @FunctionalInterface
    public interface RowBody {
        /** Does rows row0 ... row1 - 1. */
        void run(long row0, long row1, Worker worker);
    }

    /**
     * A number of workers that there can be.
     *
     * @throws IllegalArgumentException when it is not within 1 ... {@value #MOST_WORKERS}
     */
    public static int requireWorkers(int workers) {
        if (workers < 1 || workers > MOST_WORKERS) {
            throw new IllegalArgumentException("threads " + workers + ": must lie between 1 and " + MOST_WORKERS);
        }
        return workers;
    }

    /**
     * Starts {@code workers - 1} daemon threads.
     *
     * @throws IllegalArgumentException as {@link #requireWorkers} does
     * @throws OutOfMemoryError when the system grants fewer threads or has no memory for their scratch; none is left behind
     */
    public Slices(int workers) {
        requireWorkers(workers);
        this.workers = new Worker[workers];
        this.threads = new Thread[workers - 1];
        for (int i = 0; i < threads.length; i++) {
            int index = i + 1;
            threads[i] = Thread.ofPlatform().daemon().name("sterna-slice-" + index).unstarted(() -> serve(this.workers[index]));
        }
        try {
            startWorkers();
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private void startWorkers() {
        for (int i = 0; i < workers.length; i++) {
            workers[i] = new Worker(i, arena.allocate(SCRATCH_BYTES, 64));
        }
        for (Thread thread : threads) {
            thread.start();
        }
    }

    /** Threads, the calling one included. */
    public int workers() {
        return workers.length;
    }

    /**
     * {@inheritDoc} When a slice throws, slices not yet begun are left out and the first exception is thrown here, the
     * others suppressed in it.
     *
     * @throws IllegalStateException when closed, or when a run of this instance is already under way
     */
    @Override
    public void run(Work... works) {
        if (closed) {
            throw new IllegalStateException("slices: already closed");
        }
        if (!caller.compareAndSet(null, Thread.currentThread())) {
            throw new IllegalStateException("slices: already running for thread " + caller.get());
        }
        try {
            Job next = new Job(works, workers.length);
            if (threads.length > 0 && next.count > 1) {
                start(next);
                next.take(workers[0]);
                next.await();
            } else {
                next.take(workers[0]);
            }
            next.rethrow();
        } finally {
            caller.set(null);
        }
    }

    /** {@inheritDoc} There are as many slices as balance the workers. */
    @Override
    public long sliceRows(long rows, long multiple, long worth) {
        long share = Math.ceilDiv(rows, workers.length);
        long balanced = workers.length == 1 ? share : Math.ceilDiv(share, SLICES_PER_WORKER);
        return Math.ceilDiv(Math.max(balanced, Math.min(worth, share)), multiple) * multiple;
    }

    /** Runs rows 0 ... rows - 1 in tiles of exactly {@code size} rows; the last one may be shorter. */
    public void tiles(long rows, long size, RowBody body) {
        run(Work.rows(rows, size, body));
    }

    /** Ends the threads and returns their scratch; does nothing the second time. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        if (caller.get() != null) {
            throw new IllegalStateException("slices: closed while running");
        }
        closed = true;
        for (Thread thread : threads) {
            LockSupport.unpark(thread);
        }
        boolean interrupted = false;
        for (Thread thread : threads) {
            interrupted |= join(thread);
        }
        arena.close();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Waits for a thread's end, whatever interrupts; says whether something did. */
    private static boolean join(Thread thread) {
        boolean interrupted = false;
        while (true) {
            try {
                thread.join();
                return interrupted;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
    }

    private void start(Job next) {
        job = next;
        for (Thread thread : threads) {
            LockSupport.unpark(thread);
        }
    }

    private void serve(Worker worker) {
        Job done = null;
        while (true) {
            Job next = next(done);
            if (next == null) {
                return;
            }
            next.take(worker);
            done = next;
        }
    }

    /** The job after {@code done}, or null when closed. */
    private Job next(Job done) {
        for (int spins = 0; ; spins++) {
            Job current = job;
            if (closed) {
                return null;
            }
            if (current != done) {
                return current;
            }
            if (spins < SPINS) {
                Thread.onSpinWait();
            } else {
                LockSupport.park(this);
            }
        }
    }

    /** A run: which slices were begun, all works' in order, and how many are over. A helper that comes late finds none left. */
    private static final class Job {
        private final Work[] works;
        private final int workers;
        private final int count;
        private final Thread waiting = Thread.currentThread();
        private final AtomicIntegerArray begun;
        private final AtomicInteger over = new AtomicInteger();
        private final AtomicReference<Throwable> failure = new AtomicReference<>();

        Job(Work[] works, int workers) {
            long all = 0;
            for (Work work : works) {
                all += work.count();
            }
            this.works = works;
            this.workers = workers;
            this.count = Math.toIntExact(all);
            this.begun = new AtomicIntegerArray(count);
        }

        void take(Worker worker) {
            takeShares(worker.index(), worker.index() + 1, worker);
            takeShares(0, workers, worker);
        }

        /** The shares of workers from ... to - 1. */
        private void takeShares(int from, int to, Worker worker) {
            int first = 0;
            for (Work work : works) {
                take(work, first, share(work, from), share(work, to), worker);
                first += (int) work.count();
            }
        }

        /** Where the share of a worker begins: that of the one before ends there. */
        private int share(Work work, int worker) {
            return (int) (work.count() * worker / workers);
        }

        /** Slices begin ... end - 1 of a work whose first is number {@code first} of the run. */
        private void take(Work work, int first, int begin, int end, Worker worker) {
            for (int i = begin; i < end; i++) {
                if (!begin(first + i)) {
                    continue;
                }
                try {
                    work.body().run(i, worker);
                    finish(1);
                } catch (Throwable e) {
                    fail(e);
                    finish(1 + leaveOut());
                }
            }
        }

        private void fail(Throwable e) {
            if (!failure.compareAndSet(null, e) && failure.get() != e) { // the JVM's OutOfMemoryError is one object
                try {
                    failure.get().addSuppressed(e);
                } catch (OutOfMemoryError full) {
                    // The first one is told; nothing may keep this slice from being over, for which the caller waits.
                }
            }
        }

        private boolean begin(int slice) {
            return begun.get(slice) == 0 && begun.compareAndSet(slice, 0, 1);
        }

        /** Slices that nobody had begun. */
        private int leaveOut() {
            int left = 0;
            for (int i = 0; i < count; i++) {
                left += begin(i) ? 1 : 0;
            }
            return left;
        }

        private void finish(int slices) {
            if (over.addAndGet(slices) == count && Thread.currentThread() != waiting) {
                LockSupport.unpark(waiting);
            }
        }

        void await() {
            for (int spins = 0; over.get() < count; spins++) {
                if (spins < SPINS) {
                    Thread.onSpinWait();
                } else {
                    LockSupport.park(this);
                }
            }
        }

        void rethrow() {
            switch (failure.get()) {
                case null -> { }
                case RuntimeException e -> throw e;
                case Error e -> throw e;
                case Throwable e -> throw new IllegalStateException("a slice threw a checked exception", e);
            }
        }
    }
}
