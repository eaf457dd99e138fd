package io.sterna.data;

import java.io.IOException;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/** Unpacks an entry of a zip and, at its end, checks its CRC-32, which the JDK's own stream does not. */
final class EntryInput extends CheckedInputStream {
    private final long expected;

    EntryInput(ZipFile zip, ZipEntry entry) throws IOException {
        super(zip.getInputStream(entry), new CRC32());
        expected = entry.getCrc();
    }

    @Override
    public int read() throws IOException {
        return checked(super.read());
    }

    @Override
    public int read(byte[] b, int off, int len) throws IOException {
        return checked(super.read(b, off, len));
    }

    private int checked(int read) throws ZipException {
        long crc = getChecksum().getValue();
        if (read < 0 && crc != expected) {
            throw new ZipException("CRC-32 is " + Long.toHexString(crc) + ", not " + Long.toHexString(expected)
                    + ": the archive is damaged");
        }
        return read;
    }
}
