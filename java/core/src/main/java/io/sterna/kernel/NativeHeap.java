package io.sterna.kernel;

import io.sterna.tensor.Workspace;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicLong;

/** The heap of the C library, from which tensors, the JVM's compilers and zip streams take memory. Thread-safe. */
public final class NativeHeap {
    /** Trimming walks through the whole heap of the process, so that small workspaces wait until they are worth it together. */
    private static final long WORTH_A_TRIM = 16 << 20;

    private static final AtomicLong waiting = new AtomicLong();

    private NativeHeap() {}

    /**
     * Closes a workspace, and gives its memory back to the system: glibc keeps what is freed, but for large blocks of a size that it has
     * not freed before. Of workspaces smaller than 16 MB so much may stay until others are closed.
     */
    public static void close(Workspace workspace) {
        long bytes = workspace.totalBytes();
        workspace.close();
        if (waiting.addAndGet(bytes) >= WORTH_A_TRIM) {
            waiting.set(0); // first: what another thread frees from here on counts for the next time
            trim();
        }
    }

    /**
     * Gives what is free in it back to the system, where the C library can; glibc keeps some 30 MB after a busy minute.
     *
     * @throws NativeLibraryException when the JVM was told to deny native access to Sterna
     */
    public static void trim() {
        LibraryCache.requireAccess();
        Linker linker = Linker.nativeLinker();
        linker.defaultLookup().find("malloc_trim").ifPresent(function -> trim(linker, function));
    }

    private static void trim(Linker linker, MemorySegment function) {
        try {
            int _ = (int) linker.downcallHandle(function, FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG))
                    .invokeExact(0L);
        } catch (Throwable e) {
            throw new AssertionError("malloc_trim throws nothing", e);
        }
    }
}
