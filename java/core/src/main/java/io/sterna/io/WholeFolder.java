package io.sterna.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Writes several files into a folder that is not there, or empty: all of them, or none. */
public final class WholeFolder {
    private WholeFolder() {}

    /** What writes them. */
    @FunctionalInterface
    public interface Writing {
        /** @throws IOException when a file cannot be written */
        void run() throws IOException;
    }

    /**
     * Makes the folder if it is not there, and writes into it. After a failure it is as it was before.
     *
     * @throws IOException of the writing, or when the folder cannot be made
     */
    public static void write(Path folder, Writing writing) throws IOException {
        boolean made = !Files.exists(folder);
        Files.createDirectories(folder);
        try {
            writing.run();
        } catch (IOException | RuntimeException | Error e) {
            clear(folder, made, e);
            throw e;
        }
    }

    private static void clear(Path folder, boolean made, Throwable failure) {
        try {
            for (Path file : files(folder)) {
                Files.delete(file);
            }
            if (made) {
                Files.delete(folder);
            }
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }
}
