package io.sterna.data;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A token shard: a header of 64 bytes, then {@code count} tokens of {@code width} bytes. All little-endian.
 *
 * <pre>
 *  0  8 bytes  magic "STERNATK"
 *  8  int      version, 1
 * 12  int      width, 2 or 4
 * 16  long     count
 * 24  int      vocabulary size; tokens are below it
 * 28  int      CRC-32C of the tokens
 * 32  32 bytes zero
 * </pre>
 *
 * @param width 2 for vocabularies up to 65,536, otherwise 4
 */
record ShardFormat(int version, int width, long count, int vocabSize, int crc32c) {
    static final long MAGIC = 0x4B54414E52455453L; // "STERNATK"
    static final int VERSION = 1;
    static final int HEADER_BYTES = 64;

    static int widthFor(int vocabSize) {
        return vocabSize <= 1 << 16 ? 2 : 4;
    }

    long fileBytes() {
        return HEADER_BYTES + count * width;
    }

    ByteBuffer write() {
        ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        header.putLong(MAGIC).putInt(version).putInt(width).putLong(count).putInt(vocabSize).putInt(crc32c);
        return header.clear();
    }
}
