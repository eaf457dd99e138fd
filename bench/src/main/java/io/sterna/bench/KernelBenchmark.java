package io.sterna.bench;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Slices;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** One linear layer's kernels from Java, on one thread and the best tier: x (T, K), w (N, K), y (T, N). */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"})
public class KernelBenchmark {
    private static final float DEVIATION = 0.02f;

    @Param({"TERNARY", "INT8"})
    private Grid grid;

    @Param({"1", "512"})
    private long tokens;

    @Param("2048")
    private long rows;

    @Param("2048")
    private long cols;

    private final Kernels kernels = Kernels.best();
    private final Workspace workspace = new Workspace();
    private MemorySegment scratch;
    private MemorySegment flips;
    private FloatMatrix x;
    private FloatMatrix y;
    private FloatMatrix delta;
    private QuantizedMatrix q;
    private PackedMatrix w;
    private long step;

    @Setup
    public void allocate() {
        Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
        scratch = section.allocate(Slices.SCRATCH_BYTES);
        flips = section.allocate(Long.BYTES);
        x = FloatMatrix.allocate(section, FloatType.F32, tokens, cols);
        y = FloatMatrix.allocate(section, FloatType.F32, tokens, rows);
        delta = FloatMatrix.allocate(section, FloatType.F32, rows, cols);
        q = QuantizedMatrix.allocate(section, tokens, cols);
        w = PackedMatrix.allocate(section, grid, Scaling.TENSOR, rows, cols);
        w.scales().setAtIndex(ValueLayout.JAVA_FLOAT, 0, DEVIATION);
        kernels.normal(Kernels.key(1, 0, 0), 1, x, 0, tokens);
        kernels.normal(Kernels.key(1, 1, 0), DEVIATION, delta, 0, rows);
        kernels.encode(delta, w, 0, rows);
        kernels.quantize(x, q, 0, tokens);
    }

    @TearDown
    public void free() {
        workspace.close();
    }

    @Benchmark
    public void quantize() {
        kernels.quantize(x, q, 0, tokens);
    }

    @Benchmark
    public void linear() {
        kernels.linear(q, w, y, null, 0, rows, scratch);
    }

    @Benchmark
    public void inputGradient() {
        kernels.inputGradient(y, w, x, 0, 0, tokens, scratch);
    }

    @Benchmark
    public void update() {
        kernels.updatePacked(w, delta, 1, Kernels.key(1, 1, ++step), Rounding.STOCHASTIC, flips, 0, rows);
    }
}
