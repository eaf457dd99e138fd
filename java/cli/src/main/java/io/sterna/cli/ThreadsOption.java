package io.sterna.cli;

import io.sterna.train.ConfigException;
import picocli.CommandLine.Option;

/** How many threads a command may use. */
final class ThreadsOption {
    private static final int MOST = 1024; // of Slices

    @Option(names = "--threads", paramLabel = "N", description = "Threads; default all processors.")
    private Integer threads;

    /** At least 1. */
    int count() {
        if (threads != null && (threads < 1 || threads > MOST)) {
            throw new ConfigException("threads " + threads + ": must lie between 1 and " + MOST);
        }
        return threads == null ? all() : threads;
    }

    /** One for each processor. */
    static int all() {
        return Math.min(Runtime.getRuntime().availableProcessors(), MOST);
    }
}
