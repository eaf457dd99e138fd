package io.sterna.oracle;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.function.Consumer;

/**
 * Reverse-mode differentiation in float64: an operation computes its value and records how gradients
 * flow back through it. Written from the definitions of the operations alone.
 *
 * <p>A quantizer's decision is <em>doubtful</em> when the value lies so close to the middle of two codes that
 * float arithmetic may take the other one. Bit i of {@code choices} takes the other code at doubtful decision i.
 */
final class Tape {
    /** For activations, in codes of at most 127: some three times what float arithmetic was seen to be off on any tier. */
    private static final double DOUBT = 6e-5;
    /** For weights, in codes of at most 1. */
    private static final double WEIGHT_DOUBT = 1e-6;

    private final Deque<Runnable> operations = new ArrayDeque<>();
    private final int choices;
    private int doubts;

    Tape(int choices) {
        this.choices = choices;
    }

    /** A value, and the gradient of the loss with respect to it. */
    record Node(Matrix value, Matrix gradient) {
        Node(Matrix value) {
            this(value, new Matrix(value.rows(), value.cols()));
        }
    }

    /** Fills the gradients of all nodes, after the loss has set those of the last one. */
    void backward() {
        while (!operations.isEmpty()) {
            operations.pop().run();
        }
    }

    /** Doubtful decisions so far. */
    int doubts() {
        return doubts;
    }

    private double nearest(double code, double doubt) {
        double middle = Math.floor(code) + 0.5;
        boolean doubtful = Math.abs(code - middle) < doubt;
        boolean other = doubtful && (choices >> doubts++ & 1) != 0;
        return other ? 2 * middle - Math.rint(code) : Math.rint(code);
    }

    private Node record(Matrix value, Consumer<Matrix> back) {
        Node node = new Node(value);
        operations.push(() -> back.accept(node.gradient));
        return node;
    }

    /** Rows of a table (vocab, H) by their number. */
    Node gather(Node table, int[] ids) {
        Matrix y = new Matrix(ids.length, table.value.cols());
        for (int t = 0; t < ids.length; t++) {
            for (int c = 0; c < y.cols(); c++) {
                y.set(t, c, table.value.get(ids[t], c));
            }
        }
        return record(y, dy -> {
            for (int t = 0; t < ids.length; t++) {
                for (int c = 0; c < dy.cols(); c++) {
                    table.gradient.add(ids[t], c, dy.get(t, c));
                }
            }
        });
    }

    Node sum(Node a, Node b) {
        Matrix y = new Matrix(a.value.rows(), a.value.cols());
        y.add(a.value);
        y.add(b.value);
        return record(y, dy -> {
            a.gradient.add(dy);
            b.gradient.add(dy);
        });
    }

    /** y (T, N) = x (T, K) w^T, w (N, K). */
    Node linear(Node x, Node w) {
        return record(x.value.timesTransposed(w.value), dy -> {
            x.gradient.add(dy.times(w.value));
            w.gradient.add(dy.transposedTimes(x.value));
        });
    }

    /** Int8 by the largest magnitude of the token; the gradient passes unchanged. */
    Node quantize(Node x) {
        Matrix y = new Matrix(x.value.rows(), x.value.cols());
        for (int t = 0; t < y.rows(); t++) {
            double largest = 1e-5;
            for (int c = 0; c < y.cols(); c++) {
                largest = Math.max(largest, Math.abs(x.value.get(t, c)));
            }
            for (int c = 0; c < y.cols(); c++) {
                y.set(t, c, nearest(127 * x.value.get(t, c) / largest, DOUBT) * largest / 127);
            }
        }
        return record(y, x.gradient::add);
    }

    /** Ternary by the mean magnitude of the tensor; the gradient passes unchanged. */
    Node ternarize(Node w) {
        double mean = 0;
        for (double value : w.value.data()) {
            mean += Math.abs(value) / w.value.data().length;
        }
        double scale = Math.max(mean, 1e-5);
        Matrix y = new Matrix(w.value.rows(), w.value.cols());
        for (int i = 0; i < y.data().length; i++) {
            y.data()[i] = Math.clamp(nearest(w.value.data()[i] / scale, WEIGHT_DOUBT), -1, 1) * scale;
        }
        return record(y, w.gradient::add);
    }

    /** y = x / sqrt(mean(x^2) + epsilon) * gain, gain (1, K). */
    Node norm(Node x, Node gain, double epsilon) {
        int width = x.value.cols();
        Matrix unit = new Matrix(x.value.rows(), width);
        Matrix y = new Matrix(x.value.rows(), width);
        double[] inverse = new double[x.value.rows()];
        for (int t = 0; t < y.rows(); t++) {
            double squares = 0;
            for (int c = 0; c < width; c++) {
                squares += x.value.get(t, c) * x.value.get(t, c);
            }
            inverse[t] = 1 / Math.sqrt(squares / width + epsilon);
            for (int c = 0; c < width; c++) {
                unit.set(t, c, x.value.get(t, c) * inverse[t]);
                y.set(t, c, unit.get(t, c) * gain.value.get(0, c));
            }
        }
        return record(y, dy -> {
            for (int t = 0; t < dy.rows(); t++) {
                double along = 0;
                for (int c = 0; c < width; c++) {
                    along += dy.get(t, c) * gain.value.get(0, c) * unit.get(t, c) / width;
                    gain.gradient.add(0, c, dy.get(t, c) * unit.get(t, c));
                }
                for (int c = 0; c < width; c++) {
                    x.gradient.add(t, c, inverse[t] * (dy.get(t, c) * gain.value.get(0, c) - unit.get(t, c) * along));
                }
            }
        });
    }

    /** Turns the pair (i, i + d/2) of each head of width d by position * theta^(-2i/d); position is t % length. */
    Node rotate(Node x, int headDim, int length, double theta) {
        return record(rotated(x.value, headDim, length, theta, 1), dy -> x.gradient.add(rotated(dy, headDim, length, theta, -1)));
    }

    private static Matrix rotated(Matrix x, int headDim, int length, double theta, int direction) {
        Matrix y = new Matrix(x.rows(), x.cols());
        int half = headDim / 2;
        for (int t = 0; t < x.rows(); t++) {
            for (int head = 0; head < x.cols(); head += headDim) {
                for (int i = 0; i < half; i++) {
                    double angle = direction * (t % length) * Math.pow(theta, -2.0 * i / headDim);
                    double a = x.get(t, head + i);
                    double b = x.get(t, head + i + half);
                    y.set(t, head + i, a * Math.cos(angle) - b * Math.sin(angle));
                    y.set(t, head + i + half, a * Math.sin(angle) + b * Math.cos(angle));
                }
            }
        }
        return y;
    }

    /** Causal attention; query head h reads key-value head h / (heads / kvHeads). q (T, heads * d), k and v (T, kvHeads * d). */
    Node attention(Node q, Node k, Node v, int heads, int headDim, int length) {
        int shared = q.value.cols() / k.value.cols();
        Matrix y = new Matrix(q.value.rows(), q.value.cols());
        // weights[head * T + t][j]: how much token t looks at the token j places after its sequence's first
        double[][] weights = new double[heads * y.rows()][];
        for (int head = 0; head < heads; head++) {
            int own = head * headDim;
            int keys = head / shared * headDim;
            for (int t = 0; t < y.rows(); t++) {
                int first = t - t % length;
                double[] p = softmax(scores(q.value, k.value, t, first, own, keys, headDim));
                weights[head * y.rows() + t] = p;
                for (int j = 0; j < p.length; j++) {
                    for (int i = 0; i < headDim; i++) {
                        y.add(t, own + i, p[j] * v.value.get(first + j, keys + i));
                    }
                }
            }
        }
        return record(y, dy -> {
            for (int head = 0; head < heads; head++) {
                for (int t = 0; t < dy.rows(); t++) {
                    attentionBack(q, k, v, dy, weights[head * dy.rows() + t], t, t - t % length,
                            head * headDim, head / shared * headDim, headDim);
                }
            }
        });
    }

    private static double[] scores(Matrix q, Matrix k, int t, int first, int own, int keys, int headDim) {
        double[] scores = new double[t - first + 1];
        for (int j = 0; j < scores.length; j++) {
            for (int i = 0; i < headDim; i++) {
                scores[j] += q.get(t, own + i) * k.get(first + j, keys + i) / Math.sqrt(headDim);
            }
        }
        return scores;
    }

    private static void attentionBack(Node q, Node k, Node v, Matrix dy, double[] p, int t, int first, int own, int keys, int headDim) {
        double[] dp = new double[p.length];
        double mean = 0;
        for (int j = 0; j < p.length; j++) {
            for (int i = 0; i < headDim; i++) {
                dp[j] += dy.get(t, own + i) * v.value.get(first + j, keys + i);
                v.gradient.add(first + j, keys + i, p[j] * dy.get(t, own + i));
            }
            mean += p[j] * dp[j];
        }
        for (int j = 0; j < p.length; j++) {
            double score = p[j] * (dp[j] - mean) / Math.sqrt(headDim);
            for (int i = 0; i < headDim; i++) {
                q.gradient.add(t, own + i, score * k.value.get(first + j, keys + i));
                k.gradient.add(first + j, keys + i, score * q.value.get(t, own + i));
            }
        }
    }

    /** y = gate / (1 + exp(-gate)) * up. */
    Node swiglu(Node gate, Node up) {
        Matrix y = new Matrix(gate.value.rows(), gate.value.cols());
        for (int i = 0; i < y.data().length; i++) {
            double a = gate.value.data()[i];
            y.data()[i] = a * sigmoid(a) * up.value.data()[i];
        }
        return record(y, dy -> {
            for (int i = 0; i < dy.data().length; i++) {
                double a = gate.value.data()[i];
                double slope = sigmoid(a) * (1 + a * (1 - sigmoid(a)));
                gate.gradient.data()[i] += dy.data()[i] * up.value.data()[i] * slope;
                up.gradient.data()[i] += dy.data()[i] * a * sigmoid(a);
            }
        });
    }

    private static double sigmoid(double a) {
        return 1 / (1 + Math.exp(-a));
    }

    /** The mean cross-entropy in nats of the tokens whose target is not -1; starts the gradients. */
    double crossEntropy(Node logits, int[] targets) {
        long tokens = Arrays.stream(targets).filter(target -> target >= 0).count();
        double loss = 0;
        for (int t = 0; t < targets.length; t++) {
            if (targets[t] < 0) {
                continue;
            }
            int vocab = logits.value.cols();
            double[] p = softmax(Arrays.copyOfRange(logits.value.data(), t * vocab, (t + 1) * vocab));
            loss -= Math.log(p[targets[t]]) / tokens;
            for (int c = 0; c < vocab; c++) {
                logits.gradient.add(t, c, (p[c] - (c == targets[t] ? 1 : 0)) / tokens);
            }
        }
        return loss;
    }

    private static double[] softmax(double[] x) {
        double largest = Arrays.stream(x).max().orElseThrow();
        double[] p = Arrays.stream(x).map(value -> Math.exp(value - largest)).toArray();
        double sum = Arrays.stream(p).sum();
        return Arrays.stream(p).map(value -> value / sum).toArray();
    }
}
