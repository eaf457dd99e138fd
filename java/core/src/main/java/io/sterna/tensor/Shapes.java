package io.sterna.tensor;

/** Checks that tensors share. */
final class Shapes {
    private Shapes() {
    }

    static void positive(long rows, long cols) {
        if (rows < 1 || cols < 1) {
            throw new IllegalArgumentException("shape (" + rows + ", " + cols + "): both sizes must be at least 1");
        }
    }

    static void range(String what, long begin, long end, long size) {
        if (begin < 0 || end <= begin || end > size) {
            throw new IllegalArgumentException(what + " " + begin + "..." + end + ": not within 0..." + size);
        }
    }

    static long index(long r, long c, long rows, long cols, long stride) {
        if (r < 0 || r >= rows || c < 0 || c >= cols) {
            throw new IndexOutOfBoundsException("element (" + r + ", " + c + ") of a matrix (" + rows + ", " + cols + ")");
        }
        return r * stride + c;
    }
}
