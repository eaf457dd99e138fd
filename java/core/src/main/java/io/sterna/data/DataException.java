package io.sterna.data;

import java.io.IOException;

/** Training data that cannot be used. The message is one line: what, its value, the remedy. */
public sealed class DataException extends IOException permits CorpusException, TokenizerException, ShardException {
    private static final long serialVersionUID = 1;

    DataException(String message, Throwable cause) {
        super(message, cause);
    }
}
