package io.sterna.io;

import java.io.IOException;
import java.nio.file.Path;

/** A GGUF file that cannot be read without doubt. The message names file, fault and remedy. */
public final class GgufException extends IOException {
    private static final long serialVersionUID = 1;

    GgufException(Path file, String fault) {
        this(file, fault, "the file is damaged: fetch it again", null);
    }

    GgufException(Path file, String fault, String remedy, Throwable cause) {
        super(file + ": " + fault + "; " + remedy, cause);
    }
}
