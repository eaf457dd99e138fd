package io.sterna.train;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Worker;
import io.sterna.nn.Engine;
import io.sterna.nn.GradientSink;
import io.sterna.nn.LayerKind;
import io.sterna.nn.Parameter;
import io.sterna.optim.Optimizer;
import io.sterna.optim.Optimizer.State;
import io.sterna.optim.Optimizer.TensorStep;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Takes gradients from the backward pass and updates the weights at once: a few rows of the gradient are
 * computed into a worker's tile, become a delta there, and are rounded into the weight, before the next
 * rows overwrite them.
 *
 * <p>A parameter has a gradient buffer only where its whole gradient is needed before any of it is used:
 * every parameter with accumulation or a global clip; a tied embedding, whose gradient comes in two parts;
 * every parameter, one after the other in one shared buffer, with Adafactor; the head with a clip by tensor,
 * since its gradient comes in chunks.
 */
final class Updater implements GradientSink {
    private final Engine engine;
    private final Optimizer optimizer;
    private final TrainSettings settings;
    private final Rates rates;
    private final List<Slot> slots = new ArrayList<>();
    private final boolean deferred;
    private final MemorySegment squares;
    private final MemorySegment flips;
    private final AtomicBoolean finite = new AtomicBoolean();
    private final Map<LayerKind, Long> flipsByKind = new EnumMap<>(LayerKind.class);
    private long step;
    private double squaredNorm;

    /** Learning rate and the factor of the weights for the parameters of a step. */
    interface Rates {
        float rate(long step);

        float keep(long step, LayerKind kind);
    }

    /** A parameter, its optimizer state, and its gradient buffer or null. */
    record Slot(Parameter parameter, State state, FloatMatrix buffer) {
        LayerKind kind() {
            return parameter.kind();
        }
    }

    Updater(Engine engine, Optimizer optimizer, TrainSettings settings, Rates rates, List<Parameter> parameters,
            boolean tied, Workspace workspace, int workers) {
        this.engine = engine;
        this.optimizer = optimizer;
        this.settings = settings;
        this.rates = rates;
        this.deferred = settings.accumulation() > 1 || settings.clip().kind() == Clip.Kind.GLOBAL;
        Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
        this.squares = scratch.allocate(parameters.stream().mapToLong(Parameter::rows).max().orElseThrow() * Double.BYTES);
        this.flips = scratch.allocate(workers * Workspace.ALIGNMENT);
        Buffers buffers = new Buffers(workspace.section(MemoryKind.GRADIENT_BUFFERS), parameters, tied);
        for (Parameter p : parameters) {
            State state = optimizer.allocate(workspace.section(MemoryKind.OPTIMIZER_STATE), p.rows(), p.cols());
            slots.add(new Slot(p, state, buffers.of(p)));
        }
    }

    /** Gives parameters their gradient buffers. */
    private final class Buffers {
        private final Workspace.Section section;
        private final boolean tied;
        private final FloatMatrix shared;

        Buffers(Workspace.Section section, List<Parameter> parameters, boolean tied) {
            this.section = section;
            this.tied = tied;
            long largest = parameters.stream().filter(this::shares).mapToLong(Parameter::size).max().orElse(0);
            this.shared = largest == 0 ? null : FloatMatrix.allocate(section, FloatType.F32, 1, largest);
        }

        FloatMatrix of(Parameter p) {
            if (keeps(p)) {
                return FloatMatrix.allocate(section, FloatType.F32, p.rows(), p.cols());
            }
            return shares(p) ? FloatMatrix.window(section).shaped(shared, p.rows(), p.cols()) : null;
        }

        private boolean keeps(Parameter p) {
            return deferred || tied && p.kind() == LayerKind.EMBEDDING;
        }

        private boolean shares(Parameter p) {
            boolean clippedHead = p.kind() == LayerKind.HEAD && settings.clip().kind() == Clip.Kind.TENSOR;
            return !keeps(p) && (optimizer.needsWholeGradient() || clippedHead);
        }
    }

    /** Parameters with their state, in the order of the model. */
    List<Slot> slots() {
        return slots;
    }

    /** Begins step number {@code number}, counted from 1. */
    void begin(long number) {
        step = number;
        squaredNorm = 0;
        finite.set(true);
        flipsByKind.clear();
        optimizer.begin(number);
    }

    @Override
    public void accept(Parameter parameter, long row0, long row1, Gradient gradient) {
        Slot slot = slots.get(parameter.id());
        if (slot.buffer() != null) {
            tiles(slot, row0, row1, (r0, r1, worker) ->
                    gradient.compute(engine.rows(worker, slot.buffer(), r0, r1), true, r0, r1, worker));
            return;
        }
        double factor = 1;
        if (settings.clip().kind() == Clip.Kind.TENSOR) {
            tiles(slot, row0, row1, (r0, r1, worker) -> squares(tile(slot, gradient, r0, r1, worker), r0, r1));
            factor = settings.clip().factor(Math.sqrt(sumSquares(row0, row1)));
        }
        update(slot, row0, row1, factor, (r0, r1, worker) -> tile(slot, gradient, r0, r1, worker));
        squaredNorm += sumSquares(row0, row1);
    }

    @Override
    public void complete(Parameter parameter) {
        Slot slot = slots.get(parameter.id());
        if (slot.buffer() != null && !deferred) {
            double norm = norm(slot);
            apply(slot, settings.clip().factor(norm), Double.isFinite(norm));
            squaredNorm += norm * norm;
        }
    }

    /** Ends the step: applies the gradients that waited for it. */
    void finish() {
        if (deferred) {
            double[] norms = slots.stream().mapToDouble(this::norm).toArray();
            for (double norm : norms) {
                squaredNorm += norm * norm;
            }
            boolean global = settings.clip().kind() == Clip.Kind.GLOBAL;
            boolean usable = !global || Double.isFinite(squaredNorm);
            for (Slot slot : slots) {
                double norm = global ? gradientNorm() : norms[slot.parameter().id()];
                apply(slot, settings.clip().factor(norm), usable && Double.isFinite(norm));
            }
        }
    }

    /** Forgets the gradients of a step that failed. */
    void discard() {
        for (Slot slot : slots) {
            if (slot.buffer() != null) {
                slot.buffer().data().fill((byte) 0);
            }
        }
    }

    /** Norm of the gradients of the step so far, before clipping. */
    double gradientNorm() {
        return Math.sqrt(squaredNorm);
    }

    /** Whether every gradient of the step was finite. */
    boolean finite() {
        return finite.get();
    }

    /** Codes that changed in the step, by kind of layer. */
    Map<LayerKind, Long> flips() {
        return flipsByKind;
    }

    // ------------------------------------------------------------ a parameter

    /** Updates from the buffer, or forgets it when it is of no use, and leaves zeros in it. */
    private void apply(Slot slot, double factor, boolean usable) {
        FloatMatrix buffer = slot.buffer();
        if (usable) {
            update(slot, 0, slot.parameter().rows(), factor, (r0, r1, worker) -> engine.rows(worker, buffer, r0, r1));
        } else {
            finite.set(false);
        }
        tiles(slot, 0, slot.parameter().rows(), (r0, r1, worker) ->
                engine.rows(worker, buffer, r0, r1).data().fill((byte) 0));
    }

    /** Where a tile of gradient comes from. */
    private interface TileSource {
        FloatMatrix rows(long row0, long row1, Worker worker);
    }

    /** Gradient tile, delta tile, weight: for rows row0 ... row1 - 1 of a parameter. */
    private void update(Slot slot, long row0, long row1, double factor, TileSource source) {
        Parameter parameter = slot.parameter();
        long key = Kernels.key(settings.seed(), parameter.id(), step);
        float keep = rates.keep(step, parameter.kind());
        TensorStep tensorStep = new TensorStep(rates.rate(step), (float) factor, key);
        if (!optimizer.prepare(slot.state(), tensorStep, slot.buffer(), engine.slices())) {
            finite.set(false);
            return;
        }
        tiles(slot, row0, row1, (r0, r1, worker) -> {
            FloatMatrix tile = source.rows(r0, r1, worker);
            if (!updateTile(slot, tile, keep, key, r0, r1, worker)) {
                finite.set(false);
            }
        });
        if (parameter instanceof Parameter.Packed) {
            flipsByKind.merge(parameter.kind(), takeFlips(), Long::sum);
        }
    }

    /** weight = weight * keep - delta, rounded to what the weight can hold. */
    private boolean updateTile(Slot slot, FloatMatrix tile, float keep, long key, long r0, long r1, Worker worker) {
        Rounding rounding = settings.rounding();
        return switch (slot.parameter()) {
            case Parameter.Packed packed -> optimizer.update(slot.state(), tile, squaresOf(r0, r1), packed.weight(),
                    keep, key, rounding, flipsOf(worker), r0, r1);
            case Parameter.Plain plain -> optimizer.delta(slot.state(), tile, squaresOf(r0, r1), r0, r1)
                    && engine.kernels().updateFloat(plain.weight(), tile, keep, key, rounding, r0, r1);
        };
    }

    private FloatMatrix tile(Slot slot, Gradient gradient, long r0, long r1, Worker worker) {
        FloatMatrix tile = engine.tile(worker, r1 - r0, slot.parameter().cols());
        gradient.compute(tile, false, r0, r1, worker);
        return tile;
    }

    private interface TileBody {
        void run(long row0, long row1, Worker worker);
    }

    private void tiles(Slot slot, long row0, long row1, TileBody body) {
        long size = Engine.tileRows(slot.parameter().rows(), slot.parameter().cols());
        engine.slices().tiles(row1 - row0, size, (r0, r1, worker) -> body.run(row0 + r0, row0 + r1, worker));
    }

    // ------------------------------------------------------------ sums

    private double norm(Slot slot) {
        long rows = slot.parameter().rows();
        tiles(slot, 0, rows, (r0, r1, worker) -> squares(engine.rows(worker, slot.buffer(), r0, r1), r0, r1));
        return Math.sqrt(sumSquares(0, rows));
    }

    /** Sums the squares of a tile by row, whether they are finite or not: the norm tells. */
    private void squares(FloatMatrix tile, long r0, long r1) {
        engine.kernels().rowSquares(tile, squaresOf(r0, r1), 0, r1 - r0);
    }

    private MemorySegment squaresOf(long r0, long r1) {
        return squares.asSlice(r0 * Double.BYTES, (r1 - r0) * Double.BYTES);
    }

    private double sumSquares(long row0, long row1) {
        double sum = 0;
        for (long r = row0; r < row1; r++) {
            sum += squares.getAtIndex(ValueLayout.JAVA_DOUBLE, r);
        }
        return sum;
    }

    /** A worker's counter, on a cache line of its own. */
    private MemorySegment flipsOf(Worker worker) {
        return flips.asSlice(worker.index() * Workspace.ALIGNMENT, Long.BYTES);
    }

    private long takeFlips() {
        long sum = 0;
        for (long offset = 0; offset < flips.byteSize(); offset += Workspace.ALIGNMENT) {
            sum += flips.get(ValueLayout.JAVA_LONG, offset);
        }
        flips.fill((byte) 0);
        return sum;
    }
}
