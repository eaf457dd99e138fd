package io.sterna.train;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Rounding;
import io.sterna.kernel.Team;
import io.sterna.kernel.Worker;
import io.sterna.nn.Engine;
import io.sterna.nn.GradientSink;
import io.sterna.nn.LayerKind;
import io.sterna.nn.Parameter;
import io.sterna.optim.Optimizer;
import io.sterna.optim.Optimizer.State;
import io.sterna.optim.Optimizer.TensorStep;
import io.sterna.optim.TiledGradient;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;

/**
 * Takes gradients from the backward pass and updates the weights at once: a few rows of a gradient are
 * computed into a worker's tile, become a delta there, and are rounded into the weight, before the next
 * rows overwrite them. The tiles of all gradients that come together are one run of the workers.
 *
 * <p>A parameter has a gradient buffer only where its whole gradient is needed before any of it is used:
 * every parameter with accumulation or a global clip; one whose gradient comes in several parts (a tied
 * embedding; the head, where it takes tokens in groups); every parameter but the embedding, whose few rows are soon
 * computed again, one after the other in the same memory, with Adafactor; the head with a clip by tensor, since its rows
 * may come in chunks. With Adafactor that of a head of bf16 weights is bf16 too, unless it adds up.
 */
final class Updater implements GradientSink {
    private final Engine engine;
    private final Optimizer optimizer;
    private final TrainSettings settings;
    private final Rates rates;
    private final List<Slot> slots = new ArrayList<>();
    private final boolean deferred;
    /** Counters of a worker, one for each parameter, on cache lines of their own. */
    private final long counterBytes;
    private final MemorySegment flips;
    private final AtomicBoolean finite = new AtomicBoolean();
    private long step;
    private boolean unfinished;
    private double squaredNorm;

    /** Learning rate and the factor of the weights for the parameters of a step. */
    interface Rates {
        float rate(long step);

        float keep(long step, LayerKind kind);
    }

    /**
     * A parameter, its optimizer state, its gradient buffer or null, and a double for each row: the sum of the
     * squares of its gradient.
     */
    record Slot(Parameter parameter, State state, FloatMatrix buffer, MemorySegment squares) {
        LayerKind kind() {
            return parameter.kind();
        }

        private MemorySegment squares(long r0, long r1) {
            return squares.asSlice(r0 * Double.BYTES, (r1 - r0) * Double.BYTES);
        }
    }

    /** Where tiles of a gradient come from. */
    private interface Tiles {
        FloatMatrix rows(long row0, long row1, Worker worker);
    }

    /** Rows of a parameter that wait for something to be done, tile by tile. */
    private record Job(Slot slot, long row0, long row1, Tiles tiles) {
        long tileRows() {
            return sizeOf(slot.parameter).tileRows();
        }

        double sumSquares() {
            double sum = 0;
            for (long r = row0; r < row1; r++) {
                sum += slot.squares.getAtIndex(ValueLayout.JAVA_DOUBLE, r);
            }
            return sum;
        }
    }

    /** @param addsUp whether the gradient of a parameter comes in several parts of the same rows */
    Updater(Engine engine, Optimizer optimizer, TrainSettings settings, Rates rates, List<Parameter> parameters,
            Predicate<Parameter> addsUp, Workspace workspace, int workers) {
        this.engine = engine;
        this.optimizer = optimizer;
        this.settings = settings;
        this.rates = rates;
        this.deferred = settings.accumulation() > 1 || settings.clip().kind() == Clip.Kind.GLOBAL;
        Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
        this.counterBytes = Math.ceilDiv(parameters.size() * (long) Long.BYTES, Workspace.ALIGNMENT) * Workspace.ALIGNMENT;
        this.flips = scratch.allocate(workers * counterBytes);
        Buffers buffers = new Buffers(workspace.section(MemoryKind.GRADIENT_BUFFERS), parameters, addsUp);
        for (Parameter p : parameters) {
            State state = optimizer.allocate(workspace.section(MemoryKind.OPTIMIZER_STATE), p.rows(), p.cols());
            slots.add(new Slot(p, state, buffers.of(p), scratch.allocate(p.rows() * Double.BYTES)));
        }
    }

    /** How a parameter's gradient is cut. */
    static TiledGradient.Size sizeOf(Parameter p) {
        return new TiledGradient.Size(p.rows(), p.cols(), Engine.tileRows(p.rows(), p.cols()));
    }

    /** Gives parameters their gradient buffers. */
    private final class Buffers {
        private final Workspace.Section section;
        private final Predicate<Parameter> addsUp;
        private final Workspace.Region shared;

        Buffers(Workspace.Section section, List<Parameter> parameters, Predicate<Parameter> addsUp) {
            this.section = section;
            this.addsUp = addsUp;
            this.shared = section.region(parameters.stream().filter(this::shares).mapToLong(p -> p.size() * type(p).bytes()).max().orElse(0));
        }

        FloatMatrix of(Parameter p) {
            if (keeps(p)) {
                return FloatMatrix.allocate(section, FloatType.F32, p.rows(), p.cols());
            }
            return shares(p) ? FloatMatrix.allocate(shared.section(), type(p), p.rows(), p.cols()) : null;
        }

        /** Only products of floats are written as bf16; a buffer that is not needed but for a clip changes nothing. */
        private FloatType type(Parameter p) {
            boolean asWeight = optimizer.needsWholeGradient() && p.kind() == LayerKind.HEAD && !addsUp.test(p);
            return asWeight && p instanceof Parameter.Plain head ? head.weight().type() : FloatType.F32;
        }

        /** The parts of a tied embedding come with other parameters between them; those of a head do not. */
        private boolean keeps(Parameter p) {
            return deferred || addsUp.test(p) && (p.kind() == LayerKind.EMBEDDING || !optimizer.needsWholeGradient());
        }

        private boolean shares(Parameter p) {
            boolean clippedHead = p.kind() == LayerKind.HEAD && settings.clip().kind() == Clip.Kind.TENSOR;
            return !keeps(p) && (optimizer.needsWholeGradient() && p.kind() != LayerKind.EMBEDDING || clippedHead);
        }
    }

    /** Parameters with their state, in the order of the model. */
    List<Slot> slots() {
        return slots;
    }

    /** Begins step number {@code number}, counted from 1; the gradients of one that did not finish are forgotten. */
    void begin(long number) {
        if (unfinished) {
            discard();
        }
        unfinished = true;
        step = number;
        squaredNorm = 0;
        finite.set(true);
        flips.fill((byte) 0);
        optimizer.begin(number);
    }

    @Override
    public void acceptAll(List<Part> parts) {
        if (optimizer.needsWholeGradient() && !deferred) {
            for (Part part : parts) { // they share a buffer
                accept(List.of(part));
                complete(part.parameter());
            }
        } else {
            accept(parts);
            parts.forEach(part -> complete(part.parameter()));
        }
    }

    @Override
    public void accept(List<Part> parts) {
        List<Job> buffered = new ArrayList<>();
        List<Job> streamed = new ArrayList<>();
        for (Part part : parts) {
            Slot slot = slots.get(part.parameter().id());
            if (slot.buffer() == null) {
                streamed.add(new Job(slot, part.row0(), part.row1(), (r0, r1, worker) -> tile(part, r0, r1, worker)));
            } else {
                buffered.add(new Job(slot, part.row0(), part.row1(), (r0, r1, worker) -> addToBuffer(slot, part, r0, r1, worker)));
            }
        }
        run(buffered, (job, tile, r0, r1, worker) -> { });
        if (settings.clip().kind() == Clip.Kind.TENSOR || optimizer.needsWholeGradient()) {
            updateClipped(streamed);
        } else {
            update(streamed, job -> 1);
        }
        for (Job job : streamed) {
            squaredNorm += job.sumSquares();
        }
    }

    /** Each by its own norm; one that is not finite clips nothing, and its tensor keeps its weights. */
    private void updateClipped(List<Job> jobs) {
        run(jobs, this::squares);
        List<Job> usable = jobs.stream().filter(job -> Double.isFinite(job.sumSquares())).toList();
        if (usable.size() < jobs.size()) {
            finite.set(false);
        }
        update(usable, job -> settings.clip().factor(Math.sqrt(job.sumSquares())));
    }

    private FloatMatrix tile(Part part, long r0, long r1, Worker worker) {
        FloatMatrix tile = engine.tile(worker, r1 - r0, part.parameter().cols());
        part.gradient().compute(tile, false, r0, r1, worker);
        return tile;
    }

    private FloatMatrix addToBuffer(Slot slot, Part part, long r0, long r1, Worker worker) {
        FloatMatrix rows = engine.rows(worker, slot.buffer(), r0, r1);
        part.gradient().compute(rows, true, r0, r1, worker);
        return rows;
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
        unfinished = false;
    }

    private void discard() {
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

    /** Packed codes that changed in the step, by the id of the parameter. */
    long[] flips() {
        long[] sums = new long[slots.size()];
        for (long worker = 0; worker < flips.byteSize() / counterBytes; worker++) {
            for (int id = 0; id < sums.length; id++) {
                sums[id] += flips.get(ValueLayout.JAVA_LONG, worker * counterBytes + id * (long) Long.BYTES);
            }
        }
        return sums;
    }

    // ------------------------------------------------------------ a buffer

    private double norm(Slot slot) {
        Job job = whole(slot);
        run(List.of(job), this::squares);
        return Math.sqrt(job.sumSquares());
    }

    /** Updates from the buffer, or forgets it when it is of no use, and leaves zeros in it. */
    private void apply(Slot slot, double factor, boolean usable) {
        Job job = whole(slot);
        if (usable) {
            update(List.of(job), j -> factor);
        } else {
            finite.set(false);
        }
        engine.slices().tiles(slot.parameter().rows(), job.tileRows(), (r0, r1, worker) ->
                engine.rows(worker, slot.buffer(), r0, r1).data().fill((byte) 0));
    }

    private Job whole(Slot slot) {
        return new Job(slot, 0, slot.parameter().rows(), (r0, r1, worker) -> floats(slot.buffer(), r0, r1, worker));
    }

    /** Rows of a buffer, or a copy of them where they are bf16. */
    private FloatMatrix floats(FloatMatrix buffer, long r0, long r1, Worker worker) {
        if (buffer.type() == FloatType.F32) {
            return engine.rows(worker, buffer, r0, r1);
        }
        FloatMatrix tile = engine.tile(worker, r1 - r0, buffer.cols());
        engine.kernels().copy(engine.part(worker, buffer, r0, r1, 0, buffer.cols()), tile, 0, r1 - r0);
        return tile;
    }

    // ------------------------------------------------------------ tiles

    private interface TileBody {
        void run(Job job, FloatMatrix tile, long row0, long row1, Worker worker);
    }

    /** Takes the tiles of all jobs in one run of the workers. */
    private void run(List<Job> jobs, TileBody body) {
        engine.slices().run(jobs.stream().map(job -> work(job, body)).toArray(Team.Work[]::new));
    }

    private static Team.Work work(Job job, TileBody body) {
        return Team.Work.rows(job.row1 - job.row0, job.tileRows(), (begin, end, worker) -> {
            long r0 = job.row0 + begin;
            long r1 = job.row0 + end;
            body.run(job, job.tiles.rows(r0, r1, worker), r0, r1, worker);
        });
    }

    /** Sums the squares of a tile by row, whether they are finite or not: the norm tells. */
    private void squares(Job job, FloatMatrix tile, long r0, long r1, Worker worker) {
        engine.kernels().rowSquares(tile, job.slot.squares(r0, r1), 0, r1 - r0);
    }

    /** Gradient tile, delta tile, weight. */
    private void update(List<Job> jobs, ToDoubleFunction<Job> factor) {
        List<Job> ready = new ArrayList<>();
        for (Job job : jobs) {
            TensorStep tensorStep = new TensorStep(rates.rate(step), (float) factor.applyAsDouble(job), key(job.slot));
            if (optimizer.prepare(job.slot.state(), tensorStep, gradient(job))) {
                ready.add(job);
            } else {
                finite.set(false);
            }
        }
        run(ready, (job, tile, r0, r1, worker) -> {
            if (!update(job.slot, tile, r0, r1, worker)) {
                finite.set(false);
            }
        });
    }

    private TiledGradient gradient(Job job) {
        return new TiledGradient() {
            @Override
            public Size size() {
                return sizeOf(job.slot.parameter());
            }

            @Override
            public void forEach(TileBody body) {
                Updater.this.run(List.of(job), (j, tile, r0, r1, worker) -> body.run(tile, r0, r1));
            }
        };
    }

    /** weight = weight * keep - delta, rounded to what the weight can hold. */
    private boolean update(Slot slot, FloatMatrix tile, long r0, long r1, Worker worker) {
        Rounding rounding = settings.rounding();
        float keep = rates.keep(step, slot.kind());
        MemorySegment squares = slot.squares(r0, r1);
        return switch (slot.parameter()) {
            case Parameter.Packed packed -> optimizer.update(slot.state(), tile, squares, packed.weight(), keep,
                    key(slot), rounding, flips(worker, packed), r0, r1);
            case Parameter.Plain plain -> optimizer.delta(slot.state(), tile, squares, r0, r1)
                    && engine.kernels().updateFloat(plain.weight(), tile, keep, key(slot), rounding, r0, r1);
        };
    }

    private long key(Slot slot) {
        return Kernels.key(settings.seed(), slot.parameter().id(), step);
    }

    private MemorySegment flips(Worker worker, Parameter parameter) {
        return flips.asSlice(worker.index() * counterBytes + parameter.id() * (long) Long.BYTES, Long.BYTES);
    }
}
