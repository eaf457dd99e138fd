package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.NativeHeap;
import io.sterna.kernel.Slices;
import io.sterna.nn.Engine;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.nn.Requantizer;
import io.sterna.nn.ScaleRule;
import io.sterna.nn.Ternary;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import io.sterna.train.ModelFolder;
import io.sterna.train.PreparedData;
import io.sterna.train.ProcessMemory;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;

/**
 * A trained model for reading: weights in memory once, in the packed form they were trained in (those with a
 * ternary forward pass are ternarised once), and shared by all sessions. Thread-safe.
 */
public final class Model implements AutoCloseable {
    private static final String CLOSED = "model: already closed";

    private final Path tokenizerFile;
    private final Optional<String> chatTemplate;
    private final Tokenizer tokenizer;
    private final Kernels kernels;
    private final Workspace workspace;
    private final Llama llama;
    private final Set<SessionGroup> groups = new HashSet<>();
    private final ReadWriteLock reading = new ReentrantReadWriteLock();
    private boolean closed;

    /**
     * Loads the model of a run folder or model folder, whose tokenizer is byte-level BPE or bytes, on the calling thread.
     *
     * @throws IOException as {@link #load(Path, PreparedData.TokenizerLoader)}, which says what else is thrown
     */
    public static Model load(Path folder) throws IOException {
        return load(folder, 1);
    }

    /**
     * The same on so many threads, the calling one included; see {@link #load(Path, PreparedData.TokenizerLoader, FloatType, int)}.
     *
     * @throws IOException as there
     */
    public static Model load(Path folder, int threads) throws IOException {
        return load(folder, PreparedData.TokenizerLoader.BPE, null, threads);
    }

    /**
     * Loads the model of a run folder or model folder on the calling thread.
     *
     * @param loader reads its tokenizer.json
     * @throws io.sterna.train.ConfigException     when there is no model, or its configuration cannot be
     * @throws io.sterna.io.CheckpointException    when its weights are missing, damaged or of another shape
     * @throws io.sterna.data.TokenizerException   when its tokenizer cannot be read
     * @throws ModelException when its parts do not fit each other, or the machine has not got the memory
     */
    public static Model load(Path folder, PreparedData.TokenizerLoader loader) throws IOException {
        return load(folder, loader, null, 1);
    }

    /**
     * Loads a model with its floats in another type.
     *
     * @param floatType of embeddings, norms and head; null for the stored one. BF16 halves what a token reads of the
     *                  head, and rounds each of those numbers by up to 2^-9 of it
     * @param threads   1 ... 1024, the calling one included: those that ternarise weights where the forward pass is ternary,
     *                  until the model is loaded; nothing else takes more than one
     * @throws IllegalArgumentException for a number of threads that cannot be
     * @throws io.sterna.train.ConfigException also for a float model that is to have another type
     * @throws IOException as {@link #load(Path, PreparedData.TokenizerLoader)}, which says what else is thrown
     */
    public static Model load(Path folder, PreparedData.TokenizerLoader loader, FloatType floatType, int threads) throws IOException {
        Slices.requireWorkers(threads);
        ModelFolder files = ModelFolder.open(folder);
        Tokenizer tokenizer = files.tokenizer(loader);
        if (tokenizer.vocabSize() > files.model().vocab()) {
            throw new ModelException("model " + folder + ": its tokenizer has " + tokenizer.vocabSize()
                    + " tokens, its configuration " + files.model().vocab() + "; restore the files of the run");
        }
        Method method = method(files, floatType);
        requireMemory(folder, files, method);
        return new Model(files, tokenizer, method, threads);
    }

    private static Method method(ModelFolder files, FloatType floatType) {
        Method method = files.method().deployed();
        try {
            return floatType == null ? method : method.withFloatType(floatType);
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage(), e);
        }
    }

    private static void requireMemory(Path folder, ModelFolder files, Method method) throws IOException {
        try (Workspace plan = Workspace.planning()) {
            new Llama(files.model(), method, new Engine(null, null, 0, plan), plan);
            long bytes = plan.totalBytes();
            Optional<String> shortage = ProcessMemory.shortage(bytes);
            if (shortage.isPresent()) {
                throw new ModelException("model " + folder + ": " + shortage.get());
            }
        }
    }

    private Model(ModelFolder files, Tokenizer tokenizer, Method method, int threads) throws IOException {
        this.tokenizerFile = files.tokenizerFile();
        this.chatTemplate = files.chatTemplate();
        this.tokenizer = tokenizer;
        this.kernels = files.method().kernels(Kernels.best());
        this.workspace = new Workspace();
        try {
            // Sessions compute, each with an engine of its own.
            this.llama = new Llama(files.model(), method, new Engine(kernels, null, 0, workspace), workspace);
            read(files, threads);
        } catch (IOException | RuntimeException | Error e) {
            workspace.close();
            throw e;
        }
    }

    private void read(ModelFolder files, int threads) throws IOException {
        List<Parameter> asStored = new ArrayList<>();
        List<Parameter.Packed> ternarised = new ArrayList<>();
        for (Parameter parameter : llama.parameters()) {
            if (files.method().ternarised() && parameter instanceof Parameter.Packed packed) {
                ternarised.add(packed);
            } else if (parameter instanceof Parameter.Plain plain && plain.weight().type() != files.method().floatType()) {
                readConverted(files, plain);
            } else {
                asStored.add(parameter);
            }
        }
        files.read(asStored);
        if (!ternarised.isEmpty()) {
            try (Slices slices = new Slices(threads)) {
                for (Parameter.Packed parameter : ternarised) {
                    readTernarised(files, parameter, slices);
                }
            }
        }
    }

    private void readConverted(ModelFolder files, Parameter.Plain parameter) throws IOException {
        try (Workspace temporary = new Workspace()) {
            Parameter stored = files.method().parameter(parameter.id(), parameter.name(), parameter.kind(),
                    parameter.rows(), parameter.cols(), temporary);
            files.read(List.of(stored));
            new Requantizer(kernels, ScaleRule.ABSMEAN).write(stored, parameter);
        }
    }

    private void readTernarised(ModelFolder files, Parameter.Packed parameter, Slices slices) throws IOException {
        try (Workspace temporary = new Workspace()) {
            Engine engine = new Engine(kernels, slices, slices.workers(), temporary, llama.config().widest());
            Parameter stored = files.method().parameter(parameter.id(), parameter.name(), parameter.kind(),
                    parameter.rows(), parameter.cols(), temporary);
            files.read(List.of(stored));
            new Ternary(engine, temporary, parameter.rows()).write(stored, parameter.weight());
        }
    }

    /** Shape; {@code seqLen} is the longest context. */
    public LlamaConfig config() {
        return llama.config();
    }

    /** How the weights are represented in memory. */
    public Method method() {
        return llama.method();
    }

    /** The tokenizer. */
    public Tokenizer tokenizer() {
        return tokenizer;
    }

    /** The chat template that came with it; see {@link ModelFolder#chatTemplate()}. */
    public Optional<String> chatTemplate() {
        return chatTemplate;
    }

    /** The tokenizer.json that it was loaded with, unless its tokens are bytes. */
    Path tokenizerFile() {
        return tokenizerFile;
    }

    /** Off-heap bytes of the model by kind; sessions have their own. */
    public Map<MemoryKind, Long> bytes() {
        return workspace.bytes();
    }

    /**
     * A new, empty sequence.
     *
     * @throws IllegalArgumentException for a context longer than the model's or than memory holds, or a number of threads that cannot be
     * @throws IllegalStateException    when the model is closed
     */
    public Session session(SessionOptions options) {
        return new Session(group(options, 1));
    }

    /**
     * New, empty sequences side by side.
     *
     * @param options   those of each sequence; the threads are all sequences' together
     * @param sequences 1 ... 65536
     * @throws IllegalArgumentException as {@link #session}, and for a number of sequences that cannot be
     * @throws IllegalStateException    when the model is closed
     */
    public synchronized SessionGroup group(SessionOptions options, int sequences) {
        if (closed) {
            throw new IllegalStateException(CLOSED);
        }
        SessionGroup group = new SessionGroup(this, options, sequences);
        groups.add(group);
        return group;
    }

    Llama llama() {
        return llama;
    }

    Kernels kernels() {
        return kernels;
    }

    /**
     * Fills {@code to} (rows, K) with weights of a parameter (N, K), from row {@code row0} on, as floats.
     *
     * @throws IllegalStateException when the model is closed
     */
    void decode(Parameter parameter, long row0, FloatMatrix to) {
        read(() -> {
            switch (parameter) {
                case Parameter.Packed packed -> kernels.decode(packed.weight(), to, row0, row0 + to.rows());
                case Parameter.Plain plain -> copy(plain.weight(), row0, to);
            }
            return to;
        });
    }

    private static void copy(FloatMatrix weight, long row0, FloatMatrix to) {
        for (long r = 0; r < to.rows(); r++) {
            for (long c = 0; c < to.cols(); c++) {
                to.set(r, c, weight.get(row0 + r, c));
            }
        }
    }

    /** A copy of a parameter's scales; as {@link #decode}. */
    MemorySegment scales(Parameter.Packed parameter) {
        return read(() -> MemorySegment.ofArray(parameter.weight().scales().toArray(ValueLayout.JAVA_BYTE)));
    }

    /** Reads weights outside of any session; {@link #close} returns their memory after it. */
    private <T> T read(Supplier<T> work) {
        reading.readLock().lock();
        try {
            if (!workspace.isAlive()) {
                throw new IllegalStateException(CLOSED);
            }
            return work.get();
        } finally {
            reading.readLock().unlock();
        }
    }

    /** An engine for a session. */
    Engine engine(Slices slices, Workspace memory) {
        return new Engine(kernels, slices, slices.workers(), memory);
    }

    synchronized void forget(SessionGroup group) {
        groups.remove(group);
    }

    /** Closes the sessions, each after the pass that it is in, and returns all memory; an export under way fails. */
    @Override
    public void close() {
        List<SessionGroup> open;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            open = List.copyOf(groups);
        }
        open.forEach(SessionGroup::close);
        reading.writeLock().lock();
        try {
            NativeHeap.close(workspace);
        } finally {
            reading.writeLock().unlock();
        }
    }
}
