package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Worker;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumMap;
import java.util.Map;

/**
 * The ternary weights that BitNet and ternary-forward DQT compute with: gamma * clip(round(w / gamma), -1, 1),
 * gamma = max(mean|w|, 1e-5) of the tensor. In training the copies of one block serve all blocks: they are
 * made anew for each pass, which costs far less than the products they serve and saves 2 bits a weight.
 */
public final class Ternary {
    private final Engine engine;
    private final Workspace.Section section;
    private final Map<LayerKind, PackedMatrix> copies = new EnumMap<>(LayerKind.class);
    private final MemorySegment statistics;

    /** @param maxRows rows of the tallest weight */
    public Ternary(Engine engine, Workspace workspace, long maxRows) {
        this.engine = engine;
        this.section = workspace.section(MemoryKind.SCRATCH);
        this.statistics = section.allocate(maxRows * Kernels.STATISTICS * Double.BYTES);
    }

    /** Makes room for weights of a kind. */
    void reserve(LayerKind kind, long rows, long cols) {
        copies.computeIfAbsent(kind, k -> PackedMatrix.allocate(section, Grid.TERNARY, Scaling.TENSOR, rows, cols));
    }

    /** Makes the copy of the parameter's kind that of this parameter. */
    void refresh(Parameter parameter) {
        write(parameter, of(parameter));
    }

    /** The parameter's ternary weights, after {@link #refresh} and until that of another one of its kind. */
    PackedMatrix of(Parameter parameter) {
        return copies.get(parameter.kind());
    }

    /**
     * Writes a parameter's ternary weights.
     *
     * @param parameter of the engine's workspace
     * @param copy      ternary, one scale a tensor, of the parameter's shape
     */
    public void write(Parameter parameter, PackedMatrix copy) {
        tiles(parameter, (x, r0, r1) -> engine.kernels().statistics(x, 0,
                statistics.asSlice(r0 * Kernels.STATISTICS * Double.BYTES), 0, r1 - r0));
        copy.scales().set(ValueLayout.JAVA_FLOAT, 0, gamma(parameter));
        tiles(parameter, (x, r0, r1) -> engine.kernels().encode(x, copy, r0, r1));
    }

    private float gamma(Parameter parameter) {
        double sum = 0;
        for (long r = 0; r < parameter.rows(); r++) {
            sum += statistics.getAtIndex(ValueLayout.JAVA_DOUBLE, r * Kernels.STATISTICS);
        }
        return ScaleRule.ABSMEAN.scale(sum, 0, 0, 0, parameter.size(), 1);
    }

    /** Rows of a parameter as floats. */
    private interface Tile {
        void run(FloatMatrix x, long row0, long row1);
    }

    private void tiles(Parameter parameter, Tile tile) {
        engine.slices().tiles(parameter.rows(), Engine.tileRows(parameter.rows(), parameter.cols()),
                (r0, r1, worker) -> tile.run(floats(parameter, r0, r1, worker), r0, r1));
    }

    private FloatMatrix floats(Parameter parameter, long r0, long r1, Worker worker) {
        return switch (parameter) {
            case Parameter.Plain plain -> engine.rows(worker, plain.weight(), r0, r1);
            case Parameter.Packed packed -> {
                FloatMatrix tile = engine.tile(worker, r1 - r0, parameter.cols());
                engine.kernels().decode(packed.weight(), tile, r0, r1);
                yield tile;
            }
        };
    }
}
