package io.sterna.kernel;

import io.sterna.kernel.LibraryCache.Opened;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * A library that is opened on first use, once. One that cannot be opened is tried again at the next use, and says again
 * what is missing, which a class's initializer would say only once. Thread-safe.
 */
final class LazyLibrary {
    private final Supplier<Opened> opener;
    private volatile Opened opened;

    LazyLibrary(Supplier<Opened> opener) {
        this.opener = opener;
    }

    /** The open library; throws what the opener throws. */
    Opened get() {
        Opened library = opened;
        if (library != null) {
            return library;
        }
        synchronized (this) {
            if (opened == null) {
                opened = opener.get();
            }
            return opened;
        }
    }

    Optional<MemorySegment> find(String symbol) {
        return get().symbols().find(symbol);
    }
}
