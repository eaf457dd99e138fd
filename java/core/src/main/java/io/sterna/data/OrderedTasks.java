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
 * 2 · threads tasks are under way, which bounds memory. Used by one thread.
 */
final class OrderedTasks<T> implements AutoCloseable {
    /** Takes results in order. */
    interface Sink<T> {
        void accept(T result) throws IOException;
    }

    private final int limit;
    private final Sink<T> sink;
    private final ExecutorService workers; // null when the caller is the only thread
    private final ArrayDeque<FutureTask<T>> underWay = new ArrayDeque<>();

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

    void submit(Callable<T> task) throws IOException {
        if (underWay.size() == limit) {
            finishOldest();
        }
        FutureTask<T> future = new FutureTask<>(task);
        underWay.add(future);
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
        FutureTask<T> oldest = underWay.remove();
        oldest.run(); // returns at once if a worker has it
        for (FutureTask<T> other : underWay) {
            if (oldest.isDone()) {
                break;
            }
            other.run();
        }
        sink.accept(get(oldest));
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
        underWay.forEach(task -> task.cancel(false));
        if (workers != null) {
            workers.close();
        }
    }
}
