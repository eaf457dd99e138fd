package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Threads that the system does not grant, in a JVM of its own: its address space holds few of their stacks. */
@EnabledOnOs(OS.LINUX)
@Timeout(60)
class SlicesShortageTest {
    private static final String LIMITED = "ulimit -v 16000000 && exec \"$@\"";
    private static final int TOO_MANY = 64;

    @Test
    void whatCannotStartLeavesNoThreadBehind() throws Exception {
        Process process = new ProcessBuilder("sh", "-c", LIMITED, "sh", Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx64m", "-Xss512m", "-Xlog:disable", "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                SlicesShortageTest.class.getName()).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        assertTrue(output.contains("refused 3, slices run 10, threads left 0"), output);
    }

    /** Asks for too many threads, several times, then for a few. */
    public static void main(String[] none) {
        int refused = 0;
        for (int i = 0; i < 3; i++) {
            try (Slices slices = new Slices(TOO_MANY)) {
                System.out.println(slices.workers() + " threads: the limit is too high to test anything");
            } catch (OutOfMemoryError expected) {
                refused++;
            }
        }
        AtomicInteger run = new AtomicInteger();
        try (Slices slices = new Slices(3)) {
            slices.run(10, (i, worker) -> run.incrementAndGet());
        }
        long left = Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().startsWith("sterna-slice-")).count();
        System.out.println("refused " + refused + ", slices run " + run + ", threads left " + left);
    }
}
