package io.sterna.nn;

import io.sterna.kernel.Worker;
import io.sterna.tensor.FloatMatrix;
import java.util.List;

/**
 * Where the backward pass hands over the gradients of parameters. A gradient arrives as a way to compute
 * any of its rows, so that the receiver may take it tile by tile and never hold it whole.
 */
public interface GradientSink {
    /** Computes rows of a parameter's gradient; may be called for different rows by different workers. */
    @FunctionalInterface
    interface Gradient {
        /**
         * Computes rows row0 ... row1 - 1.
         *
         * @param dw         F32 (row1 - row0, cols), that of a product of floats maybe BF16: receives them
         * @param accumulate whether to add to {@code dw}
         */
        void compute(FloatMatrix dw, boolean accumulate, long row0, long row1, Worker worker);
    }

    /**
     * Rows row0 ... row1 - 1 of a parameter's gradient, or, where others of the same rows follow, a part that
     * adds to it.
     */
    record Part(Parameter parameter, long row0, long row1, Gradient gradient) {
        /** All rows. */
        public static Part of(Parameter parameter, Gradient gradient) {
            return new Part(parameter, 0, parameter.rows(), gradient);
        }
    }

    /**
     * Takes parts of gradients, of a parameter one at most, and may work on all of them side by side. They are
     * valid until this returns; the weights are no longer needed by the backward pass, so they may be updated.
     */
    void accept(List<Part> parts);

    /** Says that a micro-batch has handed over all of a parameter's gradient. */
    void complete(Parameter parameter);

    /** Takes the whole gradients of parameters. */
    default void acceptAll(List<Part> parts) {
        accept(parts);
        parts.forEach(part -> complete(part.parameter()));
    }
}
