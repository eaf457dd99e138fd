package io.sterna.data;

import java.io.IOException;
import java.io.InputStream;

/** A window over a stream: bytes {@code buffer[start, end)} are read and not yet consumed. */
final class ByteInput {
    private static final int READ = 1 << 16;
    private static final int MOST = 1 << 20; // a file's channel copies what it reads at once outside of the heap, and keeps that memory
    private final InputStream stream;
    private long consumed;

    byte[] buffer;
    int start;
    int end;
    boolean atEnd;

    ByteInput(InputStream stream, byte[] buffer) {
        this.stream = stream;
        this.buffer = buffer;
    }

    /** Reads more behind {@code end}; may move the window to the front of a larger buffer. */
    void fill() throws IOException {
        if (buffer.length - end < READ) {
            makeRoom();
        }
        int n = stream.read(buffer, end, Math.min(MOST, buffer.length - end));
        if (n < 0) {
            atEnd = true;
        } else {
            end += n;
        }
    }

    private void makeRoom() {
        int size = end - start;
        byte[] target = buffer.length - size < 2 * READ ? new byte[Math.max(4 * READ, buffer.length * 2)] : buffer;
        System.arraycopy(buffer, start, target, 0, size);
        buffer = target;
        start = 0;
        end = size;
    }

    /** Reads until {@code size} bytes are in the window or the stream ends; returns whether they are. */
    boolean require(int size) throws IOException {
        while (end - start < size && !atEnd) {
            fill();
        }
        return end - start >= size;
    }

    void skip(int n) {
        start += n;
        consumed += n;
    }

    /** Position of {@code start} in the (unpacked) stream. */
    long offset() {
        return consumed;
    }

    /** Bytes that the (unpacked) stream gave so far. */
    long received() {
        return consumed + end - start;
    }

    /** Index of the first line feed in {@code [from, end)}, or -1. */
    int lineFeed(int from) {
        for (int i = from; i < end; i++) {
            if (buffer[i] == '\n') {
                return i;
            }
        }
        return -1;
    }
}
