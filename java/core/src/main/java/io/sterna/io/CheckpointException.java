package io.sterna.io;

import java.io.IOException;
import java.nio.file.Path;

/** A checkpoint that cannot be written, or read without doubt. The message names file, fault and remedy. */
public final class CheckpointException extends IOException {
    private static final long serialVersionUID = 1;
    private final transient Path file;
    private final String fault;

    /**
     * A fault of {@code file}.
     *
     * @param fault the field and its value, or what failed
     * @param remedy what the user can do
     */
    public CheckpointException(Path file, String fault, String remedy) {
        this(file, fault, remedy, null);
    }

    /** As above, with the failure underneath. */
    public CheckpointException(Path file, String fault, String remedy, Throwable cause) {
        super(file + ": " + fault + "; " + remedy, cause);
        this.file = file;
        this.fault = fault;
    }

    /** The file at fault. */
    public Path file() {
        return file;
    }

    /** The message without file and remedy. */
    public String fault() {
        return fault;
    }
}
