package io.sterna.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class TensorTest {
    private final Workspace workspace = new Workspace();
    private final Workspace.Section section = workspace.section(MemoryKind.SCRATCH);

    @AfterEach
    void close() {
        if (workspace.isAlive()) {
            workspace.close();
        }
    }

    @Test
    void gridsKnowTheirWidths() {
        for (Grid grid : Grid.values()) {
            assertSame(grid, Grid.ofWidth(grid.width()));
            assertEquals(8L * grid.bits(), grid.rowBytes(64));
            assertEquals(16L * grid.bits(), grid.rowBytes(65));
            assertTrue(grid.qn() < 0 && grid.qp() > 0);
        }
        assertSame(Grid.TERNARY, Grid.ofWidth("1.58"));
        assertThrows(IllegalArgumentException.class, () -> Grid.ofWidth("9"));
    }

    @Test
    void scalingsAreReadAndWritten() {
        for (String text : new String[] {"tensor", "row", "group:128"}) {
            assertEquals(text, Scaling.parse(text).toString());
        }
        assertEquals(10 * 3, Scaling.group(64).count(10, 130));
        assertEquals(10, Scaling.ROW.count(10, 130));
        assertThrows(IllegalArgumentException.class, () -> Scaling.parse("group:65"));
        assertThrows(IllegalArgumentException.class, () -> Scaling.parse("column"));
    }

    @Test
    void elementsAreStoredAndRounded() {
        FloatMatrix f32 = FloatMatrix.allocate(section, FloatType.F32, 3, 5);
        f32.set(2, 4, 0.1f);
        assertEquals(0.1f, f32.get(2, 4));
        FloatMatrix bf16 = FloatMatrix.allocate(section, FloatType.BF16, 3, 5);
        bf16.set(0, 0, 1 + 1f / 256); // halfway: to even
        assertEquals(1, bf16.get(0, 0));
        bf16.set(0, 0, 1 + 3f / 256);
        assertEquals(1 + 4f / 256, bf16.get(0, 0));
        bf16.set(0, 0, Float.NaN);
        assertTrue(Float.isNaN(bf16.get(0, 0)));
        bf16.set(0, 0, Float.NEGATIVE_INFINITY);
        assertEquals(Float.NEGATIVE_INFINITY, bf16.get(0, 0));
        assertThrows(IndexOutOfBoundsException.class, () -> f32.get(3, 0));
        assertThrows(IndexOutOfBoundsException.class, () -> f32.get(0, 5));
        assertThrows(IllegalArgumentException.class, () -> FloatMatrix.allocate(section, FloatType.F32, 0, 5));
    }

    @Test
    void windowsSeeTheirMatrix() {
        FloatMatrix m = FloatMatrix.allocate(section, FloatType.F32, 6, 10);
        m.set(4, 7, 3);
        FloatMatrix window = FloatMatrix.window(section);
        assertEquals(3, window.over(m, 3, 5, 6, 9).get(1, 1));
        assertEquals(10, window.stride());
        assertEquals(3, window.overRows(m, 4, 5).get(0, 7));
        assertEquals(3, window.shaped(m, 10, 6).get(7, 5));
        window.set(0, 0, 9);
        assertEquals(9, m.get(0, 0));
        assertThrows(IllegalArgumentException.class, () -> window.overRows(m, 4, 7));
        assertThrows(IllegalArgumentException.class, () -> window.over(m, 0, 1, 5, 5));
        assertThrows(IllegalArgumentException.class, () -> window.shaped(m, 7, 10));
        assertThrows(IllegalStateException.class, () -> m.overRows(m, 0, 1));
        try (Workspace other = new Workspace()) {
            FloatMatrix foreign = FloatMatrix.allocate(other.section(MemoryKind.SCRATCH), FloatType.F32, 2, 2);
            assertThrows(IllegalArgumentException.class, () -> window.overRows(foreign, 0, 1));
        }
    }

    @Test
    void rowsOfFloatsHoldHalfAsManyBytesOfBf16() {
        FloatMatrix m = FloatMatrix.allocate(section, FloatType.F32, 3, 4);
        FloatMatrix front = FloatMatrix.window(section).asBf16(FloatMatrix.window(section).over(m, 0, 3, 1, 3));
        assertEquals(FloatType.BF16, front.type());
        assertEquals(2, front.cols());
        front.set(1, 0, 0);
        front.set(1, 1, 2);
        assertEquals(2, m.get(1, 1)); // the upper half of a float, above zeros
        assertThrows(IllegalArgumentException.class, () -> FloatMatrix.window(section).asBf16(front));
        assertThrows(IllegalStateException.class, () -> m.asBf16(m));
    }

    @Test
    void quantizedWindowsSeeTheirMatrix() {
        QuantizedMatrix m = QuantizedMatrix.allocate(section, 6, 10);
        m.scales().setAtIndex(ValueLayout.JAVA_FLOAT, 4, 3);
        QuantizedMatrix window = QuantizedMatrix.window(section);
        assertEquals(3, window.overRows(m, 3, 5).scale(1));
        assertThrows(IllegalArgumentException.class, () -> window.overRows(m, 4, 7));
        assertThrows(IllegalStateException.class, () -> m.overRows(m, 0, 1));
        try (Workspace other = new Workspace()) {
            QuantizedMatrix foreign = QuantizedMatrix.allocate(other.section(MemoryKind.SCRATCH), 2, 2);
            assertThrows(IllegalArgumentException.class, () -> window.overRows(foreign, 0, 1));
        }
    }

    @Test
    void rowsAreCopiedBetweenMatricesOfTheSameColumns() {
        QuantizedMatrix from = QuantizedMatrix.allocate(section, 4, 80);
        QuantizedMatrix to = QuantizedMatrix.allocate(section, 6, 80);
        from.scales().setAtIndex(ValueLayout.JAVA_FLOAT, 3, 7);
        to.copyRows(from, 2, 4);
        assertEquals(7, to.scale(3));
        to.copyRows(from, 4, 4);
        assertEquals("rows 3...5: not within 0...4", assertThrows(IllegalArgumentException.class, () -> to.copyRows(from, 3, 5)).getMessage());
        assertThrows(IllegalArgumentException.class, () -> to.copyRows(from, -1, 1));
        QuantizedMatrix wide = QuantizedMatrix.allocate(section, 4, 200);
        assertEquals("int8 activations (4, 80): has other columns than int8 activations (4, 200)",
                assertThrows(IllegalArgumentException.class, () -> wide.copyRows(from, 0, 2)).getMessage());
    }

    @Test
    void windowsOfNoRowsAreRefused() {
        FloatMatrix m = FloatMatrix.allocate(section, FloatType.F32, 6, 10);
        for (long size : new long[] {0, -2}) {
            assertEquals("windows of " + size + " rows: must be at least 1",
                    assertThrows(IllegalArgumentException.class, () -> FloatMatrix.windows(section, m, size)).getMessage());
        }
        assertEquals(2, FloatMatrix.windows(section, m, 5).size());
    }

    @Test
    void memoryThatThereIsNotIsNotCounted() {
        assertThrows(OutOfMemoryError.class, () -> FloatMatrix.allocate(section, FloatType.F32, 1 << 24, 1 << 24));
        assertEquals(0, workspace.bytes().get(MemoryKind.SCRATCH));
    }

    @Test
    void sizesBeyondAnyMachineAreRefused() {
        long much = 1L << 32;
        FloatMatrix small = FloatMatrix.allocate(section, FloatType.F32, 4, 4);
        FloatMatrix window = FloatMatrix.window(section);
        assertThrows(IllegalArgumentException.class, () -> FloatMatrix.allocate(section, FloatType.F32, much, much));
        assertThrows(IllegalArgumentException.class, () -> small.reshape(much, much));
        assertThrows(IllegalArgumentException.class, () -> window.shaped(small, much, much));
        assertThrows(IllegalArgumentException.class, () -> QuantizedMatrix.allocate(section, 1L << 62, 60));
        assertThrows(IllegalArgumentException.class, () -> QuantizedGradient.allocate(section, 60, 1L << 62));
        assertThrows(IllegalArgumentException.class, () -> PackedMatrix.allocate(section, Grid.INT8, Scaling.TENSOR, 1L << 60, 64));
        assertThrows(IllegalArgumentException.class, () -> PackedMatrix.bytes(Grid.INT8, Scaling.TENSOR, 1L << 60, 64));
        assertThrows(IllegalArgumentException.class, () -> Moment.allocate(section, StateType.F32, much, much));
    }

    @Test
    void packedMatricesShareOneSegment() {
        PackedMatrix w = PackedMatrix.allocate(section, Grid.INT3, Scaling.group(64), 5, 70);
        assertEquals(5 * 48, w.codes().byteSize());
        assertEquals(5 * 2 * 4, w.scales().byteSize());
        assertEquals(w.codes().address() + w.codes().byteSize(), w.scales().address());
        assertEquals(0, w.codes().address() % Workspace.ALIGNMENT);
    }

    @Test
    void blockWiseMomentsHaveScales() {
        assertEquals(3 * 2 * 4, Moment.allocate(section, StateType.INT8, 3, 65).scales().byteSize());
        assertEquals(0, Moment.allocate(section, StateType.BF16, 3, 65).scales().byteSize());
    }

    @Test
    void aPlanCountsTheSameBytesAndGivesNone() {
        try (Workspace planning = Workspace.planning()) {
            Workspace.Section planned = planning.section(MemoryKind.SCRATCH);
            for (Workspace.Section s : new Workspace.Section[] {section, planned}) {
                FloatMatrix m = FloatMatrix.allocate(s, FloatType.BF16, 3, 7);
                PackedMatrix.allocate(s, Grid.BINARY, Scaling.ROW, 3, 7);
                QuantizedMatrix.allocate(s, 3, 7);
                Moment.allocate(s, StateType.INT8, 3, 7);
                FloatMatrix.window(s).shaped(m, 7, 3);
            }
            assertEquals(workspace.bytes(), planning.bytes());
            assertThrows(IndexOutOfBoundsException.class, () -> FloatMatrix.allocate(planned, FloatType.F32, 1, 1).get(0, 0));
        }
    }

    @Test
    void sectionsOfARegionShareItsMemory() {
        for (Workspace w : new Workspace[] {workspace, Workspace.planning()}) {
            Workspace.Region region = w.section(MemoryKind.SCRATCH).region(256);
            Workspace.Section one = region.section();
            Workspace.Section other = region.section();
            MemorySegment first = one.allocate(100);
            MemorySegment second = one.allocate(100);
            assertEquals(w.isPlanning() ? 0 : 128, second.address() - first.address());
            assertEquals(first.address(), other.allocate(200).address());
            assertEquals(256, w.bytes().get(MemoryKind.SCRATCH));
            other.allocate(1); // all 256 bytes are its own by now
            assertEquals(320, w.bytes().get(MemoryKind.SCRATCH));
        }
        assertEquals(192, Workspace.measure(s -> {
            s.allocate(100);
            s.allocate(64);
        }));
    }

    @Test
    void closedMemoryIsAnException() {
        FloatMatrix m = FloatMatrix.allocate(section, FloatType.F32, 3, 5);
        workspace.close();
        assertFalse(workspace.isAlive());
        assertThrows(IllegalStateException.class, () -> m.get(0, 0));
        assertThrows(IllegalStateException.class, () -> m.data().get(ValueLayout.JAVA_FLOAT, 0));
    }
}
