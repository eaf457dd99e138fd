package io.sterna.train;

import io.sterna.io.CheckpointException;
import io.sterna.io.CheckpointReader;
import io.sterna.io.CheckpointWriter;
import io.sterna.kernel.KernelException;
import io.sterna.kernel.Kernels;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Grid;
import io.sterna.tensor.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The tensors of a trainer as a checkpoint stores them: ternary codes as five trits a byte, everything else
 * as it lies in memory.
 */
final class StoredTensors {
    private static final String TRITS = "trits";
    private static final long TRITS_A_BYTE = 5;

    private final List<NamedTensor> tensors;
    private final Map<String, PackedMatrix> ternary = new HashMap<>();

    /** All tensors of a trainer. */
    static StoredTensors of(Trainer trainer) {
        return new StoredTensors(trainer.tensors(), trainer.model().parameters());
    }

    /** The weights alone. */
    static StoredTensors weightsOf(List<Parameter> parameters) {
        List<NamedTensor> weights = new ArrayList<>();
        parameters.forEach(p -> NamedTensor.ofWeight(p, weights));
        return new StoredTensors(weights, parameters);
    }

    private StoredTensors(List<NamedTensor> tensors, List<Parameter> parameters) {
        this.tensors = tensors;
        for (Parameter parameter : parameters) {
            if (parameter instanceof Parameter.Packed p && p.weight().grid() == Grid.TERNARY) {
                ternary.put(p.name(), p.weight());
            }
        }
    }

    /** Checks that a file holds the weights of planned parameters, which have no memory. */
    static void expectWeights(CheckpointReader reader, List<Parameter> planned) throws CheckpointException {
        for (Parameter parameter : planned) {
            switch (parameter) {
                case Parameter.Plain(_, String name, _, FloatMatrix w) -> reader.expect(
                        name, w.type().toString(), List.of(w.rows(), w.cols()), w.rows() * w.cols() * w.type().bytes());
                case Parameter.Packed(_, String name, _, PackedMatrix w) -> {
                    long rowBytes = w.grid().rowBytes(w.cols());
                    if (w.grid() == Grid.TERNARY) {
                        reader.expect(name, TRITS, shape(w), tritBytes(w));
                    } else {
                        reader.expect(name, "u8", List.of(w.rows(), rowBytes), w.rows() * rowBytes);
                    }
                    List<Long> shape = NamedTensor.scaleShape(w);
                    reader.expect(name + ".scale", "f32", shape, w.scaling().count(w.rows(), w.cols()) * Float.BYTES);
                }
            }
        }
    }

    /** Appends all tensors to {@code writer}. */
    void write(CheckpointWriter writer) throws IOException {
        for (NamedTensor tensor : tensors) {
            PackedMatrix packed = ternary.get(tensor.name());
            if (packed == null) {
                writer.add(tensor.name(), encoding(tensor), tensor.shape(), tensor.data());
            } else {
                writeTrits(writer, tensor.name(), packed);
            }
        }
    }

    /** Begins the tensor of a planned parameter of floats, whose rows follow. */
    static void begin(Parameter.Plain planned, CheckpointWriter writer) {
        List<NamedTensor> tensor = new ArrayList<>();
        NamedTensor.ofWeight(planned, tensor);
        writer.begin(planned.name(), encoding(tensor.getFirst()), tensor.getFirst().shape());
    }

    private static void writeTrits(CheckpointWriter writer, String name, PackedMatrix w) throws IOException {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment trits = arena.allocate(tritBytes(w));
            Kernels.packTrits(w, trits, 0, w.rows());
            writer.add(name, TRITS, shape(w), trits);
        }
    }

    /** Fills all tensors from {@code reader}; on an exception what they hold is undefined. */
    void read(CheckpointReader reader, Path file) throws IOException {
        for (NamedTensor tensor : tensors) {
            PackedMatrix packed = ternary.get(tensor.name());
            if (packed == null) {
                long bytes = tensor.data().byteSize();
                reader.read(reader.expect(tensor.name(), encoding(tensor), tensor.shape(), bytes), tensor.data());
            } else {
                readTrits(reader, file, tensor.name(), packed);
            }
        }
    }

    private static void readTrits(CheckpointReader reader, Path file, String name, PackedMatrix w) throws IOException {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment trits = arena.allocate(tritBytes(w));
            reader.read(reader.expect(name, TRITS, shape(w), trits.byteSize()), trits);
            Kernels.unpackTrits(trits, w, 0, w.rows());
        } catch (KernelException e) {
            throw new CheckpointException(file, "tensor " + name + ": " + e.getMessage(), "restore the file, or use another checkpoint or model", e);
        }
    }

    private static long tritBytes(PackedMatrix w) {
        return w.rows() * Math.ceilDiv(w.cols(), TRITS_A_BYTE);
    }

    private static List<Long> shape(PackedMatrix w) {
        return List.of(w.rows(), w.cols());
    }

    private static String encoding(NamedTensor tensor) {
        return tensor.dtype().toLowerCase(Locale.ROOT);
    }
}
