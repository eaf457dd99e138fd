package io.sterna.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.UUID;

/** Files that are either there as a whole or not at all, also after a crash. Thread-safe. */
public final class DurableFiles {
    private DurableFiles() {}

    /**
     * Replaces {@code file} by one that holds {@code text} in UTF-8. Of several that replace it at once, one stays.
     *
     * @throws IOException that names the file; what it held before is untouched
     */
    public static void replace(Path file, String text) throws IOException {
        replace(file, text.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * The same, unless the file holds just this already: so a folder that is all there may be read-only.
     *
     * @throws IOException as {@link #replace}, and when the file cannot be read
     */
    public static void ensure(Path file, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (!Files.isRegularFile(file) || Files.size(file) != bytes.length || !Arrays.equals(FileBytes.all(file), bytes)) {
            replace(file, bytes);
        }
    }

    private static void replace(Path file, byte[] bytes) throws IOException {
        try (PendingFile pending = new PendingFile(file, "." + UUID.randomUUID() + ".tmp")) {
            pending.write(0, ByteBuffer.wrap(bytes));
            pending.commit();
        }
    }
}
