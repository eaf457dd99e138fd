package io.sterna.io;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * A file that is written under a temporary name beside its place: {@link #commit} syncs it and renames it, so that its
 * place holds either what was there before or the whole new file, also after a crash. {@link #close} without commit
 * removes what was written. An exception names the file; its cause is the system's,
 * and an interrupt of the thread an {@link java.io.InterruptedIOException}. Not thread-safe.
 */
final class PendingFile implements Closeable {
    private final Path file;
    private final Path temporary;
    private final FileChannel channel;
    private boolean committed;

    /** A file that one writer at a time replaces: its temporary name takes the place of what a killed one left. */
    PendingFile(Path file) throws IOException {
        this(file, ".tmp");
    }

    /** @param suffix what the temporary name has after the file's */
    PendingFile(Path file, String suffix) throws IOException {
        this.file = file;
        this.temporary = file.resolveSibling(file.getFileName() + suffix);
        try {
            this.channel = FileChannel.open(temporary, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING,
                    StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /** A file of one writer that begins with these bytes; none when they cannot be written. */
    static PendingFile beginning(Path file, ByteBuffer start) throws IOException {
        PendingFile pending = new PendingFile(file);
        try {
            pending.write(0, start);
            return pending;
        } catch (IOException | RuntimeException | Error e) {
            pending.close();
            throw e;
        }
    }

    /** Writes bytes {@code at} bytes from the file's start; what is left out reads as 0. */
    void write(long at, MemorySegment bytes) throws IOException {
        for (long done = 0; done < bytes.byteSize(); ) {
            ByteBuffer chunk = FileBytes.chunk(bytes, done);
            int size = chunk.remaining();
            write(at + done, chunk);
            done += size;
        }
    }

    /** Writes bytes {@code at} bytes from the file's start. */
    void write(long at, ByteBuffer bytes) throws IOException {
        long position = at;
        try {
            while (bytes.hasRemaining()) {
                position += channel.write(bytes, position);
            }
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /** Ends the file and gives it its name. */
    void commit() throws IOException {
        try {
            channel.force(true);
            channel.close();
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
            committed = true;
            syncFolder(file.toAbsolutePath().getParent());
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private IOException failed(IOException e) {
        if (e instanceof ClosedByInterruptException interrupt) {
            return FileBytes.interrupted("writing", file, interrupt);
        }
        return new IOException(file + ": cannot be written (" + e.getMessage() + "); free some space, or choose another folder", e);
    }

    /**
     * Makes renames in a folder last; Windows syncs them by itself and refuses to open a folder. So may any folder that must not be
     * read, and file systems of a network or a program refuse to sync one: that is no fault of the file, which is whole and in its place.
     */
    private static void syncFolder(Path folder) throws ClosedByInterruptException {
        if (java.io.File.separatorChar == '\\') {
            return;
        }
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (ClosedByInterruptException e) {
            throw e; // the thread is to end, and nobody refused anything
        } catch (IOException e) {
            return; // to throw would call a file lost that is there
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
        if (!committed) {
            Files.deleteIfExists(temporary);
        }
    }
}
