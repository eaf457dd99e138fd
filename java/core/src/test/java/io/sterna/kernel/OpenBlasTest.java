package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.ffm.cblas_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OpenBlasTest {
    private static final int M = 5;
    private static final int N = 7;
    private static final int K = 11;

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void multipliesInEveryOrientation(boolean transposeA, boolean transposeB) {
        try (Arena arena = Arena.ofConfined()) {
            Random random = new Random(1);
            int lda = (transposeA ? M : K) + 2;
            int ldb = (transposeB ? K : N) + 3;
            int ldc = N + 1;
            MemorySegment a = integers(arena, random, (transposeA ? K : M) * lda);
            MemorySegment b = integers(arena, random, (transposeB ? N : K) * ldb);
            MemorySegment c = integers(arena, random, M * ldc);
            float[] expected = c.toArray(ValueLayout.JAVA_FLOAT);
            for (int i = 0; i < M; i++) {
                for (int j = 0; j < N; j++) {
                    float sum = 0;
                    for (int k = 0; k < K; k++) {
                        sum += at(a, transposeA ? k * lda + i : i * lda + k) * at(b, transposeB ? j * ldb + k : k * ldb + j);
                    }
                    expected[i * ldc + j] = 2 * sum + 3 * expected[i * ldc + j];
                }
            }
            OpenBlas.sgemm(transposeA, transposeB, M, N, K, 2, a, lda, b, ldb, 3, c, ldc);
            // Small integers: every order of summation is exact.
            assertArrayEquals(expected, c.toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    @Test
    void staysOnTheCallersThread() {
        OpenBlas.load();
        assertEquals(1, cblas_h.openblas_get_num_threads());
    }

    @Test
    void namesItself() {
        assertTrue(OpenBlas.config().startsWith("OpenBLAS 0."), OpenBlas.config());
        assertTrue(!OpenBlas.coreName().isBlank());
    }

    @Test
    void refusesSegmentsThatAreTooSmallAndStridesThatOverlap() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment small = arena.allocate(3 * Float.BYTES, 64);
            MemorySegment full = arena.allocate(4 * Float.BYTES, 64);
            assertEquals("b has 3 floats and a 2 x 2 matrix with stride 2 takes 4",
                    assertThrows(IllegalArgumentException.class,
                            () -> OpenBlas.sgemm(false, false, 2, 2, 2, 1, full, 2, small, 2, 0, full, 2)).getMessage());
            assertThrows(IllegalArgumentException.class,
                    () -> OpenBlas.sgemm(false, false, 2, 2, 2, 1, full, 1, full, 2, 0, full, 2));
            assertThrows(IllegalArgumentException.class,
                    () -> OpenBlas.sgemm(false, false, 0, 2, 2, 1, full, 2, full, 2, 0, full, 2));
            int most = Integer.MAX_VALUE; // the bytes are beyond a long
            assertThrows(IllegalArgumentException.class,
                    () -> OpenBlas.sgemm(false, false, most, 1, most, 1, full, most, full, 1, 0, full, 1));
        }
    }

    @Test
    void refusesMemoryThatNativeCodeCannotUse() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment full = arena.allocate(4 * Float.BYTES, 64);
            MemorySegment heap = MemorySegment.ofArray(new float[4]);
            assertEquals("c: is read-only", assertThrows(IllegalArgumentException.class,
                    () -> OpenBlas.sgemm(false, false, 2, 2, 2, 1, full, 2, full, 2, 0, full.asReadOnly(), 2)).getMessage());
            assertEquals("b: must be off-heap memory", assertThrows(IllegalArgumentException.class,
                    () -> OpenBlas.sgemm(false, false, 2, 2, 2, 1, full, 2, heap, 2, 0, full, 2)).getMessage());
        }
    }

    private static MemorySegment integers(Arena arena, Random random, int count) {
        MemorySegment floats = arena.allocate((long) count * Float.BYTES, 64);
        for (int i = 0; i < count; i++) {
            floats.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextInt(-9, 10));
        }
        return floats;
    }

    private static float at(MemorySegment floats, int index) {
        return floats.getAtIndex(ValueLayout.JAVA_FLOAT, index);
    }
}
