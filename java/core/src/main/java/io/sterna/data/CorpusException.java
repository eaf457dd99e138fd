package io.sterna.data;

/** A corpus that is missing, empty or unreadable. */
public final class CorpusException extends DataException {
    private static final long serialVersionUID = 1;

    CorpusException(String message) {
        super(message, null);
    }

    CorpusException(String message, Throwable cause) {
        super(message, cause);
    }
}
