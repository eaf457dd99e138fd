package io.sterna.bench;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.NativeLibrary;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What a call from Java into C costs: the empty call, and a kernel with its checks on one element. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2, jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"})
public class DowncallBenchmark {
    private static final MemorySegment ABI_VERSION = NativeLibrary.symbols().findOrThrow("sterna_abi_version");
    private static final FunctionDescriptor INT = FunctionDescriptor.of(ValueLayout.JAVA_INT);
    private static final MethodHandle ORDINARY = Linker.nativeLinker().downcallHandle(ABI_VERSION, INT);
    private static final MethodHandle CRITICAL = Linker.nativeLinker().downcallHandle(ABI_VERSION, INT, Linker.Option.critical(false));

    private final Kernels kernels = Kernels.best();
    private final Workspace workspace = new Workspace();
    private FloatMatrix x;
    private FloatMatrix y;

    /** x and y (1, 1). */
    @Setup
    public void allocate() {
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        x = FloatMatrix.allocate(section, FloatType.F32, 1, 1);
        y = FloatMatrix.allocate(section, FloatType.F32, 1, 1);
    }

    @TearDown
    public void free() {
        workspace.close();
    }

    @Benchmark
    public int ordinary() throws Throwable {
        return (int) ORDINARY.invokeExact();
    }

    @Benchmark
    public int critical() throws Throwable {
        return (int) CRITICAL.invokeExact();
    }

    /** y += x, checked in Java and again in C. */
    @Benchmark
    public void checkedKernel() {
        kernels.add(x, y, 0, 1);
    }
}
