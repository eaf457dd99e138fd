package io.sterna.train;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.BufferedWriter;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStreamWriter;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/** {@code metrics.jsonl}: one JSON object a line, in order of "step"; read a line at a time. Not thread-safe. */
final class MetricsFile implements AutoCloseable {
    private final Path file;
    private final Map<String, Object> last;
    private final FileOutputStream bytes;
    private final BufferedWriter out;

    /** Opens {@code file} to append after the record of {@code step}; later ones, of steps to be run again, go. */
    MetricsFile(Path file, long step) throws IOException {
        this.file = file;
        this.last = Files.exists(file) ? keepUpTo(file, step) : Map.of();
        // Not by Files: an interrupt would close what that opens.
        this.bytes = new FileOutputStream(file.toFile(), true);
        this.out = new BufferedWriter(new OutputStreamWriter(bytes, StandardCharsets.UTF_8));
    }

    /** The last record that the file had when it was opened; empty without one. */
    Map<String, Object> last() {
        return last;
    }

    /** Appends a record and hands it to the system, so that others can follow the file. */
    void append(Map<String, Object> record) throws IOException {
        try {
            out.write(Json.write(record));
            out.write('\n');
            out.flush();
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /** Waits until what was appended is on the disk. */
    void sync() throws IOException {
        try {
            bytes.getFD().sync();
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private IOException failed(IOException e) {
        return new IOException(file + ": cannot be written (" + e.getMessage()
                + "); free some space, then resume the run from its last checkpoint", e);
    }

    @Override
    public void close() throws IOException {
        out.close();
    }

    /** Hands over all records of {@code file}, one by one. */
    static void forEach(Path file, Consumer<Map<String, Object>> action) throws IOException {
        try (Lines lines = new Lines(file)) {
            while (lines.next()) {
                action.accept(lines.parse());
            }
        }
    }

    /** The last record kept. A last line that a crash cut short is always of a later step than the last checkpoint. */
    private static Map<String, Object> keepUpTo(Path file, long step) throws IOException {
        Map<String, Object> last = Map.of();
        long end = 0;
        try (Lines lines = new Lines(file)) {
            while (lines.next()) {
                Optional<Map<String, Object>> record = parseUnlessCutShort(lines);
                if (record.isEmpty() || (long) record.get().get("step") > step) {
                    break;
                }
                last = record.get();
                end = lines.end();
            }
        }
        cut(file, end);
        return last;
    }

    private static Optional<Map<String, Object>> parseUnlessCutShort(Lines lines) throws IOException {
        try {
            return Optional.of(lines.parse());
        } catch (ConfigException e) {
            if (lines.next()) {
                throw e;
            }
            return Optional.empty();
        }
    }

    /** Ends the file after so many bytes, and with a whole line. */
    private static void cut(Path file, long end) throws IOException {
        try (RandomAccessFile kept = new RandomAccessFile(file.toFile(), "rw")) {
            kept.setLength(end);
            if (end > 0) {
                kept.seek(end - 1);
                if (kept.read() != '\n') {
                    kept.write('\n');
                }
            }
            kept.getFD().sync();
        }
    }

    /** The lines of a file that are not empty. */
    private static final class Lines implements AutoCloseable {
        private final Path file;
        private final InputStream in;
        private final byte[] buffer = new byte[1 << 16];
        private int at;
        private int filled;
        private byte[] line;
        private long number;
        private long end;

        Lines(Path file) throws IOException {
            this.file = file;
            this.in = new FileInputStream(file.toFile());
        }

        /** Goes to the next line, and says whether there is one. */
        boolean next() throws IOException {
            do {
                line = read();
            } while (line != null && line.length == 0);
            return line != null;
        }

        private byte[] read() throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            number++;
            while (at < filled || fill()) {
                int from = at;
                while (at < filled && buffer[at] != '\n') {
                    at++;
                }
                bytes.write(buffer, from, at - from);
                if (at < filled) {
                    at++;
                    end += bytes.size() + 1;
                    return bytes.toByteArray();
                }
            }
            end += bytes.size();
            return bytes.size() == 0 ? null : bytes.toByteArray();
        }

        private boolean fill() throws IOException {
            at = 0;
            filled = Math.max(0, in.read(buffer));
            return filled > 0;
        }

        /** Bytes up to the end of the line. */
        long end() {
            return end;
        }

        Map<String, Object> parse() {
            try {
                Map<String, Object> record = Json.asObject(Json.parse(line), "the line");
                Json.integer(record, "step");
                return record;
            } catch (JsonException e) {
                throw new ConfigException(file + " line " + number + ": " + e.getMessage() + "; delete the line", e);
            }
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }
}
