package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Workspace;
import java.lang.foreign.MemorySegment;

/**
 * Writes weights in another representation: floats to the nearest codes on a grid whose scales a rule gives,
 * codes to floats, one grid to another. Of the same representation they are copied as they are.
 */
public final class Requantizer {
    private final Kernels kernels;
    private final ScaleRule rule;

    /** @param rule how scales follow from the weights */
    public Requantizer(Kernels kernels, ScaleRule rule) {
        this.kernels = kernels;
        this.rule = rule;
    }

    /**
     * Fills {@code to} with the weights of {@code from}, of the same shape; takes up to 4 bytes a weight meanwhile.
     *
     * @throws io.sterna.kernel.KernelException for weights that are not finite
     */
    public void write(Parameter from, Parameter to) {
        switch (to) {
            case Parameter.Packed(_, _, _, PackedMatrix w) when from instanceof Parameter.Packed(_, _, _, PackedMatrix v)
                    && v.grid() == w.grid() && v.scaling().equals(w.scaling()) -> {
                w.codes().copyFrom(v.codes());
                w.scales().copyFrom(v.scales());
            }
            case Parameter.Packed(_, _, _, PackedMatrix w) -> withFloats(from, (x, section) -> encode(x, w, section));
            case Parameter.Plain(_, _, _, FloatMatrix w) -> withFloats(from, (x, section) -> kernels.copy(x, w, 0, w.rows()));
        }
    }

    /** A use of weights as floats. */
    private interface Body {
        void run(FloatMatrix x, Workspace.Section section);
    }

    private void withFloats(Parameter from, Body body) {
        try (Workspace temporary = new Workspace()) {
            Workspace.Section section = temporary.section(MemoryKind.SCRATCH);
            switch (from) {
                case Parameter.Plain(_, _, _, FloatMatrix v) when v.type() == FloatType.F32 -> body.run(v, section);
                case Parameter.Plain(_, _, _, FloatMatrix v) -> {
                    FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, v.rows(), v.cols());
                    kernels.copy(v, x, 0, v.rows());
                    body.run(x, section);
                }
                case Parameter.Packed(_, _, _, PackedMatrix v) -> {
                    FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, v.rows(), v.cols());
                    kernels.decode(v, x, 0, v.rows());
                    body.run(x, section);
                }
            }
        }
    }

    private void encode(FloatMatrix x, PackedMatrix w, Workspace.Section section) {
        long sets = w.rows() * w.scaling().groups(w.cols());
        MemorySegment statistics = section.allocate(sets * Kernels.STATISTICS * Double.BYTES);
        kernels.statistics(x, w.scaling().group(), statistics, 0, w.rows());
        rule.setScales(w, statistics);
        kernels.encode(x, w, 0, w.rows());
    }
}
