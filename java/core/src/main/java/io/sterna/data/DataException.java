package io.sterna.data;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;

/** Training data that cannot be used. The message is one line: what, its value, the remedy. */
public sealed class DataException extends IOException permits CorpusException, TokenizerException, ShardException {
    private static final long serialVersionUID = 1;

    DataException(String message, Throwable cause) {
        super(message, cause);
    }

    /** What an input or output fault says, in words; some of the platform's name the file alone. */
    static String reason(IOException e) {
        return switch (e) {
            case NoSuchFileException f -> "no such file " + f.getFile();
            case AccessDeniedException f -> "no permission for " + f.getFile();
            case FileAlreadyExistsException f -> f.getFile() + " is in the way";
            default -> e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        };
    }
}
