package io.sterna.kernel;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The heap of the C library, from which the JVM's compilers and zip streams take memory. Thread-safe. */
public final class NativeHeap {
    private NativeHeap() {}

    /** Gives what is free in it back to the system, where the C library can; glibc keeps some 30 MB after a busy minute. */
    public static void trim() {
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
