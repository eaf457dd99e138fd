package io.sterna.train;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The few records of a test's run. */
final class Metrics {
    private Metrics() {}

    static List<Map<String, Object>> read(Path file) throws IOException {
        List<Map<String, Object>> records = new ArrayList<>();
        MetricsFile.forEach(file, records::add);
        return records;
    }
}
