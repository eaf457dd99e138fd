package io.sterna.io;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import java.util.zip.ZipException;

/**
 * Unpacks gzip (RFC 1952), members one behind the other. The JDK's own stream takes a member it cannot read for the
 * end, and so loses what follows a damaged one without a word; here all bytes are members, but for zeros at the end.
 * Not thread-safe.
 */
public final class GzipInput extends InputStream {
    private static final int MAGIC = 0x8B1F;
    private static final int DEFLATE = 8;
    private static final int HEADER_CRC = 2; // flags
    private static final int EXTRA = 4;
    private static final int NAME = 8;
    private static final int COMMENT = 16;

    private final InputStream packed;
    private final byte[] buffer = new byte[1 << 16];
    private final Inflater inflater = new Inflater(true);
    private final CRC32 crc = new CRC32(); // of a header, then of the member's text
    private int at; // of the buffer, between members
    private int end;
    private boolean finished;

    /**
     * Reads the first header.
     *
     * @param packed read to its end, and closed with this
     * @throws ZipException if there is none
     */
    public GzipInput(InputStream packed) throws IOException {
        this.packed = packed;
        try {
            readHeader("Not in GZIP format");
        } catch (IOException e) {
            inflater.end();
            throw e;
        }
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
    }

    @Override
    public int read(byte[] b, int off, int len) throws IOException {
        if (len == 0) {
            return 0;
        }
        while (!finished) {
            int n = inflate(b, off, len);
            if (n > 0) {
                crc.update(b, off, n);
                return n;
            }
            if (inflater.finished()) {
                at = end - inflater.getRemaining();
                readTrailer();
                finished = !nextMember();
            } else if (inflater.needsDictionary()) {
                throw new ZipException("packed with a dictionary, which gzip has not");
            } else {
                fill();
                inflater.setInput(buffer, at, end - at);
            }
        }
        return -1;
    }

    private int inflate(byte[] b, int off, int len) throws ZipException {
        try {
            return inflater.inflate(b, off, len);
        } catch (DataFormatException e) {
            ZipException damaged = new ZipException(e.getMessage() == null ? "invalid packed data" : e.getMessage());
            damaged.initCause(e);
            throw damaged;
        }
    }

    private void readHeader(String fault) throws IOException {
        crc.reset();
        if (headerShort() != MAGIC) {
            throw new ZipException(fault);
        }
        int method = headerByte();
        if (method != DEFLATE) {
            throw new ZipException("Unsupported compression method " + method);
        }
        int flags = headerByte();
        skipHeader(6); // time, level, system
        if ((flags & EXTRA) != 0) {
            skipHeader(headerShort());
        }
        if ((flags & NAME) != 0) {
            skipHeaderText();
        }
        if ((flags & COMMENT) != 0) {
            skipHeaderText();
        }
        int expected = (int) crc.getValue() & 0xFFFF;
        if ((flags & HEADER_CRC) != 0 && headerShort() != expected) {
            throw new ZipException("Corrupt GZIP header");
        }
        crc.reset();
        inflater.setInput(buffer, at, end - at);
    }

    private int headerByte() throws IOException {
        int b = nextByte();
        crc.update(b);
        return b;
    }

    private int headerShort() throws IOException {
        return headerByte() | headerByte() << 8;
    }

    private void skipHeader(int bytes) throws IOException {
        for (int i = 0; i < bytes; i++) {
            headerByte();
        }
    }

    private void skipHeaderText() throws IOException {
        while (headerByte() != 0) {}
    }

    private void readTrailer() throws IOException {
        if (nextInt() != (int) crc.getValue() || nextInt() != (int) inflater.getBytesWritten()) {
            throw new ZipException("Corrupt GZIP trailer");
        }
    }

    /** Begins the member that follows; false at the end, which zeros may pad. */
    private boolean nextMember() throws IOException {
        if (!hasMore()) {
            return false;
        }
        if (buffer[at] != 0) {
            inflater.reset();
            readHeader("what stands behind a gzip member is no other one: the file is damaged");
            return true;
        }
        while (hasMore()) {
            if (buffer[at++] != 0) {
                throw new ZipException("something stands behind the zeros that pad a gzip member: the file is damaged");
            }
        }
        return false;
    }

    private int nextInt() throws IOException {
        return nextByte() | nextByte() << 8 | nextByte() << 16 | nextByte() << 24;
    }

    private int nextByte() throws IOException {
        if (at == end) {
            fill();
        }
        return buffer[at++] & 0xFF;
    }

    private void fill() throws IOException {
        at = end; // what an inflater was given is used up
        if (!hasMore()) {
            throw new EOFException("Unexpected end of gzip data");
        }
    }

    private boolean hasMore() throws IOException {
        if (at == end) {
            at = 0;
            end = Math.max(0, packed.read(buffer));
        }
        return end > 0;
    }

    @Override
    public void close() throws IOException {
        inflater.end();
        packed.close();
    }
}
