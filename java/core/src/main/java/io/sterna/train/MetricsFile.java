package io.sterna.train;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** {@code metrics.jsonl}: one JSON object a line, in order of "step". Not thread-safe. */
final class MetricsFile implements AutoCloseable {
    private final Path file;
    private final BufferedWriter out;

    /** Opens {@code file} to append after the record of {@code step}; later ones, of steps to be run again, go. */
    MetricsFile(Path file, long step) throws IOException {
        if (Files.exists(file)) {
            keepUpTo(file, step);
        }
        this.file = file;
        this.out = Files.newBufferedWriter(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /** Appends a record and hands it to the system, so that others can follow the file. */
    void append(Map<String, Object> record) throws IOException {
        try {
            out.write(Json.write(record));
            out.write('\n');
            out.flush();
        } catch (IOException e) {
            throw new IOException(file + ": cannot be written (" + e.getMessage()
                    + "); free some space, then resume the run from its last checkpoint", e);
        }
    }

    @Override
    public void close() throws IOException {
        out.close();
    }

    /** All records of {@code file}. */
    static List<Map<String, Object>> read(Path file) throws IOException {
        List<Map<String, Object>> records = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            records.add(Json.asObject(Json.parse(line.getBytes(StandardCharsets.UTF_8)), file + ": a line"));
        }
        return records;
    }

    /** A line that a crash cut short is always of a later step than the last checkpoint. */
    private static void keepUpTo(Path file, long step) throws IOException {
        List<String> kept = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            try {
                Object record = Json.parse(line.getBytes(StandardCharsets.UTF_8));
                if (Json.integer(Json.asObject(record, "a line"), "step") > step) {
                    break;
                }
            } catch (JsonException cutShort) {
                break;
            }
            kept.add(line + "\n");
        }
        io.sterna.io.DurableFiles.replace(file, String.join("", kept));
    }
}
