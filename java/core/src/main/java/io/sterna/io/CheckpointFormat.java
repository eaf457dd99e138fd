package io.sterna.io;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * The layout of a checkpoint file, little-endian:
 *
 * <pre>
 *   0  preamble, 64 bytes: magic, version (u32), CRC32C of the preamble with this field 0 (u32),
 *      header offset, header bytes, file bytes (i64 each), CRC32C of the header (u32), zeros
 *  64  tensors, each at a multiple of 64, zeros between them
 *   h  header: JSON with "meta" and "tensors" (name, encoding, shape, offset, bytes, crc32c)
 * </pre>
 *
 * The header ends the file, so that one pass writes it with its checksums, and a file cut short is seen
 * at once.
 */
final class CheckpointFormat {
    static final int VERSION = 1;
    static final int PREAMBLE_BYTES = 64;
    static final int ALIGNMENT = 64;
    /** Larger headers are refused unread: one of a model of a thousand layers takes about 2 MiB. */
    static final long MAX_HEADER_BYTES = 64L << 20;
    private static final long MAGIC = 0x4b43414e52455453L; // "STERNACK"
    private static final int CHECKSUM_AT = 12;

    private CheckpointFormat() {}

    record Preamble(int version, long headerOffset, long headerBytes, long fileBytes, int headerCrc) {
        ByteBuffer toBytes() {
            ByteBuffer b = ByteBuffer.allocate(PREAMBLE_BYTES).order(ByteOrder.LITTLE_ENDIAN);
            b.putLong(MAGIC).putInt(version).putInt(0);
            b.putLong(headerOffset).putLong(headerBytes).putLong(fileBytes).putInt(headerCrc);
            b.putInt(CHECKSUM_AT, checksum(b.array()));
            return b.rewind();
        }

        /** The preamble in {@code bytes}, or null if they are not one. */
        static Preamble of(byte[] bytes) {
            ByteBuffer b = ByteBuffer.wrap(bytes.clone()).order(ByteOrder.LITTLE_ENDIAN);
            int expected = b.getInt(CHECKSUM_AT);
            b.putInt(CHECKSUM_AT, 0);
            if (b.getLong(0) != MAGIC || checksum(b.array()) != expected) {
                return null;
            }
            return new Preamble(b.getInt(8), b.getLong(16), b.getLong(24), b.getLong(32), b.getInt(40));
        }
    }

    static long aligned(long offset) {
        return (offset + ALIGNMENT - 1) & -ALIGNMENT;
    }

    static int checksum(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, 0, bytes.length);
        return (int) crc.getValue();
    }

    /** CRC32C of any number of bytes. */
    static int checksum(MemorySegment bytes) {
        CRC32C crc = new CRC32C();
        update(crc, bytes);
        return (int) crc.getValue();
    }

    /** Takes any number of bytes into a CRC32C. */
    static void update(CRC32C crc, MemorySegment bytes) {
        for (long at = 0; at < bytes.byteSize(); ) {
            ByteBuffer chunk = FileBytes.chunk(bytes, at);
            at += chunk.remaining();
            crc.update(chunk);
        }
    }
}
