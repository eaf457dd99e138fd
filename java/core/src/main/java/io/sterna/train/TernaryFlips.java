package io.sterna.train;

import io.sterna.nn.Engine;
import io.sterna.nn.LayerKind;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.nn.Ternary;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/**
 * Counts the ternary codes that a step changes in BitNet's weights, which are floats and ternarised at each use: it
 * makes the codes before and after the step. Those before it are kept, 2 bits a weight; those after it share the
 * memory of one block.
 */
final class TernaryFlips {
    /** The low bit of each two-bit code. */
    private static final long LOW_BITS = 0x5555_5555_5555_5555L;

    private record Watched(Parameter parameter, PackedMatrix before, PackedMatrix after) {}

    private final Engine engine;
    private final Ternary ternary;
    private final List<Watched> watched = new ArrayList<>();

    /** Watches nothing unless the method ternarises floats. */
    TernaryFlips(Engine engine, Method method, List<Parameter> parameters, Workspace workspace) {
        this.engine = engine;
        List<Parameter> floats = method.ternarised()
                ? parameters.stream().filter(p -> p instanceof Parameter.Plain && p.kind().linear()).toList() : List.of();
        long tallest = floats.stream().mapToLong(Parameter::rows).max().orElse(0);
        this.ternary = floats.isEmpty() ? null : new Ternary(engine, workspace, tallest);
        Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
        Map<LayerKind, PackedMatrix> after = new EnumMap<>(LayerKind.class);
        for (Parameter p : floats) {
            watched.add(new Watched(p, codes(scratch, p), after.computeIfAbsent(p.kind(), kind -> codes(scratch, p))));
        }
    }

    private static PackedMatrix codes(Workspace.Section section, Parameter p) {
        return PackedMatrix.allocate(section, Grid.TERNARY, Scaling.TENSOR, p.rows(), p.cols());
    }

    /** The parameters whose codes are counted. */
    List<Parameter> parameters() {
        return watched.stream().map(Watched::parameter).toList();
    }

    /** Makes the codes of the weights as they are now. */
    void begin() {
        watched.forEach(w -> ternary.write(w.parameter, w.before));
    }

    /** The codes that {@link #begin} made, by name of the parameter. */
    Map<String, PackedMatrix> codes() {
        Map<String, PackedMatrix> codes = new LinkedHashMap<>();
        watched.forEach(w -> codes.put(w.parameter.name(), w.before));
        return codes;
    }

    /** Sets the codes that changed since {@link #begin}, by the id of the parameter. */
    void count(long[] flips) {
        for (Watched w : watched) {
            ternary.write(w.parameter, w.after);
            flips[w.parameter.id()] = differing(w.before.codes(), w.after.codes(), w.parameter.rows());
        }
    }

    /** Codes in which two matrices of as many rows differ; the padding of the rows is the same in both. */
    private long differing(MemorySegment a, MemorySegment b, long rows) {
        LongAdder sum = new LongAdder();
        long rowBytes = a.byteSize() / rows;
        engine.slices().run(rows, (row, worker) -> {
            long count = 0;
            for (long at = row * rowBytes; at < (row + 1) * rowBytes; at += Long.BYTES) {
                long bits = a.get(ValueLayout.JAVA_LONG_UNALIGNED, at) ^ b.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
                count += Long.bitCount((bits | bits >>> 1) & LOW_BITS);
            }
            sum.add(count);
        });
        return sum.sum();
    }
}
