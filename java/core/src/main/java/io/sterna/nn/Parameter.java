package io.sterna.nn;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.PackedMatrix;

/** A trained tensor of the model. */
public sealed interface Parameter {
    /** Position in the model's list of parameters; random bits depend on it. */
    int id();

    /** The name that Hugging Face gives the tensor. */
    String name();

    /** What it is for. */
    LayerKind kind();

    /** Output features, or tokens of a vocabulary, or 1 for a norm. */
    long rows();

    /** Input features, or width. */
    long cols();

    /** Number of weights. */
    default long size() {
        return rows() * cols();
    }

    /** A parameter that exists in packed codes only. */
    record Packed(int id, String name, LayerKind kind, PackedMatrix weight) implements Parameter {
        @Override
        public long rows() {
            return weight.rows();
        }

        @Override
        public long cols() {
            return weight.cols();
        }
    }

    /** A parameter of floats. */
    record Plain(int id, String name, LayerKind kind, FloatMatrix weight) implements Parameter {
        @Override
        public long rows() {
            return weight.rows();
        }

        @Override
        public long cols() {
            return weight.cols();
        }
    }
}
