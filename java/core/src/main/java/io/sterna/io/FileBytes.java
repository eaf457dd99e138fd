package io.sterna.io;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/** Bytes between files and memory of any size, which channels move in parts. */
public final class FileBytes {
    private static final int CHUNK = 1 << 26; // well below the 2^31 - 1 bytes that a buffer may have
    /** A channel copies what an array receives in one go through memory outside of the heap, which the thread then keeps. */
    private static final int HEAP_CHUNK = 1 << 18;
    private static final int LARGEST_ARRAY = Integer.MAX_VALUE - 8;

    private FileBytes() {}

    /**
     * All bytes of a file, and no more memory than they take. An interrupt of the thread does not end it.
     *
     * @throws IOException when it cannot be read, or has more bytes than an array
     */
    public static byte[] all(Path file) throws IOException {
        long size = Files.size(file);
        if (size > LARGEST_ARRAY) {
            throw new IOException(file + ": has " + size + " bytes, more than the " + LARGEST_ARRAY + " that can be read at once");
        }
        byte[] bytes = new byte[(int) size];
        try (InputStream in = Files.newInputStream(file)) {
            for (long at = 0; at < size; at += HEAP_CHUNK) {
                int count = (int) Math.min(HEAP_CHUNK, size - at);
                if (in.readNBytes(bytes, (int) at, count) < count) {
                    throw new EOFException(file + ": has become shorter than " + size + " bytes");
                }
            }
        }
        return bytes;
    }

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
            int most = target.isDirect() ? target.remaining() : Math.min(HEAP_CHUNK, target.remaining());
            ByteBuffer part = target.slice(target.position(), most);
            int n;
            try {
                n = channel.read(part, position);
            } catch (ClosedByInterruptException e) {
                throw interrupted("reading", file, e);
            }
            if (n < 0) {
                throw new EOFException(file + ": ends at byte " + position);
            }
            target.position(target.position() + n);
            position += n;
        }
    }
}
