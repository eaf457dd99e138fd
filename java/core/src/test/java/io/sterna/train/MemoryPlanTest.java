package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.nn.LlamaConfig;
import org.junit.jupiter.api.Test;

class MemoryPlanTest {
    /** Such a plan names no chunk of tokens: there would be a quarter of a thousand million. */
    @Test
    void anyNumberOfTokensCanBePlanned() {
        Parts parts = Parts.of(new TrainConfig().set("batch", "65536").set("seq-len", "1048576").resolved());
        MemoryPlan plan = MemoryPlan.of(parts.model(), parts.method(), parts.optimizer(), parts.settings(), 2);
        assertTrue(plan.totalBytes() > 65536L * 1048576 * parts.model().hidden(), "" + plan.totalBytes());
    }

    /** q, k, v and o grow with the heads, and so does attention: a score and a weighted sum of half the sequence each. */
    @Test
    void wideHeadsCost() {
        MemoryPlan usual = plan(new TrainConfig());
        MemoryPlan wide = plan(new TrainConfig().set("head-dim", 64)); // of nano, twice as wide
        LlamaConfig nano = LlamaConfig.preset("nano");
        long weights = 4L * nano.hidden() * nano.hidden() * nano.layers();
        assertEquals(weights + (long) nano.hidden() * nano.layers(), wide.totalParameters() - usual.totalParameters(), "and SubLN's norm");
        assertEquals(6.0 * (weights + (long) nano.layers() * nano.seqLen() * nano.hidden()), wide.flopPerToken() - usual.flopPerToken());
    }

    private static MemoryPlan plan(TrainConfig config) {
        Parts parts = Parts.of(config.resolved());
        return MemoryPlan.of(parts.model(), parts.method(), parts.optimizer(), parts.settings(), 2);
    }
}
