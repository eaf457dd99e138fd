package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class SlicesTest {
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 8})
    void everySliceRunsOnce(int workers) {
        try (Slices slices = new Slices(workers)) {
            for (int count = 0; count < 200; count++) {
                AtomicIntegerArray runs = new AtomicIntegerArray(200);
                slices.run(count, (i, worker) -> runs.incrementAndGet((int) i));
                int[] expected = new int[200];
                Arrays.fill(expected, 0, count, 1);
                for (int i = 0; i < 200; i++) {
                    assertEquals(expected[i], runs.get(i), "slice " + i + " of " + count);
                }
            }
        }
    }

    @Test
    void allWorkersTakePart() {
        try (Slices slices = new Slices(3)) {
            CountDownLatch together = new CountDownLatch(3);
            boolean[] seen = new boolean[3];
            slices.run(3, (i, worker) -> {
                seen[worker.index()] = true;
                together.countDown();
                await(together);
            });
            assertArrayEquals(new boolean[] {true, true, true}, seen);
        }
    }

    /** Each waits in its last slice for the other's, so that none is done early and takes from the other's share. */
    @Test
    void workersTakeTheirOwnShareFirst() {
        try (Slices slices = new Slices(2)) {
            for (int round = 0; round < 100; round++) {
                CountDownLatch together = new CountDownLatch(2);
                int[] taken = new int[16];
                Slices.Body body = (i, worker) -> {
                    taken[(int) i] = worker.index();
                    if (i == 4 || i == 9) {
                        together.countDown();
                        await(together);
                    }
                };
                slices.run(10, body);
                assertArrayEquals(new int[] {0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, Arrays.copyOf(taken, 10));
            }
        }
    }

    /** As above, but the second worker is kept in its first slice until the other one has done all else. */
    @Test
    void whoIsDoneTakesWhatOthersHaveNotBegun() {
        try (Slices slices = new Slices(2)) {
            CountDownLatch rest = new CountDownLatch(8);
            CountDownLatch begun = new CountDownLatch(1);
            int[] taken = new int[10];
            slices.run(10, (i, worker) -> {
                taken[(int) i] = worker.index();
                if (i == 5) {
                    begun.countDown();
                    await(rest);
                } else if (i == 0) {
                    await(begun);
                } else {
                    rest.countDown();
                }
            });
            assertArrayEquals(new int[] {0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, taken);
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void rowsAreCutAtMultiplesAndCovered() {
        try (Slices slices = new Slices(3)) {
            for (int rows = 1; rows < 300; rows += 7) {
                AtomicInteger covered = new AtomicInteger();
                int total = rows;
                slices.rows(rows, 16, (row0, row1, worker) -> {
                    assertEquals(0, row0 % 16);
                    assertTrue(row1 == total || row1 % 16 == 0);
                    covered.addAndGet((int) (row1 - row0));
                });
                assertEquals(rows, covered.get());
            }
        }
    }

    @Test
    void slicesOfNoRowsAreRefused() {
        try (Slices slices = new Slices(1)) {
            assertEquals("slices of 0 rows: must be at least 1",
                    assertThrows(IllegalArgumentException.class, () -> slices.tiles(4, 0, (row0, row1, worker) -> { })).getMessage());
        }
    }

    @Test
    void aNumberOfSlicesThatThereCannotBeIsNamed() {
        for (long count : new long[] {-1, Long.MIN_VALUE, 1L << 31}) {
            var refusal = assertThrows(IllegalArgumentException.class, () -> new Team.Work(count, (_, _) -> { }));
            assertEquals(count + " slices: must lie between 0 and 2147483647", refusal.getMessage());
        }
    }

    @Test
    void workersHaveScratchOfTheirOwn() {
        try (Slices slices = new Slices(2)) {
            long[] addresses = new long[2];
            CountDownLatch together = new CountDownLatch(2);
            slices.run(2, (i, worker) -> {
                addresses[worker.index()] = worker.scratch().address();
                assertEquals(Slices.SCRATCH_BYTES, worker.scratch().byteSize());
                together.countDown();
                await(together);
            });
            assertEquals(0, addresses[0] % 64);
            assertTrue(Math.abs(addresses[0] - addresses[1]) >= Slices.SCRATCH_BYTES);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4})
    void exceptionsReachTheCaller(int workers) {
        try (Slices slices = new Slices(workers)) {
            IllegalStateException thrown = new IllegalStateException("slice 7");
            for (int round = 0; round < 100; round++) {
                assertSame(thrown, assertThrows(IllegalStateException.class, () -> slices.run(50, (i, worker) -> {
                    if (i == 7) {
                        throw thrown;
                    }
                })));
                AtomicInteger after = new AtomicInteger();
                slices.run(10, (i, worker) -> after.incrementAndGet());
                assertEquals(10, after.get());
            }
        }
    }

    /** Both workers are inside their first slice when one of them throws: none begins a second one. */
    @Test
    void afterAFailureNoSliceBeginsAndNoExceptionIsLost() {
        try (Slices slices = new Slices(2)) {
            CountDownLatch together = new CountDownLatch(2);
            AtomicInteger begun = new AtomicInteger();
            RuntimeException[] thrown = {new IllegalStateException("worker 0"), new IllegalStateException("worker 1")};
            RuntimeException first = assertThrows(IllegalStateException.class, () -> slices.run(50, (i, worker) -> {
                begun.incrementAndGet();
                together.countDown();
                await(together);
                throw thrown[worker.index()];
            }));
            RuntimeException other = first == thrown[0] ? thrown[1] : thrown[0];
            assertArrayEquals(new Throwable[] {other}, first.getSuppressed());
            assertEquals(2, begun.get());
        }
    }

    @Test
    void workersMayThrowTheSameObject() {
        try (Slices slices = new Slices(2)) {
            CountDownLatch together = new CountDownLatch(2);
            OutOfMemoryError thrown = new OutOfMemoryError();
            assertSame(thrown, assertThrows(OutOfMemoryError.class, () -> slices.run(2, (i, worker) -> {
                together.countDown();
                await(together);
                throw thrown;
            })));
            AtomicInteger after = new AtomicInteger();
            slices.run(10, (i, worker) -> after.incrementAndGet());
            assertEquals(10, after.get());
        }
    }

    @Test
    void aRunInsideARunIsRefused() {
        try (Slices slices = new Slices(2)) {
            assertThrows(IllegalStateException.class, () -> slices.run(2, (i, worker) -> slices.run(1, (j, w) -> { })));
        }
    }

    @Test
    void afterCloseItRefuses() {
        Slices slices = new Slices(2);
        slices.close();
        slices.close();
        assertThrows(IllegalStateException.class, () -> slices.run(1, (i, worker) -> { }));
        assertThrows(IllegalArgumentException.class, () -> new Slices(0));
    }

    @Test
    void closingEndsTheThreads() throws InterruptedException {
        Thread[] helper = new Thread[1];
        CountDownLatch together = new CountDownLatch(2);
        try (Slices slices = new Slices(2)) {
            slices.run(2, (i, worker) -> {
                if (worker.index() == 1) {
                    helper[0] = Thread.currentThread();
                }
                together.countDown();
                await(together);
            });
            Thread.sleep(20); // long enough for the helper to park
            slices.run(2, (i, worker) -> { });
        }
        helper[0].join();
    }

    @Test
    void severalInstancesWorkSideBySide() throws InterruptedException {
        AtomicInteger total = new AtomicInteger();
        Runnable work = () -> {
            try (Slices slices = new Slices(2)) {
                for (int i = 0; i < 500; i++) {
                    slices.run(8, (j, worker) -> total.incrementAndGet());
                }
            }
        };
        Thread other = Thread.ofPlatform().start(work);
        work.run();
        other.join();
        assertEquals(8000, total.get());
    }
}
