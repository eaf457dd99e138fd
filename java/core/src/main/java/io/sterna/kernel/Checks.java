package io.sterna.kernel;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Moment;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedGradient;
import io.sterna.tensor.QuantizedMatrix;
import java.lang.foreign.MemorySegment;

/** What Java checks before a downcall: the memory is alive and as large as the kernel's shapes say. */
final class Checks {
    private Checks() {
    }

    static void matrix(String name, FloatMatrix x, long rows, long cols) {
        alive(name, x, x.descriptor());
        shape(name, x, x.rows() == rows && x.cols() == cols, rows, cols);
    }

    /** F32 without gaps between rows: what kernels take as a plain float pointer. */
    static void vector(String name, FloatMatrix x, long rows, long cols) {
        matrix(name, x, rows, cols);
        if (x.type() != FloatType.F32 || x.rows() > 1 && x.stride() != x.cols()) {
            throw new IllegalArgumentException(name + " = " + x + ": must be f32 without gaps between rows");
        }
    }

    static void alive(String name, FloatMatrix x) {
        alive(name, x, x.descriptor());
    }

    /** At least so many rows: a tile may be larger than the slice it holds. */
    static void tile(String name, FloatMatrix x, long rows, long cols) {
        alive(name, x, x.descriptor());
        shape(name, x, x.rows() >= rows && x.cols() == cols, rows, cols);
    }

    static void quantized(String name, QuantizedMatrix q, long rows, long cols) {
        alive(name, q, q.descriptor());
        shape(name, q, q.rows() == rows && q.cols() == cols, rows, cols);
    }

    static void gradient(String name, QuantizedGradient g, long rows, long cols) {
        alive(name, g, g.descriptor());
        shape(name, g, g.rows() == rows && g.cols() == cols, rows, cols);
    }

    static void packed(String name, PackedMatrix w, long rows, long cols) {
        alive(name, w, w.descriptor());
        shape(name, w, w.rows() == rows && w.cols() == cols, rows, cols);
    }

    static void moment(String name, Moment m, long rows, long cols) {
        alive(name, m, m.descriptor());
        shape(name, m, m.rows() >= rows && m.cols() == cols, rows, cols);
    }

    static void alive(String name, Object x, MemorySegment memory) {
        if (!memory.scope().isAlive()) {
            throw new IllegalArgumentException(name + " = " + x + ": its memory has been closed");
        }
    }

    static void step(Object step, MemorySegment memory) {
        alive("step", step.getClass().getSimpleName(), memory);
    }

    static void shape(String name, Object x, boolean fits, long rows, long cols) {
        if (!fits) {
            throw new IllegalArgumentException(name + " = " + x + ": expected shape (" + rows + ", " + cols + ")");
        }
    }

    /** Off-heap memory of at least so many bytes. */
    static void bytes(String name, MemorySegment memory, long bytes) {
        if (!memory.isNative()) {
            throw new IllegalArgumentException(name + ": must be off-heap memory");
        }
        alive(name, "memory", memory);
        if (!memory.isAccessibleBy(Thread.currentThread())) {
            throw new IllegalArgumentException(name + ": is the memory of another thread alone");
        }
        if (memory.byteSize() < bytes) {
            throw new IllegalArgumentException(name + ": has " + memory.byteSize() + " bytes, needs " + bytes);
        }
    }

    /** The same, which the kernel writes to: the JVM would end at pages that are mapped to be read. */
    static void output(String name, MemorySegment memory, long bytes) {
        bytes(name, memory, bytes);
        if (memory.isReadOnly()) {
            throw new IllegalArgumentException(name + ": is read-only");
        }
    }

    /** A pointer inside a struct keeps nothing alive, so both must live and die together. */
    static void sameWorkspace(String name, MemorySegment struct, MemorySegment memory) {
        if (!struct.scope().equals(memory.scope())) {
            throw new IllegalArgumentException(name + ": must be of the same workspace as its call");
        }
    }

    static void scratch(MemorySegment scratch) {
        output("scratch", scratch, Slices.SCRATCH_BYTES);
    }

    /** 0 <= begin <= end <= limit. */
    static void slice(long begin, long end, long limit) {
        if (begin < 0 || end < begin || end > limit) {
            throw new IllegalArgumentException("slice " + begin + "..." + end + ": not within 0..." + limit);
        }
    }
}
