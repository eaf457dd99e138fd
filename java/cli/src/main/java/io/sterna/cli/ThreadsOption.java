package io.sterna.cli;

import io.sterna.kernel.Slices;
import picocli.CommandLine.Option;

/** How many threads a command may use. */
final class ThreadsOption {
    @Option(names = "--threads", paramLabel = "N", description = "Threads; default all processors.")
    private Integer threads;

    /** At least 1. */
    int count() {
        return threads == null ? all() : Errors.usage(() -> Slices.requireWorkers(threads));
    }

    /** One for each processor. */
    static int all() {
        return Math.min(Runtime.getRuntime().availableProcessors(), Slices.MOST_WORKERS);
    }
}
