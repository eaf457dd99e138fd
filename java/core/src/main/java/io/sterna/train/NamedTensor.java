package io.sterna.train;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A tensor that outlives a step: what a checkpoint stores, in the order of the model. Writing into
 * {@code data} restores it.
 *
 * @param name  unique; weights carry their Hugging Face names, the rest adds a suffix
 * @param role  what it is
 * @param dtype element type: {@code U8} (packed codes), {@code F32}, {@code BF16}, {@code I8}
 * @param shape sizes, outermost first; packed codes are (rows, bytes of a row)
 * @param data  the memory itself, contiguous; alive as long as the trainer
 */
public record NamedTensor(String name, Role role, String dtype, List<Long> shape, MemorySegment data) {
    /** What a tensor is. */
    public enum Role { PACKED_WEIGHT, SCALE, FLOAT_WEIGHT, OPTIMIZER_STATE }
}
