package io.sterna.train;

/** A setting that is not known, or a value that it cannot take. The message names both and the remedy. */
public final class ConfigException extends IllegalArgumentException {
    private static final long serialVersionUID = 1;

    /** {@code message} names setting, value and remedy. */
    public ConfigException(String message) {
        super(message);
    }

    /** As above, with the failure underneath. */
    public ConfigException(String message, Throwable cause) {
        super(message, cause);
    }
}
