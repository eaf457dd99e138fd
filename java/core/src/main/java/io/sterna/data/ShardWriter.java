package io.sterna.data;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.zip.CRC32C;

/** Writes the tokens of one part (train or dev) to numbered files, under temporary names until {@link #commit}. */
final class ShardWriter implements AutoCloseable {
    /** Opens the file a shard is written to; tests put a full disk here. */
    interface Opener {
        FileChannel open(Path file) throws IOException;
    }

    static final Opener FILES = file -> FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);

    private static final int BUFFER = 1 << 20;

    private final Path folder;
    private final String prefix;
    private final int vocabSize;
    private final int width;
    private final long shardTokens;
    private final Opener opener;
    private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER).order(ByteOrder.LITTLE_ENDIAN);
    private final CRC32C crc = new CRC32C();
    private final List<ShardManifest.Shard> shards = new ArrayList<>();
    private final List<Path> temporary = new ArrayList<>();
    private FileChannel channel;
    private long count; // tokens in the open shard
    private long total;

    ShardWriter(Path folder, String prefix, int vocabSize, long shardTokens, Opener opener) {
        this.folder = folder;
        this.prefix = prefix;
        this.vocabSize = vocabSize;
        this.width = ShardFormat.widthFor(vocabSize);
        this.shardTokens = shardTokens;
        this.opener = opener;
    }

    void write(int[] tokens, int size) throws IOException {
        for (int i = 0; i < size; i++) {
            if (channel == null) {
                open();
            }
            if (width == 2) {
                buffer.putShort((short) tokens[i]);
            } else {
                buffer.putInt(tokens[i]);
            }
            count++;
            if (buffer.remaining() < 4) {
                drain();
            }
            if (count == shardTokens) {
                finishShard();
            }
        }
        total += size;
    }

    private void open() throws IOException {
        Path file = folder.resolve(name(shards.size()) + ".tmp");
        temporary.add(file);
        channel = opener.open(file);
        count = 0;
        crc.reset();
        writeAll(channel, ByteBuffer.allocate(ShardFormat.HEADER_BYTES)); // written for good when the count is known
    }

    private String name(int index) {
        return String.format(Locale.ROOT, "%s-%05d.tokens", prefix, index);
    }

    private void drain() throws IOException {
        buffer.flip();
        crc.update(buffer.duplicate());
        writeAll(channel, buffer);
        buffer.clear();
    }

    private static void writeAll(WritableByteChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private void finishShard() throws IOException {
        drain();
        int checksum = (int) crc.getValue();
        channel.position(0);
        writeAll(channel, new ShardFormat(ShardFormat.VERSION, width, count, vocabSize, checksum).write());
        channel.force(true);
        channel.close();
        channel = null;
        shards.add(new ShardManifest.Shard(name(shards.size()), count, checksum));
    }

    /** Writes what is left; the files keep their temporary names. */
    List<ShardManifest.Shard> finish() throws IOException {
        if (channel != null) {
            finishShard();
        }
        return List.copyOf(shards);
    }

    /** Gives the finished files their names. */
    void commit() throws IOException {
        for (int i = 0; i < shards.size(); i++) {
            Files.move(temporary.get(i), folder.resolve(shards.get(i).file()), StandardCopyOption.ATOMIC_MOVE);
        }
        temporary.clear();
    }

    long total() {
        return total;
    }

    /** Closes and deletes what was not committed. */
    @Override
    public void close() throws IOException {
        try {
            if (channel != null) {
                channel.close();
                channel = null;
            }
        } finally {
            for (Path file : temporary) {
                Files.deleteIfExists(file);
            }
        }
    }
}
