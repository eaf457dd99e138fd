package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SelfTestTest {
    @ParameterizedTest
    @EnumSource(Tier.class)
    void everyGrantedTierPasses(Tier tier) {
        org.junit.jupiter.api.Assumptions.assumeTrue(tier.compareTo(Tier.granted()) <= 0, tier + " is not granted");
        assertEquals(List.of(), SelfTest.failures(tier));
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
