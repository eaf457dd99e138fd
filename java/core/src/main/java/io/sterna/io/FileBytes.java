package io.sterna.io;

import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/** Bytes between files and memory of any size, which channels move in parts. */
final class FileBytes {
    private static final int CHUNK = 1 << 26; // well below the 2^31 - 1 bytes that a buffer may have

    private FileBytes() {}

    /** An interrupt of the thread closes the channel that it is in; the thread's mark stays set. */
    static InterruptedIOException interrupted(String doing, Path file, ClosedByInterruptException e) {
        InterruptedIOException interrupted = new InterruptedIOException("interrupted while " + doing + " " + file);
        interrupted.initCause(e);
        return interrupted;
    }

    /** Bytes of the file. */
    static long size(FileChannel channel, Path file) throws IOException {
        try {
            return channel.size();
        } catch (ClosedByInterruptException e) {
            throw interrupted("reading", file, e);
        }
    }

    /** Bytes from {@code at} on, as many as one buffer takes. */
    static ByteBuffer chunk(MemorySegment bytes, long at) {
        return bytes.asSlice(at, Math.min(CHUNK, bytes.byteSize() - at)).asByteBuffer();
    }

    /** Fills {@code target} with bytes of the file from {@code at} on. */
    static void read(FileChannel channel, Path file, long at, MemorySegment target) throws IOException {
        for (long done = 0; done < target.byteSize(); ) {
            ByteBuffer chunk = chunk(target, done);
            int bytes = chunk.remaining();
            read(channel, file, at + done, chunk);
            done += bytes;
        }
    }

    /** Fills {@code target} with bytes of the file from {@code at} on. */
    static void read(FileChannel channel, Path file, long at, ByteBuffer target) throws IOException {
        long position = at;
        while (target.hasRemaining()) {
            int n;
            try {
                n = channel.read(target, position);
            } catch (ClosedByInterruptException e) {
                throw interrupted("reading", file, e);
            }
            if (n < 0) {
                throw new EOFException(file + ": ends at byte " + position);
            }
            position += n;
        }
    }
}
