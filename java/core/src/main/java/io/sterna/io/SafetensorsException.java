package io.sterna.io;

import java.io.IOException;
import java.nio.file.Path;

/** A safetensors file that cannot be read without doubt. The message names file, fault and remedy. */
public final class SafetensorsException extends IOException {
    private static final long serialVersionUID = 1;

    SafetensorsException(Path file, String fault, Throwable cause) {
        this(file, fault, "the file is damaged: fetch it again", cause);
    }

    SafetensorsException(Path file, String fault, String remedy, Throwable cause) {
        super(file + ": " + fault + "; " + remedy, cause);
    }
}
