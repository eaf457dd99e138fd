package io.sterna.nn;

import io.sterna.kernel.Worker;
import io.sterna.tensor.FloatMatrix;

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
         * @param dw         F32 (row1 - row0, cols): receives them
         * @param accumulate whether to add to {@code dw}
         */
        void compute(FloatMatrix dw, boolean accumulate, long row0, long row1, Worker worker);
    }

    /**
     * Takes rows row0 ... row1 - 1 of a parameter's gradient. {@code gradient} is valid until this returns;
     * the weight is no longer needed by the backward pass, so it may be updated.
     */
    void accept(Parameter parameter, long row0, long row1, Gradient gradient);

    /** Says that a micro-batch has handed over all rows of a parameter. */
    void complete(Parameter parameter);

    /** Takes all rows of a parameter's gradient. */
    default void acceptAll(Parameter parameter, Gradient gradient) {
        accept(parameter, 0, parameter.rows(), gradient);
        complete(parameter);
    }
}
