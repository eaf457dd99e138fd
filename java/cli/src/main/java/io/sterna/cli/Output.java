package io.sterna.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;

/** Standard output. Its stream keeps errors to itself until it is asked. */
final class Output {
    static final String FAILED = "standard output: cannot be written; its reader has gone, or its disk is full";

    private Output() {}

    /** Writes at once what {@code out} holds, so that work for a reader that has gone ends. */
    static void flush(PrintWriter out) {
        if (out.checkError() || System.out.checkError()) {
            throw new UncheckedIOException(FAILED, new IOException(FAILED));
        }
    }
}
