package io.sterna.infer;

/** More tokens than a session's context holds. The message says how many of each. */
public final class ContextException extends IllegalArgumentException {
    private static final long serialVersionUID = 1;

    ContextException(String message) {
        super(message);
    }

    static ContextException ofPrompt(int tokens, int behind, int context) {
        return new ContextException("prompt of " + tokens + " tokens behind " + behind + ": the context holds " + context
                + "; shorten the prompt");
    }
}
