package io.sterna.kernel;

/**
 * A native library cannot be found, unpacked, trusted or loaded. The message names the platform, the
 * path that was tried and the remedy.
 *
 * <p>A kind of {@link UnsatisfiedLinkError}, so it leaves a static initializer as it is, not wrapped.
 */
public final class NativeLibraryException extends UnsatisfiedLinkError {
    private static final long serialVersionUID = 1;

    NativeLibraryException(String message, Throwable cause) {
        super(message);
        initCause(cause);
    }
}
