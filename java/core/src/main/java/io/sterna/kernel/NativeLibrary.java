package io.sterna.kernel;

import io.sterna.kernel.LibraryCache.Opened;
import io.sterna.kernel.LibraryCache.Packed;
import io.sterna.kernel.ffm.sterna_h;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Sterna's kernels, {@code libsterna}: found, verified and loaded on first use, once per class loader.
 *
 * <p>The system property {@value #PATH_PROPERTY} or else the environment variable
 * {@value #PATH_VARIABLE} names the library, or a folder that holds it, and nothing else is tried.
 * Without them the library comes out of Sterna's jar into {@code $XDG_CACHE_HOME/sterna} (by default
 * {@code ~/.cache/sterna}) or, where that cannot be written or executed,
 * {@code <java.io.tmpdir>/sterna-<user>}; a cached file is used only when its SHA-256 is right.
 *
 * <p>Thread-safe.
 */
public final class NativeLibrary {
    /** System property with the path of the library, or of its folder. */
    public static final String PATH_PROPERTY = "sterna.library.path";

    /** Environment variable with the path of the library, or of its folder; the property goes first. */
    public static final String PATH_VARIABLE = "STERNA_LIBRARY_PATH";

    private static final String NAME = System.mapLibraryName("sterna");

    private static final LazyLibrary LIBRARY = new LazyLibrary(NativeLibrary::open);

    private NativeLibrary() {}

    /**
     * Loads the library unless it is loaded already.
     *
     * @return the file it was loaded from
     * @throws NativeLibraryException when it cannot be loaded or has another ABI version
     */
    public static Path load() {
        return LIBRARY.get().path();
    }

    /** The library's symbols; the first look-up loads it and throws what {@link #load} throws. */
    public static SymbolLookup symbols() {
        return name -> Optional.of(LIBRARY.find(name).orElseThrow(() -> cannotLoad(
                LIBRARY.get().path() + " has no " + name, "use the library of the same release, whole", null)));
    }

    private static Opened open() {
        Optional<Named> named = named();
        return checkAbi(named.map(NativeLibrary::openNamed).orElseGet(NativeLibrary::openPacked),
                named.map(Named::remedy).orElse("take the jar from a complete build"));
    }

    /** The setting that names a library, and its value. */
    private record Named(String setting, String value) {
        Path path() {
            try {
                return Path.of(value).toAbsolutePath();
            } catch (InvalidPathException e) {
                throw cannotLoad(LibraryCache.describe(e), remedy(), e);
            }
        }

        String remedy() {
            return "correct or unset " + setting;
        }
    }

    private static Optional<Named> named() {
        String property = System.getProperty(PATH_PROPERTY, "");
        String variable = System.getenv().getOrDefault(PATH_VARIABLE, "");
        if (!property.isEmpty()) {
            return Optional.of(new Named(PATH_PROPERTY, property));
        }
        return variable.isEmpty() ? Optional.empty() : Optional.of(new Named(PATH_VARIABLE, variable));
    }

    private static Opened openNamed(Named named) {
        Path path = named.path();
        Path file = Files.isDirectory(path) ? path.resolve(NAME) : path;
        if (!Files.isRegularFile(file)) {
            throw cannotLoad("there is no file " + file, named.remedy(), null);
        }
        try {
            return new Opened(file, LibraryCache.open(file));
        } catch (IOException e) {
            throw cannotLoad(e.getMessage(), named.remedy(), e);
        }
    }

    private static Opened openPacked() {
        String resource = "/io/sterna/native/" + LibraryCache.platform() + "/" + NAME;
        URL content = NativeLibrary.class.getResource(resource);
        if (content == null) {
            throw cannotLoad("Sterna's jar has no " + resource,
                    "build native/ with CMake on this machine and name the result in -D" + PATH_PROPERTY + " or " + PATH_VARIABLE, null);
        }
        Packed packed = new Packed(NAME, content, hash(resource + ".sha256"));
        return LibraryCache.open(List.of(packed), String.format(Locale.ROOT,
                "set XDG_CACHE_HOME or -Djava.io.tmpdir to a folder that can be "
                + "written and is not mounted noexec, or unpack the library yourself and name it in -D%s or %s",
                PATH_PROPERTY, PATH_VARIABLE));
    }

    private static String hash(String resource) {
        try (InputStream in = NativeLibrary.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("there is none");
            }
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII).strip();
        } catch (IOException e) {
            throw new NativeLibraryException(String.format(Locale.ROOT,
                    "cannot read %s from Sterna's jar: %s; take the jar from a complete build", resource, e.getMessage()), e);
        }
    }

    private static NativeLibraryException cannotLoad(String fault, String remedy, Throwable cause) {
        return new NativeLibraryException("cannot load " + NAME + " for " + LibraryCache.platform() + ": " + fault + "; " + remedy, cause);
    }

    private static Opened checkAbi(Opened opened, String remedy) {
        int expected = sterna_h.STERNA_ABI_VERSION();
        MemorySegment version = opened.symbols().find("sterna_abi_version").orElseThrow(
                () -> cannotLoad(opened.path() + " is no Sterna library, it has no sterna_abi_version", remedy, null));
        int found = callInt(version);
        if (found != expected) {
            throw new NativeLibraryException(String.format(Locale.ROOT, "%s has ABI version %d and this Sterna needs %d; "
                    + "use the library of the same release, or unset %s and %s",
                    opened.path(), found, expected, PATH_PROPERTY, PATH_VARIABLE), null);
        }
        return opened;
    }

    private static int callInt(MemorySegment function) {
        try {
            return (int) Linker.nativeLinker()
                    .downcallHandle(function, FunctionDescriptor.of(ValueLayout.JAVA_INT))
                    .invokeExact();
        } catch (Throwable e) {
            throw new AssertionError("a downcall throws nothing", e);
        }
    }
}
