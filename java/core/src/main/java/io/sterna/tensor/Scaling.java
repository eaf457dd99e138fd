package io.sterna.tensor;

/**
 * How many weights of a packed matrix share a scale.
 *
 * @param kind  per tensor, per row (output feature) or per group of columns of a row
 * @param group columns that share a scale, a multiple of 64, for {@link Kind#GROUP}; otherwise 0
 */
public record Scaling(Kind kind, int group) {
    /** What shares a scale; the order is that of the native constants. */
    public enum Kind {
        /** All weights of the matrix. */
        TENSOR,
        /** Those of a row. */
        ROW,
        /** Those of as many neighbouring columns of a row as the group says; the last group may have fewer. */
        GROUP
    }

    /** One scale for the whole matrix. */
    public static final Scaling TENSOR = new Scaling(Kind.TENSOR, 0);
    /** One scale for each row. */
    public static final Scaling ROW = new Scaling(Kind.ROW, 0);

    /** @throws IllegalArgumentException for a group that is not a positive multiple of 64 */
    public Scaling {
        if (kind == Kind.GROUP ? group <= 0 || group % Grid.BLOCK != 0 : group != 0) {
            throw new IllegalArgumentException("scale group " + group + ": must be a positive multiple of " + Grid.BLOCK
                    + ", as in group:64");
        }
    }

    /** One scale for each group of columns of a row. */
    public static Scaling group(int group) {
        return new Scaling(Kind.GROUP, group);
    }

    /** The native constant. */
    public int code() {
        return kind.ordinal();
    }

    /** Scales of a row of {@code cols} weights; 1 when the whole row, or the tensor, shares one. */
    public long groups(long cols) {
        return kind == Kind.GROUP ? Math.ceilDiv(cols, group) : 1;
    }

    /** Scales of a matrix. */
    public long count(long rows, long cols) {
        return kind == Kind.TENSOR ? 1 : rows * groups(cols);
    }

    /** The scaling written {@code tensor}, {@code row} or {@code group:N}. */
    public static Scaling parse(String text) {
        if (text.equals("tensor")) {
            return TENSOR;
        }
        if (text.equals("row")) {
            return ROW;
        }
        if (text.matches("group:\\d{1,6}")) {
            return group(Integer.parseInt(text.substring("group:".length())));
        }
        throw new IllegalArgumentException("scale \"" + text + "\": expected tensor, row or group:N");
    }

    @Override
    public String toString() {
        return switch (kind) {
            case TENSOR -> "tensor";
            case ROW -> "row";
            case GROUP -> "group:" + group;
        };
    }
}
