package io.sterna.kernel;

import io.sterna.kernel.LibraryCache.Opened;
import io.sterna.kernel.LibraryCache.Packed;
import io.sterna.kernel.ffm.cblas_h;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.net.URL;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * OpenBLAS, out of the platform jar of {@code org.bytedeco:openblas}: unpacked, verified and loaded on
 * first use, once per class loader, and held to the thread that calls it, so that Sterna's slices are
 * the only thread pool.
 *
 * <p>Thread-safe.
 */
public final class OpenBlas {
    /** Each needs the ones before it; a platform's jar may lack all but the last. */
    private static final List<String> FILES = List.of("libquadmath.so.0", "libgfortran.so.5", "libopenblas.so.0");

    private static final int FLOAT = Float.BYTES;

    private static final LazyLibrary LIBRARY = new LazyLibrary(OpenBlas::open);

    private OpenBlas() {}

    /**
     * Loads OpenBLAS unless it is loaded already.
     *
     * @return the file it was loaded from
     * @throws NativeLibraryException when it cannot be loaded
     */
    public static Path load() {
        return LIBRARY.get().path();
    }

    /** Version and build options, for example {@code OpenBLAS 0.3.31 DYNAMIC_ARCH ...}. */
    public static String config() {
        load(); // a binding's initializer would say only once what is missing
        return cblas_h.openblas_get_config().getString(0);
    }

    /** The processor family whose kernels OpenBLAS chose, for example {@code SkylakeX}. */
    public static String coreName() {
        load();
        return cblas_h.openblas_get_corename().getString(0);
    }

    /**
     * C = alpha op(A) op(B) + beta C over row-major f32 matrices, on the calling thread.
     *
     * @param transposeA whether {@code a} holds A (K, M) and op(A) is its transpose; otherwise A (M, K)
     * @param transposeB whether {@code b} holds B (N, K) and op(B) is its transpose; otherwise B (K, N)
     * @param m rows of C, at least 1
     * @param n columns of C, at least 1
     * @param k length of the sums, at least 1
     * @param lda floats from one row of {@code a} to the next, at least its columns
     * @param ldb floats from one row of {@code b} to the next, at least its columns
     * @param c C (M, N), off-heap like {@code a} and {@code b}, and not overlapping them
     * @param ldc floats from one row of C to the next, at least {@code n}
     * @throws IllegalArgumentException when a size is below its range or a segment too small for its shape,
     *     on the heap or closed, or c read-only
     */
    public static void sgemm(
            boolean transposeA, boolean transposeB, int m, int n, int k,
            float alpha, MemorySegment a, int lda, MemorySegment b, int ldb,
            float beta, MemorySegment c, int ldc) {
        check("a", a, transposeA ? k : m, transposeA ? m : k, lda);
        check("b", b, transposeB ? n : k, transposeB ? k : n, ldb);
        check("c", c, m, n, ldc);
        Checks.output("c", c, 0);
        load();
        cblas_h.cblas_sgemm(cblas_h.CblasRowMajor(), transpose(transposeA), transpose(transposeB),
                m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    }

    private static int transpose(boolean yes) {
        return yes ? cblas_h.CblasTrans() : cblas_h.CblasNoTrans();
    }

    private static void check(String name, MemorySegment matrix, int rows, int cols, int stride) {
        if (rows < 1 || cols < 1 || stride < cols) {
            throw new IllegalArgumentException(
                    String.format(Locale.ROOT,
                            "%s is %d x %d with stride %d; rows and columns must be positive and fit the stride",
                            name, rows, cols, stride));
        }
        Checks.bytes(name, matrix, 0);
        long floats = (rows - 1L) * stride + cols; // their bytes may be more than a long holds
        if (matrix.byteSize() / FLOAT < floats) {
            throw new IllegalArgumentException(String.format(Locale.ROOT,
                    "%s has %d floats and a %d x %d matrix with stride %d takes %d",
                    name, matrix.byteSize() / FLOAT, rows, cols, stride, floats));
        }
    }

    /** OpenBLAS's symbols; the first look-up loads it and throws what {@link #load} throws. */
    public static SymbolLookup symbols() {
        return LIBRARY::find;
    }

    private static Opened open() {
        return stopThreads(LibraryCache.open(packed(), "set XDG_CACHE_HOME or -Djava.io.tmpdir to a folder that can be "
                + "written and is not mounted noexec"));
    }

    private static List<Packed> packed() {
        String folder = "org/bytedeco/openblas/" + LibraryCache.platform().replace("aarch64", "arm64") + "/";
        List<Packed> packed = new ArrayList<>();
        for (String file : FILES) {
            URL content = OpenBlas.class.getClassLoader().getResource(folder + file);
            if (content != null) {
                packed.add(new Packed(file, content, hash(content)));
            }
        }
        if (packed.isEmpty() || !packed.getLast().name().equals(FILES.getLast())) {
            throw new NativeLibraryException(String.format(Locale.ROOT, "cannot load OpenBLAS for %s: no %s on the class path; "
                    + "add the artifact org.bytedeco:openblas with this platform's classifier "
                    + "(to the class path, also when Sterna is on the module path)",
                    LibraryCache.platform(), folder + FILES.getLast()), null);
        }
        return packed;
    }

    private static String hash(URL content) {
        try {
            return LibraryCache.sha256(content);
        } catch (IOException e) {
            throw new NativeLibraryException(String.format(Locale.ROOT, "cannot read %s: %s", content, e.getMessage()), e);
        }
    }

    /** OpenBLAS starts a thread for each processor as it loads; without them every call stays with its caller. */
    private static Opened stopThreads(Opened opened) {
        Linker linker = Linker.nativeLinker();
        SymbolLookup symbols = opened.symbols();
        MethodHandle setThreads = linker.downcallHandle(symbols.findOrThrow("openblas_set_num_threads"),
                FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT));
        MethodHandle shutDown = linker.downcallHandle(symbols.findOrThrow("blas_thread_shutdown_"),
                FunctionDescriptor.of(ValueLayout.JAVA_INT));
        try {
            setThreads.invokeExact(1);
            int unused = (int) shutDown.invokeExact();
        } catch (Throwable e) {
            throw new AssertionError("a downcall throws nothing", e);
        }
        return opened;
    }
}
