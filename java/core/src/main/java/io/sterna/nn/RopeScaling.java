package io.sterna.nn;

/**
 * How the rotary positions of a model are stretched, so that it takes longer texts than those it was first trained
 * on: its frequencies theta^(-2i/d), in radians a token, become lower ones.
 *
 * @param kind           which of them
 * @param factor         slow ones are divided by it; at least 1
 * @param low            waves longer than {@code originalLength / low} tokens are slow, for {@link Kind#LLAMA3}; else 0
 * @param high           waves shorter than {@code originalLength / high} tokens stay as they are, for
 *                       {@link Kind#LLAMA3}; above {@code low}; else 0
 * @param originalLength tokens of the texts that the model was first trained on, for {@link Kind#LLAMA3}; else 0
 */
public record RopeScaling(Kind kind, double factor, double low, double high, int originalLength) {
    /** Which frequencies become lower. */
    public enum Kind {
        /** None. */
        NONE,
        /** All, alike. */
        LINEAR,
        /** The slow ones; those between slow and fast in part, as in Llama 3.1 (arXiv 2407.21783, and its code). */
        LLAMA3
    }

    /** Positions as they are. */
    public static final RopeScaling NONE = new RopeScaling(Kind.NONE, 1, 0, 0, 0);

    private static final String FORMS = "expected none, linear:FACTOR or llama3:FACTOR:LOW:HIGH:LENGTH, as in llama3:8:1:4:8192";

    /** @throws IllegalArgumentException for numbers that scale nothing, or make no sense together */
    public RopeScaling {
        boolean valid = switch (kind) {
            case NONE -> factor == 1 && low == 0 && high == 0 && originalLength == 0;
            case LINEAR -> low == 0 && high == 0 && originalLength == 0;
            case LLAMA3 -> low > 0 && high > low && Double.isFinite(high) && originalLength > 0;
        };
        if (!(factor >= 1 && Double.isFinite(factor)) || !valid) {
            throw new IllegalArgumentException("rope-scaling " + written(kind, factor, low, high, originalLength)
                    + ": the factor must be at least 1, and 0 < LOW < HIGH");
        }
    }

    /** All frequencies divided by {@code factor}. */
    public static RopeScaling linear(double factor) {
        return new RopeScaling(Kind.LINEAR, factor, 0, 0, 0);
    }

    /** That of Llama 3.1 and later. */
    public static RopeScaling llama3(double factor, double low, double high, int originalLength) {
        return new RopeScaling(Kind.LLAMA3, factor, low, high, originalLength);
    }

    /** The frequency that a pair of a head turns with, in radians a token, from that without scaling. */
    public double frequency(double unscaled) {
        return switch (kind) {
            case NONE -> unscaled;
            case LINEAR -> unscaled / factor;
            case LLAMA3 -> {
                double turns = originalLength * unscaled / (2 * Math.PI); // of the pair over a text of the original length
                double kept = Math.clamp((turns - low) / (high - low), 0, 1);
                yield (1 - kept) * unscaled / factor + kept * unscaled;
            }
        };
    }

    /** The scaling written {@code none}, {@code linear:FACTOR} or {@code llama3:FACTOR:LOW:HIGH:LENGTH}. */
    public static RopeScaling parse(String text) {
        String[] parts = text.split(":", -1);
        try {
            return switch (parts[0] + "/" + parts.length) {
                case "none/1" -> NONE;
                case "linear/2" -> linear(Double.parseDouble(parts[1]));
                case "llama3/5" -> llama3(Double.parseDouble(parts[1]), Double.parseDouble(parts[2]), Double.parseDouble(parts[3]),
                        Integer.parseInt(parts[4]));
                default -> throw new NumberFormatException(text);
            };
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("rope-scaling \"" + text + "\": " + FORMS, e);
        }
    }

    @Override
    public String toString() {
        return written(kind, factor, low, high, originalLength);
    }

    private static String written(Kind kind, double factor, double low, double high, int originalLength) {
        return switch (kind) {
            case NONE -> "none";
            case LINEAR -> "linear:" + written(factor);
            case LLAMA3 -> "llama3:" + written(factor) + ":" + written(low) + ":" + written(high) + ":" + originalLength;
        };
    }

    private static String written(double number) {
        return number == Math.rint(number) && Math.abs(number) < 1e15 ? Long.toString((long) number) : Double.toString(number);
    }
}
