package io.sterna.data;

import java.nio.file.Path;

/** A tokenizer that cannot be read, trained or followed exactly. */
public final class TokenizerException extends DataException {
    private static final long serialVersionUID = 1;
    private final String unsupportedFeature;

    TokenizerException(String message) {
        this(message, null, null);
    }

    /** A fault of a tokenizer, which may be of another kind than this library reads. */
    public TokenizerException(String message, Throwable cause) {
        this(message, cause, null);
    }

    private TokenizerException(String message, Throwable cause, String unsupportedFeature) {
        super(message, cause);
        this.unsupportedFeature = unsupportedFeature;
    }

    static TokenizerException unsupported(String feature) {
        return new TokenizerException("tokenizer feature not supported here: " + feature, null, feature);
    }

    /** The same fault, of a file. */
    TokenizerException of(Path file) {
        return new TokenizerException(file + ": " + getMessage(), this, unsupportedFeature);
    }

    /** The feature of a valid tokenizer that is not supported here, or null for any other fault. */
    public String unsupportedFeature() {
        return unsupportedFeature;
    }
}
