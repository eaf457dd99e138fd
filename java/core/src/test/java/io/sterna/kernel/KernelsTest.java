package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.ffm.sterna_gradient;
import io.sterna.kernel.ffm.sterna_h;
import io.sterna.kernel.ffm.sterna_matrix;
import io.sterna.kernel.ffm.sterna_moment;
import io.sterna.kernel.ffm.sterna_packed;
import io.sterna.kernel.ffm.sterna_quantized;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.StateType;
import io.sterna.tensor.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What Java refuses before, and what kernels refuse after, a downcall. */
class KernelsTest {
    private final Kernels kernels = Kernels.best();
    private final Slices slices = new Slices(1);
    private final Workspace workspace = new Workspace();
    private final Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
    private final FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, 4, 80);
    private final QuantizedMatrix q = QuantizedMatrix.allocate(section, 4, 80);
    private final PackedMatrix w = PackedMatrix.allocate(section, Grid.TERNARY, Scaling.ROW, 24, 80);
    private final FloatMatrix y = FloatMatrix.allocate(section, FloatType.F32, 4, 24);
    private final MemorySegment scratch = section.allocate(Slices.SCRATCH_BYTES);

    @AfterEach
    void close() {
        if (workspace.isAlive()) {
            workspace.close();
        }
        slices.close();
    }

    @Test
    void descriptorsAreTheNativeStructs() {
        assertSameFields(sterna_matrix.layout(), FloatMatrix.LAYOUT);
        assertSameFields(sterna_quantized.layout(), QuantizedMatrix.LAYOUT);
        assertSameFields(sterna_gradient.layout(), QuantizedGradient.LAYOUT);
        assertSameFields(sterna_packed.layout(), PackedMatrix.LAYOUT);
        assertSameFields(sterna_moment.layout(), Moment.LAYOUT);
    }

    private static void assertSameFields(MemoryLayout expected, StructLayout actual) {
        List<MemoryLayout> fields = ((StructLayout) expected).memberLayouts();
        assertEquals(expected.byteSize(), actual.byteSize());
        assertEquals(fields.size(), actual.memberLayouts().size());
        for (int i = 0; i < fields.size(); i++) {
            MemoryLayout field = actual.memberLayouts().get(i);
            assertEquals(fields.get(i).name(), field.name());
            assertEquals(fields.get(i).byteSize(), field.byteSize());
        }
    }

    @Test
    void enumsAreTheNativeConstants() {
        assertEquals("avx512vnni", Tier.AVX512VNNI.toString());
        for (Tier tier : Tier.values()) {
            assertEquals(tier.toString(), sterna_h.sterna_tier_name(tier.code()).getString(0));
        }
        for (Grid grid : Grid.values()) {
            assertEquals(grid.rowBytes(130), sterna_h.sterna_row_bytes(grid.code(), 130));
        }
        assertEquals(sterna_h.STERNA_I8(), StateType.INT8.code());
        assertEquals(sterna_h.STERNA_BF16(), FloatType.BF16.code());
        assertEquals(sterna_h.STERNA_PER_GROUP(), Scaling.group(64).code());
        assertEquals(sterna_h.STERNA_NEAREST(), Rounding.NEAREST.code());
        assertEquals(sterna_h.STERNA_GRADIENT_GROUP(), QuantizedGradient.GROUP);
    }

    @Test
    void unknownTiersAreRefused() {
        assertEquals(Tier.REFERENCE, Tier.parse("Reference"));
        assertTrue(assertThrows(IllegalArgumentException.class, () -> Tier.parse("avx1024")).getMessage().contains("avx1024"));
    }

    @Test
    void tiersThatTheMachineLacksAreNamed() {
        for (Tier tier : Tier.values()) {
            if (tier.compareTo(Tier.granted()) > 0) {
                String refusal = "tier " + tier + ": this machine grants at most " + Tier.granted();
                assertEquals(refusal, assertThrows(IllegalArgumentException.class, () -> Kernels.of(tier)).getMessage());
                assertEquals(refusal, assertThrows(IllegalArgumentException.class,
                        () -> Machine.ceiling(tier, Machine.Probe.F32, slices)).getMessage());
            }
        }
    }

    @Test
    void wrongShapesAreNamed() {
        var refusal = assertThrows(IllegalArgumentException.class, () -> kernels.quantize(y, q, 0, 4));
        assertEquals("q = int8 activations (4, 80): expected shape (4, 24)", refusal.getMessage());
        assertThrows(IllegalArgumentException.class, () -> kernels.linear(q, w, x, null, 0, 24, scratch));
        assertThrows(IllegalArgumentException.class, () -> kernels.linear(q, w, y, null, 0, 25, scratch));
        assertThrows(IllegalArgumentException.class, () -> kernels.linear(q, w, y, null, -1, 24, scratch));
        assertThrows(IllegalArgumentException.class, () -> kernels.encode(y, w, 0, 24));
        assertThrows(IllegalArgumentException.class, () -> kernels.copy(x, y, 0, 4));
    }

    @Test
    void smallOrForeignMemoryIsRefused() {
        MemorySegment few = section.allocate(64);
        assertThrows(IllegalArgumentException.class, () -> kernels.linear(q, w, y, null, 0, 24, few));
        assertThrows(IllegalArgumentException.class, () -> kernels.gather(x, few.asSlice(0, 8), x, 0, 4));
        MemorySegment heap = MemorySegment.ofArray(new int[4]);
        assertThrows(IllegalArgumentException.class, () -> kernels.gather(x, heap, x, 0, 4));
    }

    /** Before the downcall: at a page that is mapped to be read, a kernel that writes ends the JVM. */
    @Test
    void readOnlyMemoryIsRefusedWhereKernelsWrite() {
        MemorySegment memory = section.allocate(Slices.SCRATCH_BYTES).asReadOnly();
        kernels.gather(x, memory, x, 0, 4);
        MemorySegment flips = section.allocate(8);
        assertReadOnly("scratch", () -> kernels.linear(q, w, y, null, 0, 24, memory));
        assertReadOnly("stats", () -> kernels.statistics(x, 0, memory, 0, 4));
        assertReadOnly("counts", () -> kernels.histogram(w, memory, 0, 24));
        assertReadOnly("trits", () -> Kernels.packTrits(w, memory, 0, 24));
        assertReadOnly("squares", () -> kernels.rowSquares(x, memory, 0, 4));
        assertReadOnly("sums", () -> kernels.columnSquares(x, memory, 0, 80));
        assertReadOnly("squares", () -> kernels.sgd(new SgdStep(section), x, null, memory, 0, 4));
        FloatMatrix delta = FloatMatrix.allocate(section, FloatType.F32, 24, 80);
        assertReadOnly("flips", () -> kernels.updatePacked(w, delta, 1, 7, Rounding.NEAREST, flips.asReadOnly(), 0, 24));
    }

    private static void assertReadOnly(String name, Executable call) {
        assertEquals(name + ": is read-only", assertThrows(IllegalArgumentException.class, call).getMessage());
    }

    @Test
    void memoryOfAnotherThreadAloneIsNamed() throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment counts = arena.allocate(256 * Long.BYTES, Long.BYTES);
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread other = Thread.ofPlatform().uncaughtExceptionHandler((_, e) -> thrown.set(e)).start(() -> kernels.histogram(w, counts, 0, 24));
            other.join();
            assertEquals("counts: is the memory of another thread alone", thrown.get().getMessage());
        }
    }

    @Test
    void closedMemoryIsRefused() {
        workspace.close();
        var refusal = assertThrows(IllegalArgumentException.class, () -> kernels.quantize(x, q, 0, 4));
        assertEquals("x = f32 (4, 80): its memory has been closed", refusal.getMessage());
    }

    @Test
    void kernelsNameWhatTheyRefuse() {
        x.set(2, 3, Float.NaN);
        var refusal = assertThrows(KernelException.class, () -> kernels.quantize(x, q, 0, 4));
        assertEquals(KernelException.Reason.NONFINITE, refusal.reason());
        assertEquals("quantize: x = f32 (4, 80): holds a NaN or an infinity", refusal.getMessage());
        MemorySegment ids = section.allocate(16);
        ids.set(ValueLayout.JAVA_INT, 4, 99);
        var unknown = assertThrows(KernelException.class, () -> kernels.gather(x, ids, x, 0, 4));
        assertEquals(KernelException.Reason.BAD_VALUE, unknown.reason());
        assertEquals("gather: ids = 99 in row 1: holds a value with no meaning", unknown.getMessage());
    }

    @Test
    void targetsAndStepsAreRefusedByTheirValues() {
        FloatMatrix rows = FloatMatrix.allocate(section, FloatType.F32, 1, 4);
        MemorySegment targets = section.allocate(16);
        targets.set(ValueLayout.JAVA_INT, 8, -2);
        var target = assertThrows(KernelException.class, () -> kernels.crossEntropyGradient(x, 0, targets, rows, rows, 1, x, 0, 4));
        assertEquals("cross_entropy_gradient: targets = -2 in row 2: holds a value with no meaning", target.getMessage());
        SgdStep step = new SgdStep(section);
        step.set(Float.NaN, 0.5f, 1, 7);
        var refusal = assertThrows(KernelException.class, () -> kernels.sgd(step, x, null, section.allocate(32), 0, 4));
        assertEquals("sgd: step = rate NaN, momentum 0.5, factor 1.0: outside its range", refusal.getMessage());
    }

    @Test
    void aStepThatHasBeenClosedIsNamed() {
        try (Workspace other = new Workspace()) {
            FloatMatrix g = FloatMatrix.allocate(other.section(MemoryKind.SCRATCH), FloatType.F32, 4, 80);
            MemorySegment squares = other.section(MemoryKind.SCRATCH).allocate(32);
            SgdStep step = new SgdStep(section);
            workspace.close();
            var refusal = assertThrows(IllegalArgumentException.class, () -> kernels.sgd(step, g, null, squares, 0, 4));
            assertEquals("step = SgdStep: its memory has been closed", refusal.getMessage());
        }
    }

    @Test
    void unsoundTritsAreRefused() {
        MemorySegment trits = section.allocate(24 * 16);
        trits.fill((byte) 243);
        var refusal = assertThrows(KernelException.class, () -> Kernels.unpackTrits(trits, w, 0, 24));
        assertEquals(KernelException.Reason.BAD_VALUE, refusal.reason());
        assertTrue(refusal.getMessage().startsWith("trits_unpack: trits"), refusal.getMessage());
        assertThrows(IllegalArgumentException.class, () -> Kernels.packTrits(w, trits.asSlice(0, 10), 0, 24));
    }

    @Test
    void aDeltaThatIsNotFiniteIsAResult() {
        for (int r = 0; r < 24; r++) {
            w.scales().setAtIndex(ValueLayout.JAVA_FLOAT, r, 1);
        }
        FloatMatrix delta = FloatMatrix.allocate(section, FloatType.F32, 24, 80);
        MemorySegment flips = section.allocate(8);
        assertTrue(kernels.updatePacked(w, delta, 1, 7, Rounding.STOCHASTIC, flips, 0, 24));
        delta.set(1, 1, Float.POSITIVE_INFINITY);
        assertFalse(kernels.updatePacked(w, delta, 1, 7, Rounding.STOCHASTIC, flips, 0, 24));
        assertEquals(0, flips.get(ValueLayout.JAVA_LONG, 0));
    }

    @Test
    void anAttentionCallChecksItsOperands() {
        var shape = new AttentionCall.Shape(2, 2, 4, 2, 20);
        FloatMatrix keys = FloatMatrix.allocate(section, FloatType.F32, 4, 40);
        FloatMatrix lse = FloatMatrix.allocate(section, FloatType.F32, 4, 4);
        AttentionCall call = new AttentionCall(section, shape, x, keys, keys, x, lse);
        kernels.attentionForward(call, 0, call.units(), scratch);
        assertThrows(IllegalArgumentException.class, () -> kernels.attentionBackward(call, 0, call.units(), scratch));
        assertThrows(IllegalArgumentException.class, () -> call.resize(new AttentionCall.Shape(3, 2, 4, 2, 20)));
        assertEquals(4, call.units(), "a call that was refused a shape stays what it was");
        assertThrows(IllegalArgumentException.class, () -> new AttentionCall(section, shape, x, x, keys, x, lse));
        try (Workspace other = new Workspace()) {
            FloatMatrix foreign = FloatMatrix.allocate(other.section(MemoryKind.SCRATCH), FloatType.F32, 4, 40);
            assertThrows(IllegalArgumentException.class, () -> new AttentionCall(section, shape, x, foreign, keys, x, lse));
        }
    }
}
