package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.tensor.Grid;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class SelfTestTest {
    @ParameterizedTest
    @EnumSource(Tier.class)
    void everyGrantedTierPasses(Tier tier) {
        org.junit.jupiter.api.Assumptions.assumeTrue(tier.compareTo(Tier.granted()) <= 0, tier + " is not granted");
        assertEquals(List.of(), SelfTest.failures(tier));
    }

    /** One wrong bit in what one kernel wrote: that kernel alone is named, for every grid. */
    @ParameterizedTest
    @ValueSource(strings = {"normal", "linear", "input_gradient_int8", "weight_gradient_int8", "update_packed"})
    void aWrongBitIsReported(String kernel) {
        List<String> failures = SelfTest.failures((grid, workspace) -> {
            List<SelfTest.Result> results = SelfTest.run(Kernels.of(Tier.REFERENCE), grid, workspace);
            results.stream().filter(result -> result.kernel().equals(kernel)).forEach(result -> spoil(result.bytes()));
            return results;
        });
        assertEquals(Arrays.stream(Grid.values()).map(grid -> kernel + " of " + grid).toList(), failures);
    }

    private static void spoil(MemorySegment bytes) {
        assertTrue(bytes.mismatch(MemorySegment.ofArray(new byte[(int) bytes.byteSize()])) >= 0, "the kernel wrote nothing");
        long last = bytes.byteSize() - 1;
        bytes.set(ValueLayout.JAVA_BYTE, last, (byte) (bytes.get(ValueLayout.JAVA_BYTE, last) ^ 1));
    }

    @Test
    void theGrantedTierMissesNothing() {
        assertEquals(List.of(), Machine.missing(Tier.granted()));
        assertTrue(Machine.features().containsAll(Machine.features(Tier.granted())));
    }

    @Test
    void ceilingsAreMeasuredWithAnyNumberOfThreads() {
        for (int threads = 1; threads <= 2; threads++) {
            try (Slices slices = new Slices(threads)) {
                double reached = Machine.ceiling(Tier.REFERENCE, Machine.Probe.F32, slices).orElseThrow();
                assertTrue(reached > 1e6, threads + " threads: " + reached + " operations a second");
            }
        }
    }
}
