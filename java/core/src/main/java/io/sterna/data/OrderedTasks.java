package io.sterna.data;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;

/**
 * Runs tasks on a fixed number of threads, the caller's included, and hands their results to a sink on the
 * caller's thread in the order of submission: so the result is the same for any number of threads. At most
 * 2 · threads tasks are under way, and a large one alone, which bounds memory. Used by one thread.
 */
final class OrderedTasks<T> implements AutoCloseable {
    /** Takes results in order. */
    interface Sink<T> {
        void accept(T result) throws IOException;
    }

    /** Share of the heap that the text of tasks under way may take: a byte may become three tokens of 4 bytes while it grows. */
    private static final int HEAP_SHARE = 32;

    /** A task and the bytes of its text. */
    private record Task<T>(FutureTask<T> future, long bytes) {}

    private final int limit;
    private final long mostBytes = Runtime.getRuntime().maxMemory() / HEAP_SHARE;
    private final Sink<T> sink;
    private final ExecutorService workers; // null when the caller is the only thread
    private final ArrayDeque<Task<T>> underWay = new ArrayDeque<>();
    private long bytesUnderWay;

    OrderedTasks(int threads, Sink<T> sink) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads is " + threads + ", must be at least 1");
        }
        this.limit = 2 * threads;
        this.sink = sink;
        this.workers = threads == 1 ? null : Executors.newFixedThreadPool(threads - 1, OrderedTasks::thread);
    }

    private static Thread thread(Runnable work) {
        return Thread.ofPlatform().daemon().name("sterna-data").unstarted(work);
    }

    /** @param bytes of text that the task holds */
    void submit(long bytes, Callable<T> task) throws IOException {
        while (!underWay.isEmpty() && (underWay.size() == limit || bytesUnderWay + bytes > mostBytes)) {
            finishOldest();
        }
        FutureTask<T> future = new FutureTask<>(task);
        underWay.add(new Task<>(future, bytes));
        bytesUnderWay += bytes;
        if (workers != null) {
            workers.execute(future);
        }
    }

    void finish() throws IOException {
        while (!underWay.isEmpty()) {
            finishOldest();
        }
    }

    private void finishOldest() throws IOException {
        Task<T> oldest = underWay.remove();
        oldest.future.run(); // returns at once if a worker has it
        for (Task<T> other : underWay) {
            if (oldest.future.isDone()) {
                break;
            }
            other.future.run();
        }
        bytesUnderWay -= oldest.bytes;
        sink.accept(get(oldest.future));
    }

    private T get(FutureTask<T> task) {
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return task.get();
                } catch (InterruptedException e) {
                    interrupted = true; // tasks are short; the caller finds the flag set again
                }
            }
        } catch (ExecutionException e) {
            throw switch (e.getCause()) {
                case RuntimeException cause -> cause;
                case Error cause -> throw cause;
                default -> new IllegalStateException(e.getCause());
            };
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public void close() {
        underWay.forEach(task -> task.future.cancel(false));
        if (workers != null) {
            workers.close();
        }
    }
}
