package io.sterna.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** A file for the figures of a bench. */
final class JsonFile {
    @Option(names = "--json", paramLabel = "FILE", description = "Write the figures as JSON too.")
    private Path file;

    /** Writes {@code figures}, unless no file is wanted. */
    void write(Object figures) throws IOException {
        if (file != null) {
            new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValue(file.toFile(), figures);
        }
    }
}
