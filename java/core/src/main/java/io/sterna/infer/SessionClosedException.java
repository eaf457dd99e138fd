package io.sterna.infer;

/** A session was closed, perhaps by another thread while it was at work. */
public final class SessionClosedException extends IllegalStateException {
    private static final long serialVersionUID = 1;

    SessionClosedException() {
        super("session: already closed");
    }
}
