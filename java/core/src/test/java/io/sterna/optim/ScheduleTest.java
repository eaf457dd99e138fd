package io.sterna.optim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.sterna.tensor.StateType;
import org.junit.jupiter.api.Test;

class ScheduleTest {
    @Test
    void warmUpRisesToThePeak() {
        Schedule cosine = Schedule.cosine(1e-3, 10, 110);
        assertEquals(1e-4, cosine.rate(1), 1e-12);
        assertEquals(1e-3, cosine.rate(10), 1e-12);
    }

    @Test
    void curvesEndWhereTheyShould() {
        assertEquals(0, Schedule.cosine(1e-3, 10, 110).rate(110), 1e-12);
        assertEquals(5e-4, Schedule.cosine(1e-3, 10, 110).rate(60), 1e-12);
        assertEquals(1e-4, new Schedule(Schedule.Kind.LINEAR, 1e-3, 0, 100, 0.1, 0).rate(100), 1e-12);
        assertEquals(1e-3, Schedule.constant(1e-3, 0, 100).rate(100), 1e-12);
        assertEquals(0, Schedule.linear(1e-3, 0, 100).rate(1000), 1e-12);
    }

    @Test
    void theSecondStageIsLowerAndWithoutDecay() {
        Schedule stages = Schedule.twoStage(1.5e-3, 0, 100);
        assertEquals(1.5e-3 * 0.5, stages.rate(50), 1e-12);
        assertEquals(1e-3 * 0.49, stages.rate(51), 1e-12);
        assertEquals(0, stages.rate(100), 1e-12);
        assertEquals(0.1, stages.weightDecay(50, 0.1));
        assertEquals(0, stages.weightDecay(51, 0.1));
        assertEquals(0.1, Schedule.cosine(1, 0, 100).weightDecay(99, 0.1));
    }

    @Test
    void impossibleSchedulesAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> Schedule.cosine(0, 0, 10));
        assertThrows(IllegalArgumentException.class, () -> Schedule.cosine(1, 10, 10));
        assertThrows(IllegalArgumentException.class, () -> Schedule.cosine(Double.NaN, 0, 10));
        assertThrows(IllegalArgumentException.class, () -> new OptimizerConfig(OptimizerConfig.Kind.SGD, 0, 0, 1e-6, 0, 1, 1,
                StateType.F32));
    }
}
