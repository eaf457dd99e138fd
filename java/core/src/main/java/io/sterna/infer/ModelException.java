package io.sterna.infer;

import java.io.IOException;

/** A model that cannot be loaded. The message is one line: what, its value, the remedy. */
public final class ModelException extends IOException {
    private static final long serialVersionUID = 1;

    ModelException(String message) {
        super(message);
    }

    ModelException(String message, Throwable cause) {
        super(message, cause);
    }
}
