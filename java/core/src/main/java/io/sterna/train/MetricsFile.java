package io.sterna.train;

import io.sterna.io.DurableFiles;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.BufferedWriter;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

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
        // Not by Files: an interrupt would close what that opens.
        this.out = new BufferedWriter(new OutputStreamWriter(new FileOutputStream(file.toFile(), true), StandardCharsets.UTF_8));
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
        String[] lines = lines(file);
        for (int i = 0; i < lines.length; i++) {
            records.add(parse(file, lines, i));
        }
        return records;
    }

    /** A last line that a crash cut short is always of a later step than the last checkpoint. */
    private static void keepUpTo(Path file, long step) throws IOException {
        String[] lines = lines(file);
        int kept = 0;
        while (kept < lines.length && isUpTo(step, file, lines, kept)) {
            kept++;
        }
        DurableFiles.replace(file, Arrays.stream(lines, 0, kept).map(line -> line + "\n").collect(Collectors.joining()));
    }

    private static boolean isUpTo(long step, Path file, String[] lines, int i) {
        try {
            return (long) parse(file, lines, i).get("step") <= step;
        } catch (ConfigException e) {
            if (i == lines.length - 1) {
                return false;
            }
            throw e;
        }
    }

    private static String[] lines(Path file) throws IOException {
        String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8); // what is not UTF-8 is no JSON we wrote
        return text.isEmpty() ? new String[0] : text.split("\n");
    }

    private static Map<String, Object> parse(Path file, String[] lines, int i) {
        try {
            Map<String, Object> record = Json.asObject(Json.parse(lines[i].getBytes(StandardCharsets.UTF_8)), "the line");
            Json.integer(record, "step");
            return record;
        } catch (JsonException e) {
            throw new ConfigException(file + " line " + (i + 1) + ": " + e.getMessage() + "; delete the line", e);
        }
    }
}
