package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class MemoryPlanTest {
    /** Such a plan names no chunk of tokens: there would be a quarter of a thousand million. */
    @Test
    void anyNumberOfTokensCanBePlanned() {
        Parts parts = Parts.of(new TrainConfig().set("batch", "65536").set("seq-len", "1048576").resolved());
        MemoryPlan plan = MemoryPlan.of(parts.model(), parts.method(), parts.optimizer(), parts.settings(), 2);
        assertTrue(plan.totalBytes() > 65536L * 1048576 * parts.model().hidden(), "" + plan.totalBytes());
    }
}
