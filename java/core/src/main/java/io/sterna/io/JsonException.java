package io.sterna.io;

import java.io.IOException;

/** Text that is not the JSON it should be. */
public final class JsonException extends IOException {
    private static final long serialVersionUID = 1;
    private final long offset;

    /** @param offset byte offset of the fault in the text, or -1 when the fault is in a parsed value */
    public JsonException(String message, long offset) {
        super(offset < 0 ? message : message + " at byte " + offset);
        this.offset = offset;
    }

    /** Byte offset of the fault, or -1 when the fault is in a parsed value. */
    public long offset() {
        return offset;
    }
}
