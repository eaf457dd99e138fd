package io.sterna.train;

import io.sterna.kernel.NativeHeap;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Memory of this process and of the machine, in bytes, where the system says it (Linux); empty elsewhere. Thread-safe. */
public final class ProcessMemory {
    private static final Path STATUS = Path.of("/proc/self/status");
    private static final Path CLEAR = Path.of("/proc/self/clear_refs");
    private static final Path GROUPS = Path.of("/proc/self/cgroup");
    private static final Path GROUPS_ROOT = Path.of("/sys/fs/cgroup");
    private static final Path MEMORY = Path.of("/proc/meminfo");

    private ProcessMemory() {}

    /**
     * Resident set now.
     *
     * @throws IOException when what the system says cannot be read
     */
    public static OptionalLong rss() throws IOException {
        return kilobytes(STATUS, "VmRSS");
    }

    /**
     * Gives back the free memory of both heaps, and lets {@link #peakRss} count from now on where the system allows it.
     * The whole process feels it, so that this is for a process's own program alone, not for a library in one.
     */
    public static void startAfresh() {
        System.gc();
        NativeHeap.trim();
        try {
            Files.writeString(CLEAR, "5"); // see proc(5)
        } catch (IOException | UnsupportedOperationException notHere) {
            return; // then the peak is that of the whole process
        }
    }

    /**
     * Largest resident set since the process started, or since {@link #startAfresh}.
     *
     * @throws IOException when what the system says cannot be read
     */
    public static OptionalLong peakRss() throws IOException {
        return kilobytes(STATUS, "VmHWM");
    }

    /**
     * What could be taken without swapping, within the limits of this process's control groups.
     *
     * @throws IOException when what the system says cannot be read
     */
    public static OptionalLong available() throws IOException {
        return ControlGroup.least(kilobytes(MEMORY, "MemAvailable"), ControlGroup.left(GROUPS, GROUPS_ROOT));
    }

    /**
     * How much is missing to take so many bytes, in words: "needs 2,000 bytes and 1,000 are available"; empty when they are
     * there, or the system does not say.
     *
     * @throws IOException when what the system says cannot be read
     */
    public static Optional<String> shortage(long bytes) throws IOException {
        OptionalLong available = available();
        return available.isEmpty() || bytes <= available.getAsLong() ? Optional.empty()
                : Optional.of(String.format(Locale.ROOT, "needs %,d bytes and %,d are available", bytes, available.getAsLong()));
    }

    /**
     * The machine's memory.
     *
     * @throws IOException when what the system says cannot be read
     */
    public static OptionalLong total() throws IOException {
        return kilobytes(MEMORY, "MemTotal");
    }

    private static OptionalLong kilobytes(Path file, String field) throws IOException {
        OptionalLong found = find(file, field + ":\\s+(\\d+) kB");
        return found.isPresent() ? OptionalLong.of(found.getAsLong() * 1024) : found;
    }

    /** The number in a line of a file; empty without the file or the line. */
    static OptionalLong find(Path file, String line) throws IOException {
        if (!Files.isReadable(file)) {
            return OptionalLong.empty();
        }
        Matcher m = Pattern.compile("(?m)^" + line + "$").matcher(Files.readString(file));
        return m.find() ? OptionalLong.of(Long.parseLong(m.group(1))) : OptionalLong.empty();
    }
}
