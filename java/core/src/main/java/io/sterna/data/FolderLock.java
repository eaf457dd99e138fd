package io.sterna.data;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * A folder's lock for one piece of work, held by one process of the machine at a time and by one thread of it. It
 * goes with the process, however that ends; its empty file stays, since deleting it would let two in.
 */
public final class FolderLock implements AutoCloseable {
    private static final int POLL_MILLIS = 100;

    private final FileChannel file;

    private FolderLock(FileChannel file) {
        this.file = file;
    }

    /** Waits until nobody else has the lock {@code name} in {@code folder}; what {@code progress} throws ends the wait. */
    public static FolderLock take(Path folder, String name, DataProgress progress) throws IOException {
        FileChannel file = FileChannel.open(folder.resolve(name), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            while (!tryLock(file)) {
                progress.waiting(folder);
                Thread.sleep(POLL_MILLIS);
            }
            return new FolderLock(file);
        } catch (InterruptedException e) {
            file.close();
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while another run prepared " + folder);
        } catch (IOException | RuntimeException | Error e) {
            file.close();
            throw e;
        }
    }

    /** The lock, or empty when somebody has it. */
    public static Optional<FolderLock> tryTake(Path folder, String name) throws IOException {
        FileChannel file = FileChannel.open(folder.resolve(name), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        if (tryLock(file)) {
            return Optional.of(new FolderLock(file));
        }
        file.close();
        return Optional.empty();
    }

    private static boolean tryLock(FileChannel file) throws IOException {
        try {
            return file.tryLock() != null;
        } catch (OverlappingFileLockException e) { // another thread of this JVM has it
            return false;
        }
    }

    /** Gives the lock back; more than once is once. */
    @Override
    public void close() {
        try {
            file.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e); // nothing was written: no disk can be full
        }
    }
}
