package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** The golden bytes of {@code test-data/packed-layout.txt}, by way of Java's matrices, on every tier granted. */
class PackedLayoutTest {
    private static final Path GOLDEN = Path.of(System.getProperty("basedir", ""), "../../test-data/packed-layout.txt");
    private static final String TRITS = "trits";

    /** A row: the name of its grid, or trits; codes; packed bytes. */
    record Row(String form, float[] codes, byte[] bytes) {
        static Row parse(String line) {
            String[] parts = line.split(" \\| ");
            String[] words = parts[1].split(" ");
            float[] codes = new float[words.length];
            for (int i = 0; i < codes.length; i++) {
                codes[i] = Float.parseFloat(words[i]);
            }
            return new Row(parts[0], codes, HexFormat.of().parseHex(parts[2]));
        }

        Grid grid() {
            return form.equals(TRITS) ? Grid.TERNARY : Grid.valueOf(form.toUpperCase(Locale.ROOT));
        }
    }

    private static List<Row> golden() throws IOException {
        return Files.readAllLines(GOLDEN).stream().filter(line -> !line.startsWith("#")).map(Row::parse).toList();
    }

    @Test
    void everyGridIsPackedAndReadBack() throws IOException {
        List<Row> rows = golden().stream().filter(row -> !row.form.equals(TRITS)).toList();
        assertEquals(Grid.values().length, rows.stream().map(Row::grid).distinct().count());
        for (Tier tier : Arrays.copyOf(Tier.values(), Tier.granted().ordinal() + 1)) {
            for (Row row : rows) {
                packedAndReadBack(Kernels.of(tier), row);
            }
        }
    }

    private static void packedAndReadBack(Kernels kernels, Row row) {
        try (Workspace workspace = new Workspace()) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, 1, row.codes.length);
            FloatMatrix back = FloatMatrix.allocate(section, FloatType.F32, 1, row.codes.length);
            PackedMatrix w = unscaled(section, row);
            MemorySegment.copy(row.codes, 0, x.data(), ValueLayout.JAVA_FLOAT, 0, row.codes.length);
            kernels.encode(x, w, 0, 1);
            assertArrayEquals(row.bytes, w.codes().toArray(ValueLayout.JAVA_BYTE), kernels.tier() + " " + row.form);
            kernels.decode(w, back, 0, 1);
            assertArrayEquals(row.codes, back.data().toArray(ValueLayout.JAVA_FLOAT), kernels.tier() + " " + row.form);
        }
    }

    @Test
    void tritsArePackedAndReadBack() throws IOException {
        List<Row> rows = golden().stream().filter(row -> row.form.equals(TRITS)).toList();
        assertEquals(5, rows.size());
        for (Row row : rows) {
            try (Workspace workspace = new Workspace()) {
                Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
                FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, 1, row.codes.length);
                PackedMatrix w = unscaled(section, row);
                PackedMatrix back = unscaled(section, row);
                MemorySegment trits = section.allocate(row.bytes.length);
                MemorySegment.copy(row.codes, 0, x.data(), ValueLayout.JAVA_FLOAT, 0, row.codes.length);
                Kernels.best().encode(x, w, 0, 1);
                Kernels.packTrits(w, trits, 0, 1);
                assertArrayEquals(row.bytes, Arrays.copyOf(trits.toArray(ValueLayout.JAVA_BYTE), row.bytes.length));
                Kernels.unpackTrits(trits, back, 0, 1);
                assertArrayEquals(w.codes().toArray(ValueLayout.JAVA_BYTE), back.codes().toArray(ValueLayout.JAVA_BYTE));
            }
        }
    }

    /** A row of weights on the row's grid, by the scale 1. */
    private static PackedMatrix unscaled(Workspace.Section section, Row row) {
        PackedMatrix w = PackedMatrix.allocate(section, row.grid(), Scaling.TENSOR, 1, row.codes.length);
        w.scales().setAtIndex(ValueLayout.JAVA_FLOAT, 0, 1);
        return w;
    }
}
