package io.sterna.cli;

import io.sterna.kernel.AdamWStep;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Machine.Probe;
import io.sterna.kernel.Meter;
import io.sterna.kernel.OpenBlas;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.nn.Engine;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.StateType;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Times the kernels of a tier on one weight matrix at a time. */
final class KernelBench {
    /** Up to so many tokens a product runs at the speed of memory, not of arithmetic. */
    static final int FEW_TOKENS = 8;
    /** Rows of a slice, and tokens, come in multiples of this. */
    private static final int ROWS = 64;
    private static final int UPDATE_ROWS = 16;
    /** A copy counts as so many bytes at least: more copies of a small matrix would take more time to call than to read. */
    private static final long COPY_BYTES = 4096;
    /** A counter a worker, a cache line apart. */
    private static final long FLIPS_BYTES = 64;
    private static final int LEAST_RUNS = 3;
    private static final double TURN_SECONDS = 0.02;
    /** Memory, and what it gives meanwhile, is measured for so many times as long as a product: it is not one's own. */
    private static final int MEMORY_TIMES = 4;
    private static final float DEVIATION = 0.02f;

    private final Kernels kernels;
    private final Slices slices;
    private final double seconds;
    private final Ceilings ceilings;
    private final Map<String, Double> sgemm = new LinkedHashMap<>();

    KernelBench(Tier tier, Slices slices, double seconds, Ceilings ceilings) {
        this.kernels = Kernels.of(tier);
        this.slices = slices;
        this.seconds = seconds;
        this.ceilings = ceilings;
    }

    /** Weights (out, in) on {@code grid}, and so many tokens. */
    record Case(Grid grid, long tokens, long out, long in) {
        String shape() {
            return tokens + "x" + out + "x" + in;
        }

        /** Rows of the weight's gradient that are made at a time, as in training. */
        private long tileRows() {
            return Engine.tileRows(out, in);
        }

        @Override
        public String toString() {
            return shape() + " in " + grid.width() + " bits";
        }
    }

    /**
     * A figure: {@code rate} operations or bytes a second, as of its ceiling.
     *
     * @param beside what memory gave at the same time; 0 for products, whose ceiling is that of the run
     * @param sgemm  0 where it has no meaning
     */
    record Row(String kernel, Case c, Tier tier, double rate, Probe ceiling, double beside, double sgemm) {
        static final String HEADER =
                Units.format("%-21s %5s %18s %12s %10s %7s %12s", "kernel", "bits", "tokens x out x in", "tier", "", "ceiling", "sgemm");

        private double share(Ceilings ceilings) {
            return beside > 0 ? rate / beside : ceilings.has(ceiling) ? rate / ceilings.of(ceiling) : 0;
        }

        Map<String, Object> toMap(Ceilings ceilings) {
            Map<String, Object> m = new LinkedHashMap<>();
            m.put("kernel", kernel);
            m.put("bits", c.grid.width());
            m.put("tokens", c.tokens);
            m.put("out", c.out);
            m.put("in", c.in);
            m.put("tier", tier.toString());
            m.put(ceiling.isMemory() ? "gbs" : "gops", rate / 1e9);
            m.put("ceiling", Ceilings.name(ceiling));
            if (beside > 0) {
                m.put("ceiling_gbs", beside / 1e9);
            }
            m.put("share_of_ceiling", share(ceilings));
            if (sgemm > 0) {
                m.put("openblas_sgemm_gops", sgemm / 1e9);
            }
            return m;
        }

        String toString(Ceilings ceilings) {
            String blas = sgemm > 0 ? Units.format("%7.0f GOP/s", sgemm / 1e9) : "";
            return Units.format("%-21s %5s %18s %12s %8.1f %s %6.1f%% %12s",
                    kernel, c.grid.width(), c.shape(), tier, rate / 1e9, ceiling.isMemory() ? "GB/s " : "GOP/s", 100 * share(ceilings), blas);
        }
    }

    List<Row> run(Case c) {
        try (Workspace workspace = new Workspace()) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            Operands o = new Operands(section, c);
            return c.tokens <= FEW_TOKENS ? List.of(few(c, o, section)) : many(c, o, section);
        }
    }

    /** Goes round over copies of the weights that no cache holds together, unless they are too small for that. */
    private Row few(Case c, Operands o, Workspace.Section section) {
        long bytes = c.out * c.grid().rowBytes(c.in);
        PackedMatrix[] copies = new PackedMatrix[copies(bytes)];
        for (int i = 0; i < copies.length; i++) {
            copies[i] = PackedMatrix.allocate(section, c.grid, Scaling.TENSOR, c.out, c.in);
            copies[i].codes().copyFrom(o.w.codes());
            copies[i].scales().copyFrom(o.w.scales());
        }
        return memory("gemv", c, bytes * copies.length, Probe.READ, () -> {
            for (PackedMatrix w : copies) {
                forward(o, w);
            }
        });
    }

    static int copies(long bytes) {
        return (int) Math.ceilDiv(Meter.BYTES, Math.max(bytes, COPY_BYTES));
    }

    private List<Row> many(Case c, Operands o, Workspace.Section section) {
        List<Row> rows = new ArrayList<>();
        double blas = sgemm(c, o);
        double forward = best(() -> slices.tiles(c.out, share(c.out), (row0, row1, worker) ->
                kernels.linear(o.q, o.w, o.y, null, row0, row1, worker.scratch())));
        rows.add(product("linear", c, forward, Probe.INT8, blas));
        FloatMatrix[] tiles = tiles(section, c);
        FloatMatrix[] windows = windows(section);
        rows.addAll(gradients("", 0, ceilings.floats(), c, o, blas, tiles, windows));
        if (ceilings.floats() == Probe.F32 && ceilings.has(Probe.INT16)) {
            rows.addAll(gradients("_int16", Kernels.ALLOW_INT16, Probe.INT16, c, o, blas, tiles, windows));
        }
        rows.addAll(int8Gradients(c, o, section, tiles, windows));
        for (StateType type : StateType.values()) {
            rows.add(update(c, o, section, type, tiles, windows));
        }
        return rows;
    }

    /** The two products that take y's gradient as floats. */
    private List<Row> gradients(String suffix, int flags, Probe ceiling, Case c, Operands o, double blas, FloatMatrix[] tiles,
            FloatMatrix[] windows) {
        double input = best(() -> slices.tiles(c.tokens, share(c.tokens), (row0, row1, worker) ->
                kernels.inputGradient(o.y, o.w, o.x, flags, row0, row1, worker.scratch())));
        double weight = best(() -> slices.tiles(c.out, c.tileRows(), (row0, row1, worker) ->
                kernels.weightGradient(o.y, o.q, windows[worker.index()].overRows(tiles[worker.index()], 0, row1 - row0),
                        flags, row0, row1, worker.scratch())));
        return List.of(product("input_gradient" + suffix, c, input, ceiling, blas),
                product("weight_gradient" + suffix, c, weight, ceiling, blas));
    }

    /** Rounding of y's gradient, one group of tokens a slice, and the two products that take it. */
    private List<Row> int8Gradients(Case c, Operands o, Workspace.Section section, FloatMatrix[] tiles, FloatMatrix[] windows) {
        QuantizedMatrix byToken = QuantizedMatrix.allocate(section, c.tokens, c.out);
        QuantizedGradient byFeature = QuantizedGradient.allocate(section, c.out, c.tokens);
        long key = Kernels.key(1, 5, 0);
        Row rounding = memory("quantize_gradient", c, c.tokens * c.out * (Float.BYTES + 2), Probe.UPDATE,
                () -> slices.tiles(c.tokens, QuantizedGradient.GROUP, (row0, row1, worker) ->
                        kernels.quantizeGradient(o.y, o.w, o.q, byToken, byFeature, 0, key, row0, row1)));
        double input = best(() -> slices.tiles(c.tokens, QuantizedGradient.GROUP, (row0, row1, worker) ->
                kernels.inputGradient(byToken, o.w, o.x, false, row0, row1, worker.scratch())));
        double weight = best(() -> slices.tiles(c.out, c.tileRows(), (row0, row1, worker) ->
                kernels.weightGradient(byFeature, o.q, windows[worker.index()].overRows(tiles[worker.index()], 0, row1 - row0),
                        false, row0, row1, worker.scratch())));
        return List.of(
                rounding,
                product("input_gradient_int8", c, input, Probe.INT8, 0),
                product("weight_gradient_int8", c, weight, Probe.INT8, 0));
    }

    private void forward(Operands o, PackedMatrix w) {
        slices.rows(w.rows(), ROWS, (row0, row1, worker) ->
                kernels.linear(o.q, w, o.y, null, row0, row1, worker.scratch()));
    }

    /** A worker's share in one slice: a call of a product arranges its operands anew. */
    private long share(long rows) {
        return Math.ceilDiv(Math.ceilDiv(rows, slices.workers()), ROWS) * ROWS;
    }

    /**
     * AdamW and SR in one pass over the matrix, as training does it, from a tile of gradients in a cache: its copy is
     * timed, its bytes do not count. A small matrix's state stays in a cache too, unlike the ceiling's buffer.
     */
    private Row update(Case c, Operands o, Workspace.Section section, StateType type, FloatMatrix[] tiles, FloatMatrix[] windows) {
        FloatMatrix gradient = FloatMatrix.allocate(section, FloatType.F32, UPDATE_ROWS, c.in);
        Moment m = Moment.allocate(section, type, c.out, c.in);
        Moment v = Moment.allocate(section, type, c.out, c.in);
        MemorySegment flips = section.allocate(slices.workers() * FLIPS_BYTES);
        MemorySegment squares = section.allocate(c.out * Double.BYTES);
        AdamWStep step = new AdamWStep(section);
        step.constants(0.9f, 0.999f, 1e-6f, 10, 1000);
        step.tensor(1e-4f, 1, Kernels.key(1, 2, 3));
        kernels.normal(Kernels.key(1, 3, 0), DEVIATION, gradient, 0, UPDATE_ROWS);
        long bytes = 2 * (m.data().byteSize() + m.scales().byteSize() + v.data().byteSize() + v.scales().byteSize()
                + c.out * c.grid().rowBytes(c.in));
        return memory("adamw_packed_" + type, c, bytes, Probe.UPDATE, () -> slices.tiles(c.out, UPDATE_ROWS, (row0, row1, worker) -> {
            FloatMatrix g = windows[worker.index()].overRows(tiles[worker.index()], 0, row1 - row0);
            MemorySegment.copy(gradient.data(), 0, g.data(), 0, (row1 - row0) * c.in * Float.BYTES);
            kernels.adamwPacked(step, g, m, v, squares.asSlice(row0 * Double.BYTES), o.w, 1, Rounding.STOCHASTIC,
                    flips.asSlice(worker.index() * FLIPS_BYTES, Long.BYTES), row0, row1);
        }));
    }

    private Row product(String kernel, Case c, double time, Probe ceiling, double blas) {
        return new Row(kernel, c, kernels.tier(), 2.0 * c.tokens * c.out * c.in / time, ceiling, 0, blas);
    }

    /** Work that memory bounds, by turns with what memory gives; the share is the median of the turns' shares. */
    private Row memory(String kernel, Case c, long bytes, Probe ceiling, Runnable work) {
        Samples rates = new Samples();
        Samples shares = new Samples();
        work.run();
        try (Meter meter = Meter.of(kernels.tier(), ceiling, slices).orElseThrow()) {
            for (long end = after(MEMORY_TIMES * seconds); shares.count() < LEAST_RUNS || System.nanoTime() < end; ) {
                Samples times = new Samples();
                long turn = after(TURN_SECONDS);
                do {
                    times.time(work);
                } while (System.nanoTime() < turn);
                rates.add(bytes / times.median());
                shares.add(bytes / times.median() / meter.sample());
            }
        }
        return new Row(kernel, c, kernels.tier(), rates.median(), ceiling, rates.median() / shares.median(), 0);
    }

    private static long after(double seconds) {
        return System.nanoTime() + (long) (seconds * 1e9);
    }

    /** OpenBLAS at the same shape, tokens cut among the workers; measured once for all grids. */
    private double sgemm(Case c, Operands o) {
        return sgemm.computeIfAbsent(c.shape(), shape -> {
            int k = (int) c.in;
            int n = (int) c.out;
            long share = Math.ceilDiv(c.tokens, slices.workers());
            double time = best(() -> slices.tiles(c.tokens, share, (row0, row1, worker) -> OpenBlas.sgemm(
                    false, true, (int) (row1 - row0), n, k, 1,
                    o.x.data().asSlice(row0 * k * Float.BYTES), k, o.floats.data(), k, 0,
                    o.y.data().asSlice(row0 * n * Float.BYTES), n)));
            return 2.0 * c.tokens * n * k / time;
        });
    }

    /** Seconds of the fastest run. */
    private double best(Runnable work) {
        Samples times = new Samples();
        work.run();
        for (long end = after(seconds); times.count() < LEAST_RUNS || System.nanoTime() < end; ) {
            times.time(work);
        }
        return times.least();
    }

    private FloatMatrix[] tiles(Workspace.Section section, Case c) {
        FloatMatrix[] tiles = new FloatMatrix[slices.workers()];
        for (int i = 0; i < tiles.length; i++) {
            tiles[i] = FloatMatrix.allocate(section, FloatType.F32, c.tileRows(), c.in);
        }
        return tiles;
    }

    private FloatMatrix[] windows(Workspace.Section section) {
        FloatMatrix[] windows = new FloatMatrix[slices.workers()];
        for (int i = 0; i < windows.length; i++) {
            windows[i] = FloatMatrix.window(section);
        }
        return windows;
    }

    /** x (T, in), quantized q, weights w (out, in) and their floats, y (T, out). */
    private final class Operands {
        final FloatMatrix x;
        final QuantizedMatrix q;
        final FloatMatrix floats;
        final PackedMatrix w;
        final FloatMatrix y;

        Operands(Workspace.Section section, Case c) {
            x = FloatMatrix.allocate(section, FloatType.F32, c.tokens, c.in);
            q = QuantizedMatrix.allocate(section, c.tokens, c.in);
            floats = FloatMatrix.allocate(section, FloatType.F32, c.out, c.in);
            w = PackedMatrix.allocate(section, c.grid, Scaling.TENSOR, c.out, c.in);
            y = FloatMatrix.allocate(section, FloatType.F32, c.tokens, c.out);
            kernels.normal(Kernels.key(1, 0, 0), 1, x, 0, c.tokens);
            kernels.normal(Kernels.key(1, 1, 0), DEVIATION, floats, 0, c.out);
            kernels.quantize(x, q, 0, c.tokens);
            w.scales().setAtIndex(ValueLayout.JAVA_FLOAT, 0, 2 * DEVIATION / c.grid.qp());
            kernels.encode(floats, w, 0, c.out);
        }
    }
}
