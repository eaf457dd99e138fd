package io.sterna.tensor;

import java.lang.foreign.MemorySegment;

/** Checks that tensors share. */
final class Shapes {
    /** More elements than any machine holds, and so few that their bytes, rows padded, fit in a long. */
    private static final long MOST_ELEMENTS = 1L << 48;

    private Shapes() {
    }

    static void check(long rows, long cols) {
        if (rows < 1 || cols < 1) {
            throw new IllegalArgumentException("shape (" + rows + ", " + cols + "): both sizes must be at least 1");
        }
        if (rows > MOST_ELEMENTS / cols) {
            throw new IllegalArgumentException("shape (" + rows + ", " + cols + "): more than " + MOST_ELEMENTS + " elements");
        }
    }

    /** A window may move, and over the memory of its own workspace. */
    static void window(boolean window, MemorySegment descriptor, Object self, MemorySegment matrixDescriptor, Object matrix) {
        if (!window) {
            throw new IllegalStateException(self + " owns its memory: only a window moves");
        }
        if (!matrixDescriptor.scope().equals(descriptor.scope())) {
            throw new IllegalArgumentException(matrix + ": a window sees the memory of its own workspace only");
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
