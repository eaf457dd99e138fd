package io.sterna.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Files that are either there as a whole or not at all, also after a crash. Thread-safe. */
public final class DurableFiles {
    private DurableFiles() {}

    /**
     * Replaces {@code file} by one that holds {@code text} in UTF-8.
     *
     * @throws IOException that names the file; what it held before is untouched
     */
    public static void replace(Path file, String text) throws IOException {
        try (PendingFile pending = new PendingFile(file)) {
            pending.write(0, ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
            pending.commit();
        }
    }
}
