package io.sterna.cli;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Path;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;

/**
 * Turns Ctrl-C and SIGTERM into a wish to stop: the work goes on to a good end, and the process then exits
 * with the work's own code. Done with a shutdown hook, which the JVM runs for these signals on every
 * system: it asks the work to stop, waits for it and halts.
 */
final class Shutdown {
    private static final CountDownLatch FINISHED = new CountDownLatch(1);
    private static volatile int exitCode;

    private Shutdown() {}

    /** What a signal does, until it is removed; at the latest when the work ends, well or not. */
    @FunctionalInterface
    interface Hook extends AutoCloseable {
        void remove();

        @Override
        default void close() {
            remove();
        }
    }

    /** From now on a signal runs {@code stop} and waits for {@link #exit}, until the hook is removed. */
    static Hook onSignal(Runnable stop) {
        Thread hook = new Thread(
                () -> {
                    stop.run();
                    awaitFinished();
                    System.out.flush();
                    System.err.flush();
                    Runtime.getRuntime().halt(exitCode);
                },
                "sterna-shutdown");
        Runtime.getRuntime().addShutdownHook(hook);
        return () -> {
            try {
                Runtime.getRuntime().removeShutdownHook(hook);
            } catch (IllegalStateException shuttingDown) {
                // The hook is running and waits for exit.
            }
        };
    }

    /** Something that a signal makes undo what it has begun. */
    @FunctionalInterface
    interface Work {
        void run() throws IOException;
    }

    /**
     * Runs work that writes {@code out}, or deletes what it has of it when its thread is interrupted, which a signal does.
     *
     * @throws CancellationException when it was
     */
    static void wholly(Path out, Work work) throws IOException {
        Thread worker = Thread.currentThread();
        try (Hook hook = onSignal(worker::interrupt)) {
            work.run();
        } catch (InterruptedIOException e) {
            CancellationException stopped = new CancellationException("stopped; nothing was kept of " + out);
            stopped.initCause(e);
            throw stopped;
        }
    }

    /** Ends the process; under a signal, the hook does. */
    static void exit(int code) {
        exitCode = code;
        FINISHED.countDown();
        System.exit(code);
    }

    private static void awaitFinished() {
        try {
            FINISHED.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
