package io.sterna.eval;

import java.io.IOException;

/** A task whose questions cannot be read or asked. The message is one line: file, line, field and value. */
public final class TaskException extends IOException {
    private static final long serialVersionUID = 1;

    TaskException(String message) {
        super(message);
    }

    TaskException(String message, Throwable cause) {
        super(message, cause);
    }
}
