package io.sterna.data;

/** A token shard or manifest that is missing, damaged, too small or cannot be written. */
public final class ShardException extends DataException {
    private static final long serialVersionUID = 1;

    ShardException(String message) {
        super(message, null);
    }

    ShardException(String message, Throwable cause) {
        super(message, cause);
    }
}
