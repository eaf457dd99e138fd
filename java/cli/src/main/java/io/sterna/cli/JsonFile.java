package io.sterna.cli;

import io.sterna.train.ConfigException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** A file for the figures of a bench. */
final class JsonFile {
    @Option(names = "--json", paramLabel = "FILE", description = "Write the figures as JSON too.")
    private Path file;

    /** Refuses a file that cannot be written, before anything is measured for it. */
    void check() {
        if (file == null) {
            return;
        }
        Path written = Files.exists(file) ? file : file.toAbsolutePath().getParent();
        if (Files.isDirectory(file) || !Files.isWritable(written)) {
            throw new ConfigException("json " + file + ": cannot be written; choose a file in a folder that exists and is yours");
        }
    }

    /** Writes {@code figures}, unless no file is wanted. */
    void write(Object figures) throws IOException {
        if (file == null) {
            return;
        }
        try {
            Files.writeString(file, JsonText.pretty(figures));
        } catch (IOException e) {
            throw new IOException("json " + file + ": cannot be written (" + e.getMessage() + "); free some space, or choose another file", e);
        }
    }
}
