package io.sterna.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Files that are either there as a whole or not at all, also after a crash. Thread-safe. */
public final class DurableFiles {
    private DurableFiles() {}

    /**
     * Replaces {@code file} by one that holds {@code text} in UTF-8.
     *
     * @throws IOException that names the file; what it held before is untouched
     */
    public static void replace(Path file, String text) throws IOException {
        Path temporary = file.resolveSibling(file.getFileName() + ".tmp");
        try {
            write(temporary, ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
            syncFolder(file.toAbsolutePath().getParent());
        } catch (IOException e) {
            Files.deleteIfExists(temporary);
            throw new IOException(file + ": cannot be written (" + e.getMessage() + "); free some space, or choose another folder", e);
        }
    }

    private static void write(Path file, ByteBuffer bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
    }

    /** Makes renames in a folder last; Windows syncs them by itself and refuses to open a folder. */
    static void syncFolder(Path folder) throws IOException {
        if (java.io.File.separatorChar == '\\') {
            return;
        }
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
