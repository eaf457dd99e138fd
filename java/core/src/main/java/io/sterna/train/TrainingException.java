package io.sterna.train;

/** A training that cannot go on. The message names what happened and the remedy. */
public final class TrainingException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** {@code message} names what happened and the remedy. */
    public TrainingException(String message) {
        super(message);
    }
}
