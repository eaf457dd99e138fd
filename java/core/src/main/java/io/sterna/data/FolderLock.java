package io.sterna.data;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * A folder's lock for one piece of work, held by one process of the machine at a time and by one thread of it. It
 * goes with the process, however that ends; its empty file stays, since deleting it would let two in.
 */
public final class FolderLock implements AutoCloseable {
    private static final int POLL_MILLIS = 100;

    /**
     * The lock files that this JVM has are among its system properties, which class loaders share, under this prefix. Nobody
     * may open one of them again: to close it would end the lock.
     */
    private static final String HELD = "sterna.lock:";

    private final Path path;
    private final FileChannel file;

    private FolderLock(Path path, FileChannel file) {
        this.path = path;
        this.file = file;
    }

    /**
     * Waits until nobody else has the lock {@code name} in {@code folder}; what {@code progress} throws ends the wait.
     *
     * @throws InterruptedIOException when the thread is interrupted, whose mark stays set
     * @throws IOException when the folder is not there, or the lock's file cannot be opened
     */
    public static FolderLock take(Path folder, String name, DataProgress progress) throws IOException {
        try {
            while (true) {
                Optional<FolderLock> lock = tryTake(folder, name);
                if (lock.isPresent()) {
                    return lock.get();
                }
                progress.waiting(folder);
                Thread.sleep(POLL_MILLIS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while another run prepared " + folder);
        }
    }

    /**
     * The lock, or empty when somebody has it.
     *
     * @throws IOException when the folder is not there, or the lock's file cannot be opened
     */
    public static Optional<FolderLock> tryTake(Path folder, String name) throws IOException {
        Path path = folder.toRealPath().resolve(name);
        if (System.getProperties().putIfAbsent(HELD + path, "") != null) { // another thread of this JVM has it
            return Optional.empty();
        }
        FileChannel file = null;
        boolean taken = false;
        try {
            file = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            taken = file.tryLock() != null;
            return taken ? Optional.of(new FolderLock(path, file)) : Optional.empty();
        } finally {
            if (!taken) {
                release(path, file);
            }
        }
    }

    private static void release(Path path, FileChannel file) throws IOException {
        try {
            if (file != null) {
                file.close();
            }
        } finally {
            System.getProperties().remove(HELD + path);
        }
    }

    /** Gives the lock back; more than once is once. */
    @Override
    public void close() {
        if (!file.isOpen()) {
            return; // else it might be another's by now
        }
        try {
            release(path, file);
        } catch (IOException e) {
            throw new UncheckedIOException(e); // nothing was written: no disk can be full
        }
    }
}
