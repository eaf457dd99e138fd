package io.sterna.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.sterna.kernel.KernelException;
import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KvStoreTest {
    private static final int HEAD_DIM = 64;

    private final Workspace workspace = new Workspace();
    private final Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
    private final Kernels kernels = Kernels.best();

    @AfterEach
    void close() {
        workspace.close();
    }

    /** Two heads' columns of a matrix of three, appended twice, read, copied to another store; by row, and by column as keys. */
    @ParameterizedTest
    @CsvSource({"F32, false", "BF16, false", "INT8, false", "F32, true", "BF16, true", "INT8, true"})
    void whatIsReadIsWhatWasWritten(CacheType type, boolean byColumn) {
        int head1 = Kernels.KEY_BLOCK;
        KvStore store = KvStore.allocate(section, type, 2 * head1, HEAD_DIM);
        KvStore other = KvStore.allocate(section, type, 2 * head1, HEAD_DIM);
        KvStore.Lane lane = KvStore.Lane.of(section, type);
        FloatMatrix all = FloatMatrix.allocate(section, FloatType.F32, 4, 3 * HEAD_DIM);
        for (int r = 0; r < 4; r++) {
            for (int c = 0; c < 3 * HEAD_DIM; c++) {
                all.set(r, c, r == 2 ? 0 : (float) Math.sin(r + 7 * c) * (r + 1));
            }
        }
        FloatMatrix heads = FloatMatrix.window(section);
        store.show(0, 2 * head1, lane);
        lane.append(kernels, heads.over(all, 0, 1, HEAD_DIM, 3 * HEAD_DIM), 0, byColumn);
        lane.append(kernels, heads.over(all, 1, 4, HEAD_DIM, 3 * HEAD_DIM), 1, byColumn);
        other.copy(store, head1, byColumn ? head1 : 4);
        for (KvStore s : new KvStore[] {store, other}) {
            s.show(head1, head1, lane);
            assertEquals(head1, type == CacheType.INT8 ? lane.codes().rows() : lane.floats().rows());
            for (int r = 0; r < 4; r++) {
                double bound = switch (type) {
                    case F32 -> 0;
                    case BF16 -> (r + 1) * 0x1p-8 / 2;
                    case INT8 -> (r + 1) / 127.0 / 2 * (1 + 1e-6);
                };
                for (int c = 0; c < HEAD_DIM; c++) {
                    assertEquals(all.get(r, 2 * HEAD_DIM + c), read(lane, r, c, byColumn), bound, r + " " + c);
                }
            }
        }
    }

    /** Column c of row r of a block. */
    private static float read(KvStore.Lane lane, long r, long c, boolean byColumn) {
        long at = byColumn ? c * Kernels.KEY_BLOCK + r : r * HEAD_DIM + c;
        return lane.floats() != null ? lane.floats().get(at / HEAD_DIM, at % HEAD_DIM)
                : lane.codes().code(at / HEAD_DIM, at % HEAD_DIM) * lane.codes().scale(r);
    }

    @Test
    void whatIsNotFiniteIsRefusedAsCodes() {
        KvStore store = KvStore.allocate(section, CacheType.INT8, 2, HEAD_DIM);
        FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, 1, HEAD_DIM);
        x.set(0, 3, Float.NaN);
        KvStore.Lane lane = KvStore.Lane.of(section, CacheType.INT8);
        store.show(0, 2, lane);
        assertThrows(KernelException.class, () -> lane.append(kernels, x, 0, false));
    }

    @Test
    void typesAreNamed() {
        for (CacheType type : CacheType.values()) {
            assertEquals(type, CacheType.parse(type.toString()));
        }
        assertEquals("cache \"fp8\": expected f32, bf16 or int8",
                assertThrows(IllegalArgumentException.class, () -> CacheType.parse("fp8")).getMessage());
    }
}
