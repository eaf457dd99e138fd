package io.sterna.oracle;

/** A row-major matrix of doubles, and the three products of a linear layer. */
record Matrix(int rows, int cols, double[] data) {
    Matrix(int rows, int cols) {
        this(rows, cols, new double[rows * cols]);
    }

    double get(int r, int c) {
        return data[r * cols + c];
    }

    void set(int r, int c, double value) {
        data[r * cols + c] = value;
    }

    void add(int r, int c, double value) {
        data[r * cols + c] += value;
    }

    void add(Matrix other) {
        for (int i = 0; i < data.length; i++) {
            data[i] += other.data[i];
        }
    }

    /** x (T, K) times w (N, K) transposed: (T, N). */
    Matrix timesTransposed(Matrix w) {
        Matrix y = new Matrix(rows, w.rows);
        for (int t = 0; t < rows; t++) {
            for (int n = 0; n < w.rows; n++) {
                double sum = 0;
                for (int k = 0; k < cols; k++) {
                    sum += get(t, k) * w.get(n, k);
                }
                y.set(t, n, sum);
            }
        }
        return y;
    }

    /** dy (T, N) times w (N, K): (T, K). */
    Matrix times(Matrix w) {
        Matrix dx = new Matrix(rows, w.cols);
        for (int t = 0; t < rows; t++) {
            for (int n = 0; n < cols; n++) {
                for (int k = 0; k < w.cols; k++) {
                    dx.add(t, k, get(t, n) * w.get(n, k));
                }
            }
        }
        return dx;
    }

    /** dy (T, N) transposed times x (T, K): (N, K). */
    Matrix transposedTimes(Matrix x) {
        Matrix dw = new Matrix(cols, x.cols);
        for (int t = 0; t < rows; t++) {
            for (int n = 0; n < cols; n++) {
                for (int k = 0; k < x.cols; k++) {
                    dw.add(n, k, get(t, n) * x.get(t, k));
                }
            }
        }
        return dw;
    }

    /** The root of the sum of squares. */
    double norm() {
        double squares = 0;
        for (double value : data) {
            squares += value * value;
        }
        return Math.sqrt(squares);
    }
}
