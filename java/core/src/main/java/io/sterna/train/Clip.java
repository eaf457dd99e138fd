package io.sterna.train;

import java.util.Objects;

/**
 * Gradient clipping: a gradient whose norm exceeds the limit is scaled down to it.
 *
 * @param kind  what the norm is taken over
 * @param limit the largest norm that passes; 0 for {@link Kind#NONE}
 */
public record Clip(Kind kind, double limit) {
    /** What the norm is taken over. */
    public enum Kind {
        /** Nothing is clipped. */
        NONE,
        /** All parameters together; exact, and so needs a gradient buffer for every parameter. */
        GLOBAL,
        /** Each tensor by itself: its gradient is computed twice, and no buffer exists for packed layers. */
        TENSOR
    }

    /** No clipping. */
    public static final Clip NONE = new Clip(Kind.NONE, 0);

    /** @throws IllegalArgumentException for a limit that is not finite and above 0 */
    public Clip {
        Objects.requireNonNull(kind, "clip kind");
        if (kind == Kind.NONE ? limit != 0 : !(limit > 0 && Double.isFinite(limit))) {
            throw new IllegalArgumentException("clip limit " + limit + ": must be finite and above 0");
        }
    }

    /** By the norm of all gradients together. */
    public static Clip global(double limit) {
        return new Clip(Kind.GLOBAL, limit);
    }

    /** Each tensor by its own norm. */
    public static Clip tensor(double limit) {
        return new Clip(Kind.TENSOR, limit);
    }

    /** The clipping written {@code none}, {@code global:X} or {@code tensor:X}. */
    public static Clip parse(String text) {
        if (text.equals("none")) {
            return NONE;
        }
        try {
            return switch (text.substring(0, text.indexOf(':') + 1)) {
                case "global:" -> global(Double.parseDouble(text.substring(7)));
                case "tensor:" -> tensor(Double.parseDouble(text.substring(7)));
                default -> throw new NumberFormatException(text);
            };
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("clip \"" + text + "\": expected none, global:X or tensor:X", e);
        }
    }

    /** The factor for a gradient of that norm. */
    double factor(double norm) {
        return kind == Kind.NONE || norm <= limit ? 1 : limit / norm;
    }

    @Override
    public String toString() {
        return switch (kind) {
            case NONE -> "none";
            case GLOBAL -> "global:" + limit;
            case TENSOR -> "tensor:" + limit;
        };
    }
}
