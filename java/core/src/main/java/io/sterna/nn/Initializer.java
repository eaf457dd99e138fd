package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Worker;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;

/**
 * The weights a training starts from: N(0, 0.02 squared), and 1 for norms; packed weights are the codes
 * nearest to those numbers on the grid whose scale the method's rule gives. The same bytes on every machine.
 */
final class Initializer {
    private static final float DEVIATION = 0.02f;
    /** Steps count from 1, so step 0 is free for the bits of the initial weights. */
    private static final long STEP = 0;

    private final Engine engine;
    private final ScaleRule rule;
    private final long seed;

    Initializer(Engine engine, ScaleRule rule, long seed) {
        this.engine = engine;
        this.rule = rule;
        this.seed = seed;
    }

    void fill(Parameter parameter) {
        switch (parameter) {
            case Parameter.Plain(_, _, var kind, var weight) when kind == LayerKind.NORM -> ones(weight);
            case Parameter.Plain plain -> tiles(plain, (x, r0, r1, worker) ->
                    engine.kernels().copy(x, engine.part(worker, plain.weight(), r0, r1, 0, x.cols()), 0, r1 - r0));
            case Parameter.Packed packed -> {
                setScales(packed);
                tiles(packed, (x, r0, r1, worker) -> engine.kernels().encode(x, packed.weight(), r0, r1));
            }
        }
    }

    private static void ones(FloatMatrix gain) {
        for (long c = 0; c < gain.cols(); c++) {
            gain.set(0, c, 1);
        }
    }

    /** Rows row0 ... row1 - 1 of the normal numbers. */
    private interface Tile {
        void run(FloatMatrix x, long row0, long row1, Worker worker);
    }

    private void tiles(Parameter parameter, Tile tile) {
        long key = Kernels.key(seed, parameter.id(), STEP);
        engine.slices().tiles(parameter.rows(), Engine.tileRows(parameter.rows(), parameter.cols()), (r0, r1, worker) -> {
            FloatMatrix x = engine.tile(worker, r1 - r0, parameter.cols());
            engine.kernels().normal(key, DEVIATION, x, r0, r1);
            tile.run(x, r0, r1, worker);
        });
    }

    private void setScales(Parameter.Packed parameter) {
        PackedMatrix w = parameter.weight();
        Scaling scaling = w.scaling();
        long groups = scaling.groups(w.cols());
        long rowBytes = groups * Kernels.STATISTICS * Double.BYTES;
        try (Workspace temporary = new Workspace()) {
            MemorySegment statistics = temporary.section(MemoryKind.SCRATCH).allocate(w.rows() * rowBytes);
            tiles(parameter, (x, r0, r1, worker) ->
                    engine.kernels().statistics(x, scaling.group(), statistics.asSlice(r0 * rowBytes), 0, r1 - r0));
            rule.setScales(w, statistics);
        }
    }
}
