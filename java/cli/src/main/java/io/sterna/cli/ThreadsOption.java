package io.sterna.cli;

import io.sterna.train.ConfigException;
import picocli.CommandLine.Option;

/** How many threads a command may use. */
final class ThreadsOption {
    @Option(names = "--threads", paramLabel = "N", description = "Threads; default all processors.")
    private Integer threads;

    /** At least 1. */
    int count() {
        if (threads != null && threads < 1) {
            throw new ConfigException("threads " + threads + ": must be at least 1");
        }
        return threads == null ? Runtime.getRuntime().availableProcessors() : threads;
    }
}
