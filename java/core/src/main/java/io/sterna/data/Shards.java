package io.sterna.data;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;

/**
 * A folder of token shards, memory-mapped: a corpus, tokenized once. Each file carries a CRC-32C of its
 * tokens, and {@code manifest.json} says what the files hold. Thread-safe; closing it unmaps the files.
 */
public final class Shards implements AutoCloseable {
    private static final Pattern NAME = Pattern.compile("(train|dev)-[0-9a-f]{8}-\\d{5,}\\.tokens");
    private static final long PIECE = 1 << 24; // of a file, resident while it is verified
    private static final long LARGEST_MANIFEST = 64L << 20;

    private final Arena arena;
    private final ShardManifest manifest;
    private final TokenStream train;
    private final TokenStream dev;

    /**
     * What {@link #prepare} did.
     *
     * @param manifest what the folder holds
     * @param reused   whether the folder held just this already
     * @param seconds  wall time taken
     */
    public record Prepared(ShardManifest manifest, boolean reused, double seconds) {
        /** Text tokenized a second, in 10^6 bytes; 0 if the shards were reused. */
        public double megabytesPerSecond() {
            return reused ? 0 : (manifest.train().bytes() + manifest.dev().bytes()) / 1e6 / seconds;
        }
    }

    /**
     * Tokenizes a corpus into a folder, each document followed by the end token; special tokens in the text
     * are taken as plain text. Held-out documents go to dev; if the share picks none, the one with the lowest
     * hash does, as long as two documents exist. The files are the same for any number of threads. A folder
     * that already holds just these shards is left as it is.
     *
     * <p>Files are written under temporary names, synced and renamed, the manifest last: a failed or killed
     * run loses nothing that was there. A run that prepares the same folder is waited for.
     *
     * @throws CorpusException if the corpus has no text or cannot be read
     * @throws ShardException  if the folder cannot be written
     */
    public static Prepared prepare(
            Corpus corpus, Tokenizer tokenizer, Path folder, ShardOptions options, DataProgress progress)
            throws DataException {
        return new ShardPreparation(corpus, tokenizer, folder, options, progress, ShardWriter.FILES).run();
    }

    /**
     * Maps the shards of a folder.
     *
     * @param verify whether to read all tokens once and check their checksums
     * @throws ShardException if the manifest or a shard is missing or damaged; names file, field and value
     */
    public static Shards open(Path folder, boolean verify) throws ShardException {
        ShardManifest manifest = readManifest(folder);
        Arena arena = Arena.ofShared();
        try {
            TokenStream train = map(folder, manifest, manifest.train(), arena, verify);
            TokenStream dev = map(folder, manifest, manifest.dev(), arena, verify);
            return new Shards(arena, manifest, train, dev);
        } catch (ShardException | RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    private Shards(Arena arena, ShardManifest manifest, TokenStream train, TokenStream dev) {
        this.arena = arena;
        this.manifest = manifest;
        this.train = train;
        this.dev = dev;
    }

    /** What the folder holds. */
    public ShardManifest manifest() {
        return manifest;
    }

    /** The training tokens. */
    public TokenStream train() {
        return train;
    }

    /** The held-out tokens; none when the corpus has a single document or the share is 0. */
    public TokenStream dev() {
        return dev;
    }

    /** More than once is once. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }

    static boolean isShardName(String name) {
        return NAME.matcher(name).matches();
    }

    private static ShardManifest readManifest(Path folder) throws ShardException {
        Path file = folder.resolve(MadeFolder.MANIFEST);
        try {
            return ShardManifest.read(Json.readObject(file, LARGEST_MANIFEST));
        } catch (NoSuchFileException e) {
            throw new ShardException(folder + " holds no token shards (no " + MadeFolder.MANIFEST
                    + "): prepare the data first, or name the cache that holds them", e);
        } catch (JsonException e) {
            throw damaged(file, e.getMessage());
        } catch (IOException e) {
            throw new ShardException("cannot read " + file + ": " + DataException.reason(e), e);
        }
    }

    private static TokenStream map(
            Path folder, ShardManifest manifest, ShardManifest.Part part, Arena arena, boolean verify)
            throws ShardException {
        List<MemorySegment> tokens = new ArrayList<>();
        for (ShardManifest.Shard shard : part.shards()) {
            tokens.add(map(folder.resolve(shard.file()), manifest, shard, arena, verify));
        }
        return new TokenStream(tokens, manifest.width(), manifest.vocabSize());
    }

    private static MemorySegment map(
            Path file, ShardManifest manifest, ShardManifest.Shard shard, Arena arena, boolean verify)
            throws ShardException {
        ShardFormat expected = new ShardFormat(
                ShardFormat.VERSION, manifest.width(), shard.tokens(), manifest.vocabSize(), shard.crc32c());
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            if (channel.size() != expected.fileBytes()) {
                throw damaged(file, "size is " + channel.size() + " bytes, not " + expected.fileBytes());
            }
            MemorySegment all = channel.map(FileChannel.MapMode.READ_ONLY, 0, expected.fileBytes(), arena);
            checkHeader(file, all, expected);
            MemorySegment tokens = all.asSlice(ShardFormat.HEADER_BYTES);
            if (verify) {
                int crc = crc(tokens);
                check(file, "CRC-32C of the tokens", Integer.toHexString(crc), Integer.toHexString(shard.crc32c()));
            }
            return tokens;
        } catch (NoSuchFileException e) {
            throw damaged(file, "the file is missing");
        } catch (ShardException e) {
            throw e;
        } catch (ClosedByInterruptException e) {
            throw new ShardException("interrupted while reading " + file, e);
        } catch (IOException e) {
            throw new ShardException("cannot map " + file + ": " + DataException.reason(e), e);
        }
    }

    private static void checkHeader(Path file, MemorySegment all, ShardFormat expected) throws ShardException {
        ValueLayout.OfLong longs = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        ValueLayout.OfInt ints = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        check(file, "magic", Long.toHexString(all.get(longs, 0)), Long.toHexString(ShardFormat.MAGIC));
        check(file, "version", all.get(ints, 8), expected.version());
        check(file, "token width", all.get(ints, 12), expected.width());
        check(file, "token count", all.get(longs, 16), expected.count());
        check(file, "vocabulary size", all.get(ints, 24), expected.vocabSize());
        check(file, "checksum in the header", all.get(ints, 28), expected.crc32c());
    }

    private static void check(Path file, String field, Object value, Object expected) throws ShardException {
        if (!value.equals(expected)) {
            throw damaged(file, field + " is " + value + ", not " + expected);
        }
    }

    private static ShardException damaged(Path file, String fault) {
        return new ShardException(file + " is damaged: " + fault + ": delete its folder and prepare the same data again");
    }

    private static int crc(MemorySegment tokens) {
        CRC32C crc = new CRC32C();
        for (long at = 0; at < tokens.byteSize(); at += PIECE) {
            MemorySegment piece = tokens.asSlice(at, Math.min(PIECE, tokens.byteSize() - at));
            crc.update(piece.asByteBuffer());
            piece.unload();
        }
        return (int) crc.getValue();
    }
}
