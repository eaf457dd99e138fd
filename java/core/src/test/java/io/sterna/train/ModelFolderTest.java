package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Workspace;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelFolderTest {
    @TempDir
    private Path folder;

    /** Floats take several times the memory of a file that has them in fewer bits. */
    @Test
    void weightsOfElsewhereAreWrittenAFewRowsAtATime() throws IOException {
        TrainConfig config = new TrainConfig().set("method", "fp32").set("hidden", 96).set("intermediate", 300).set("layers", 1).set("heads", 1)
                .set("vocab", 1000).set("seq-len", 16);
        ModelFolder model = ModelFolder.of(folder.resolve("model"), config);
        Map<String, Long> rows = new HashMap<>();
        model.write((part, row0) -> {
            assertEquals(rows.getOrDefault(part.name(), 0L), row0, "parts follow each other");
            assertTrue(row0 % 96 == 0 && part.rows() <= 3 * 96, "256 rows, rounded up to whole heads");
            rows.merge(part.name(), part.rows(), Long::sum);
            FloatMatrix weight = ((Parameter.Plain) part).weight();
            for (long i = 0; i < part.size(); i++) {
                weight.set(i / part.cols(), i % part.cols(), value(part, row0 + i / part.cols(), i % part.cols()));
            }
        }, "{}", Optional.empty());
        ModelFolder written = ModelFolder.open(folder.resolve("model"));
        for (Parameter planned : written.parameters()) {
            assertEquals(planned.rows(), rows.get(planned.name()));
            try (Workspace workspace = new Workspace()) {
                Parameter.Plain read = (Parameter.Plain) written.method().parameter(planned.id(), planned.name(), planned.kind(), planned.rows(),
                        planned.cols(), workspace);
                written.read(List.of(read));
                for (long i = 0; i < read.size(); i++) {
                    assertEquals(value(read, i / read.cols(), i % read.cols()), read.weight().get(i / read.cols(), i % read.cols()));
                }
            }
        }
    }

    private static float value(Parameter parameter, long row, long col) {
        return parameter.id() * 1e6f + row * parameter.cols() + col;
    }
}
