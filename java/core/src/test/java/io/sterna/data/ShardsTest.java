package io.sterna.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ShardsTest {
    private static final Path SMAPS = Path.of("/proc/self/smaps");
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private static final Tokenizer BYTES = new ByteTokenizer();

    @TempDir
    Path folder;

    private Path shards;
    private List<String> documents;
    private Path text;

    @BeforeEach
    void write() throws IOException {
        shards = folder.resolve("shards");
        documents = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            documents.add(i + ": " + Texts.prose(20 + i * 5, i));
        }
        text = Texts.jsonLines(folder.resolve("text.jsonl"), documents);
    }

    private Corpus corpus() throws CorpusException {
        return Texts.corpus(CorpusOptions.defaults().withHeldOutShare(0.05), text);
    }

    private Shards.Prepared prepare(Path target, ShardOptions options) throws DataException {
        return Shards.prepare(corpus(), BYTES, target, options, DataProgress.NONE);
    }

    private Shards.Prepared prepare() throws DataException {
        return prepare(shards, ShardOptions.of(1));
    }

    private static Map<String, byte[]> files(Path folder) throws IOException {
        Map<String, byte[]> files = new TreeMap<>();
        try (Stream<Path> paths = Files.list(folder)) {
            for (Path path : paths.toList()) {
                files.put(path.getFileName().toString(), Files.readAllBytes(path));
            }
        }
        return files;
    }

    private static void assertSame(Map<String, byte[]> expected, Map<String, byte[]> actual) {
        assertEquals(expected.keySet(), actual.keySet());
        expected.forEach((name, bytes) -> assertArrayEquals(bytes, actual.get(name), name));
    }

    private static String tokens(TokenStream stream) {
        int[] ids = new int[(int) stream.size()];
        stream.read(0, ids.length, ids, 0);
        StringBuilder text = new StringBuilder();
        int start = 0;
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] == BYTES.endToken()) {
                text.append(new String(BYTES.decode(ids, start, i), StandardCharsets.UTF_8)).append('|');
                start = i + 1;
            }
        }
        assertEquals(ids.length, start, "the last document has its end token");
        return text.toString();
    }

    /** One of the longest documents as bytes takes a quarter of the launcher's heap; twice that is too much. */
    @Test
    void manyTokensTakeLittleMoreRoomThanTheirOwn() {
        Tokens tokens = new Tokens();
        for (int i = 0; i <= 1 << 24; i++) {
            tokens.add(i);
        }
        assertEquals(1 << 24, tokens.get(1 << 24));
        assertTrue(tokens.array().length <= tokens.size() + (1 << 22), tokens.array().length + " for " + tokens.size());
        Tokens bytes = new Tokens();
        new ByteTokenizer().encoder(false).encode(new byte[1 << 24], 0, 1 << 24, bytes);
        bytes.add(256);
        assertEquals((1 << 24) + 1, bytes.array().length);
    }

    @Test
    void holdsEveryDocumentInOrderTrainAndDevApart() throws IOException {
        StringBuilder train = new StringBuilder();
        StringBuilder dev = new StringBuilder();
        try (DocumentReader reader = corpus().read()) {
            for (String document : documents) {
                assertTrue(reader.next());
                (reader.heldOut() ? dev : train).append(document).append('|');
            }
        }
        ShardManifest manifest = prepare().manifest();
        try (Shards opened = Shards.open(shards, true)) {
            assertEquals(manifest, opened.manifest());
            assertEquals(train.toString(), tokens(opened.train()));
            assertEquals(dev.toString(), tokens(opened.dev()));
        }
        assertTrue(manifest.dev().documents() > 3);
        assertEquals(documents.size(), manifest.train().documents() + manifest.dev().documents());
        assertEquals(manifest.train().tokens(), manifest.train().bytes() + manifest.train().documents());
        assertEquals(2, manifest.width());
    }

    @Test
    void aTokenizerWithALargeVocabularyGetsWideTokens() throws IOException {
        Tokenizer wide = new Tokenizer() {
            @Override
            public int vocabSize() {
                return 70_000;
            }

            @Override
            public List<Integer> endTokens() {
                return List.of(69_999);
            }

            @Override
            public Encoder encoder(boolean parseSpecial) {
                return (utf8, from, to, out) -> out.add(65_536 + to - from);
            }

            @Override
            public byte[] bytes(int token) {
                return new byte[0];
            }

            @Override
            public String fingerprint() {
                return "wide";
            }
        };
        Path two = Texts.jsonLines(folder.resolve("two.jsonl"), List.of("abc", "defgh"));
        Shards.prepare(Texts.corpus(Texts.ALL, two), wide, shards, ShardOptions.of(1), DataProgress.NONE);
        try (Shards opened = Shards.open(shards, true)) {
            int[] ids = new int[4];
            opened.train().read(0, 4, ids, 0);
            assertArrayEquals(new int[] {65_539, 69_999, 65_541, 69_999}, ids);
        }
    }

    @Test
    void filesAreTheSameForAnyNumberOfThreadsAndTokensForAnySizeOfShard() throws IOException {
        List<String> many = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            many.add(Texts.prose(2500, i)); // several chunks
        }
        text = Texts.jsonLines(folder.resolve("many.jsonl"), many);
        Path one = folder.resolve("one");
        Path five = folder.resolve("five");
        Path small = folder.resolve("small");
        prepare(one, ShardOptions.of(1));
        prepare(five, ShardOptions.of(5));
        assertSame(files(one), files(five));
        ShardManifest split = prepare(small, new ShardOptions(3, 1_000_003, false)).manifest();
        assertTrue(split.train().shards().size() > 3);
        try (Shards whole = Shards.open(one, false);
                Shards parts = Shards.open(small, true)) {
            int[] a = new int[(int) whole.train().size()];
            int[] b = new int[a.length];
            whole.train().read(0, a.length, a, 0);
            parts.train().read(0, b.length, b, 0);
            assertArrayEquals(a, b);
            parts.train().read(1_000_000, 10, b, 5);
            whole.train().read(1_000_000, 10, a, 5);
            assertArrayEquals(a, b);
        }
    }

    @Test
    void reusesWhatFitsAndReplacesWhatDoesNot() throws IOException {
        assertFalse(prepare().reused());
        Map<String, byte[]> before = files(shards);
        assertTrue(prepare().reused());
        assertFalse(prepare(shards, new ShardOptions(1, 1L << 28, true)).reused());
        assertSame(before, files(shards));

        Files.writeString(text, "{\"text\":\"more\"}\n", StandardOpenOption.APPEND);
        assertFalse(prepare().reused());
        try (Shards opened = Shards.open(shards, true)) {
            assertEquals(documents.size() + 1, opened.manifest().train().documents() + opened.manifest().dev().documents());
        }
        assertEquals(before.size(), files(shards).size(), "shards of the old text are gone");
    }

    @Test
    void holdsOutTheDocumentOfLowestHashWhenTheSharePicksNone() throws IOException {
        text = Texts.jsonLines(folder.resolve("few.jsonl"), List.of("one", "two", "three"));
        Corpus few = Texts.corpus(CorpusOptions.defaults().withHeldOutShare(1e-9), text);
        ShardManifest manifest =
                Shards.prepare(few, BYTES, shards, ShardOptions.of(1), DataProgress.NONE).manifest();
        assertEquals(1, manifest.dev().documents());
        assertEquals(2, manifest.train().documents());
        text = Texts.jsonLines(folder.resolve("single.jsonl"), List.of("one"));
        manifest = prepare(shards, ShardOptions.of(1)).manifest();
        assertEquals(0, manifest.dev().documents());
        assertEquals(0, manifest.devUnigramEntropy());
    }

    @Test
    void unigramEntropyIsThatOfTheDevTokensUnderTrainCounts() {
        Unigram unigram = new Unigram(3);
        Tokens train = new Tokens();
        train.add(new int[] {0, 0, 0, 1}, 0, 4);
        Tokens dev = new Tokens();
        dev.add(new int[] {0, 2}, 0, 2);
        unigram.addTrain(train);
        unigram.addDev(dev);
        assertEquals(-(Math.log(4 / 7.0) + Math.log(1 / 7.0)) / 2, unigram.devEntropy(), 1e-12);
    }

    @Test
    void damagedFilesAreNamedWithFieldAndValue() throws IOException {
        ShardManifest manifest = prepare().manifest();
        Path train = shards.resolve(manifest.train().shards().getFirst().file());
        byte[] good = Files.readAllBytes(train);
        String[] fields = {"magic", "version", "token width", "token count", "vocabulary size", "checksum in the header"};
        int[] offsets = {0, 8, 12, 16, 24, 28};
        for (int i = 0; i < fields.length; i++) {
            byte[] bad = good.clone();
            bad[offsets[i]] ^= 0x10;
            Files.write(train, bad);
            String message = assertThrows(ShardException.class, () -> Shards.open(shards, false)).getMessage();
            assertTrue(message.startsWith(train + " is damaged: " + fields[i] + " is "), message);
        }
        byte[] flipped = good.clone();
        flipped[good.length / 2] ^= 1;
        Files.write(train, flipped);
        Shards.open(shards, false).close();
        String message = assertThrows(ShardException.class, () -> Shards.open(shards, true)).getMessage();
        assertTrue(message.contains("CRC-32C of the tokens is ") && message.contains("delete its folder"), message);
        for (int length : new int[] {0, 10, 64, good.length - 1}) {
            Files.write(train, Arrays.copyOf(good, length));
            message = assertThrows(ShardException.class, () -> Shards.open(shards, false)).getMessage();
            assertTrue(message.contains("size is " + length + " bytes, not " + good.length), message);
        }
        Files.delete(train);
        message = assertThrows(ShardException.class, () -> Shards.open(shards, false)).getMessage();
        assertTrue(message.contains("the file is missing"), message);
        assertFalse(prepare().reused(), "damaged shards are not reused");
        Shards.open(shards, true).close();
    }

    @Test
    void tokensOutsideTheVocabularyNeverComeOut() throws IOException {
        ShardManifest manifest = prepare().manifest();
        Path train = shards.resolve(manifest.train().shards().getFirst().file());
        byte[] bad = Files.readAllBytes(train);
        bad[64 + 2 * 100 + 1] = 0x7F;
        Files.write(train, bad);
        try (Shards opened = Shards.open(shards, false)) {
            assertThrows(IllegalStateException.class, () -> opened.train().read(90, 20, new int[20], 0));
        }
    }

    @Test
    void damagedManifestsAreErrors() throws IOException {
        prepare();
        Path manifest = shards.resolve("manifest.json");
        String good = Files.readString(manifest);
        for (int n = 0; n < good.length() - 2; n += 13) {
            Files.writeString(manifest, good.substring(0, n));
            assertThrows(ShardException.class, () -> Shards.open(shards, false));
        }
        for (String[] change : new String[][] {
            {"\"version\": 1", "\"version\": 2"},
            {"\"file\": \"train-", "\"file\": \"../train-"},
            {"\"tokens\": ", "\"tokens\": 1"},
            {"\"vocab_size\": 257", "\"vocab_size\": -1"},
            {"\"crc32c\": \"", "\"crc32c\": \"x"}
        }) {
            Files.writeString(manifest, good.replaceFirst(Pattern.quote(change[0]), change[1]));
            String message = assertThrows(ShardException.class, () -> Shards.open(shards, false)).getMessage();
            assertTrue(message.contains("manifest.json is damaged"), message);
        }
        Files.delete(manifest);
        String message = assertThrows(ShardException.class, () -> Shards.open(shards, false)).getMessage();
        assertTrue(message.contains("prepare the data first"), message);
    }

    @Test
    void aFullDiskLeavesWhatWasThere() throws IOException {
        prepare();
        Map<String, byte[]> before = files(shards);
        Files.writeString(text, "{\"text\":\"more\"}\n", StandardOpenOption.APPEND);
        ShardWriter.Opener full = file -> {
            FileChannel channel = ShardWriter.FILES.open(file);
            channel.write(ByteBuffer.allocate(1000));
            return new FullDisk(channel);
        };
        String message = assertThrows(ShardException.class,
                () -> new ShardPreparation(corpus(), BYTES, shards, ShardOptions.of(2), DataProgress.NONE, full).run())
                .getMessage();
        assertTrue(message.contains("No space left on device") && message.contains(shards.toString()), message);
        assertSame(before, files(shards));
    }

    @Test
    void anInterruptIsNoFullDisk() {
        ShardWriter.Opener interrupting = file -> {
            Thread.currentThread().interrupt();
            return ShardWriter.FILES.open(file);
        };
        String message = assertThrows(ShardException.class,
                () -> new ShardPreparation(corpus(), BYTES, shards, ShardOptions.of(2), DataProgress.NONE, interrupting).run())
                .getMessage();
        assertTrue(Thread.interrupted(), "the mark is still set");
        assertEquals("interrupted while writing token shards to " + shards + "; shards that were there are unchanged", message);
    }

    @Test
    void anInterruptIsNoDamagedShard() throws IOException {
        new ShardPreparation(corpus(), BYTES, shards, ShardOptions.of(2), DataProgress.NONE, ShardWriter.FILES).run();
        Thread.currentThread().interrupt();
        String message = assertThrows(ShardException.class, () -> Shards.open(shards, true)).getMessage();
        assertTrue(Thread.interrupted(), "the mark is still set");
        assertTrue(message.startsWith("interrupted while reading " + shards), message);
    }

    @Test
    void cancellingAndFailingTokenizersLeaveWhatWasThere() throws IOException {
        prepare();
        Map<String, byte[]> before = files(shards);
        Files.writeString(text, "{\"text\":\"more\"}\n", StandardOpenOption.APPEND);
        assertThrows(CancellationException.class,
                () -> Shards.prepare(corpus(), BYTES, shards, ShardOptions.of(2), (phase, fraction, bytes) -> {
                    throw new CancellationException();
                }));
        assertSame(before, files(shards));
        Files.writeString(text, "{\"text\":\n", StandardOpenOption.APPEND);
        assertThrows(CorpusException.class, this::prepare);
        assertSame(before, files(shards));
    }

    @Test
    void aRunWaitsForAnotherThatWritesTheSameFolderAndReusesItsShards() throws Exception {
        CountDownLatch waiting = new CountDownLatch(1);
        DataProgress second = new DataProgress() {
            @Override
            public void update(String phase, double fraction, long bytes) {}

            @Override
            public void waiting(Path prepared) {
                assertEquals(shards, prepared);
                waiting.countDown();
            }
        };
        FutureTask<Shards.Prepared> beside =
                new FutureTask<>(() -> Shards.prepare(corpus(), BYTES, shards, ShardOptions.of(1), second));
        DataProgress first = (phase, fraction, bytes) -> {
            if (waiting.getCount() > 0) {
                Thread.ofPlatform().start(beside);
                assertTimeoutPreemptively(PATIENCE, () -> waiting.await());
            }
        };
        assertFalse(Shards.prepare(corpus(), BYTES, shards, ShardOptions.of(1), first).reused());
        assertTrue(beside.get(PATIENCE.toSeconds(), TimeUnit.SECONDS).reused());
    }

    @Test
    void whatWasReadDoesNotStayInTheProcess() throws IOException {
        assumeTrue(Files.isReadable(SMAPS));
        Path large = Files.writeString(folder.resolve("large.txt"), "abcdefg\n".repeat(1 << 19));
        Shards.prepare(Texts.corpus(Texts.ALL, large), BYTES, shards, ShardOptions.of(1), DataProgress.NONE);
        try (Shards opened = Shards.open(shards, false)) {
            int[] tokens = new int[256];
            for (long at = 0; at + tokens.length <= opened.train().size(); at += 8 * tokens.length) {
                opened.train().read(at, tokens.length, tokens, 0);
            }
            assertTrue(residentKilobytes("train-") < 128, residentKilobytes("train-") + " kB are resident");
        }
    }

    /** Of the mappings of this test's files with such a name. */
    private long residentKilobytes(String name) throws IOException {
        long sum = 0;
        boolean ours = false;
        for (String line : Files.readAllLines(SMAPS)) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                ours = line.contains(shards + "/" + name);
            } else if (ours && line.startsWith("Rss:")) {
                sum += Long.parseLong(line.replaceAll("\\D", ""));
            }
        }
        return sum;
    }

    @Test
    void aRunThatWaitsCanBeCancelled() throws IOException {
        Files.createDirectories(shards);
        DataProgress impatient = new DataProgress() {
            @Override
            public void update(String phase, double fraction, long bytes) {}

            @Override
            public void waiting(Path prepared) {
                throw new CancellationException();
            }
        };
        try (FolderLock _ = FolderLock.take(shards, ".lock", DataProgress.NONE)) {
            assertThrows(CancellationException.class,
                    () -> Shards.prepare(corpus(), BYTES, shards, ShardOptions.of(1), impatient));
        }
        assertFalse(prepare().reused());
    }

    @Test
    void anEmptyCorpusOrAFileInTheWayIsAnError() throws IOException {
        Path blank = Files.writeString(folder.resolve("blank.txt"), "\n\n");
        Corpus empty = Texts.corpus(Texts.ALL, blank);
        assertThrows(CorpusException.class,
                () -> Shards.prepare(empty, BYTES, shards, ShardOptions.of(1), DataProgress.NONE));
        assertTrue(assertThrows(ShardException.class, () -> prepare(blank, ShardOptions.of(1)))
                .getMessage().contains("blank.txt is in the way"));
    }

    /** A channel that takes no byte more. */
    private static final class FullDisk extends FileChannel {
        private final FileChannel file;

        FullDisk(FileChannel file) {
            this.file = file;
        }

        private static IOException full() {
            return new IOException("No space left on device");
        }

        @Override
        public int write(ByteBuffer bytes) throws IOException {
            throw full();
        }

        @Override
        public long write(ByteBuffer[] bytes, int offset, int length) throws IOException {
            throw full();
        }

        @Override
        public int write(ByteBuffer bytes, long position) throws IOException {
            throw full();
        }

        @Override
        public int read(ByteBuffer bytes) throws IOException {
            return file.read(bytes);
        }

        @Override
        public long read(ByteBuffer[] bytes, int offset, int length) throws IOException {
            return file.read(bytes, offset, length);
        }

        @Override
        public int read(ByteBuffer bytes, long position) throws IOException {
            return file.read(bytes, position);
        }

        @Override
        public long position() throws IOException {
            return file.position();
        }

        @Override
        public FileChannel position(long position) throws IOException {
            file.position(position);
            return this;
        }

        @Override
        public long size() throws IOException {
            return file.size();
        }

        @Override
        public FileChannel truncate(long size) throws IOException {
            file.truncate(size);
            return this;
        }

        @Override
        public void force(boolean metaData) throws IOException {
            file.force(metaData);
        }

        @Override
        public long transferTo(long position, long count, WritableByteChannel target)
                throws IOException {
            return file.transferTo(position, count, target);
        }

        @Override
        public long transferFrom(ReadableByteChannel source, long position, long count)
                throws IOException {
            throw full();
        }

        @Override
        public MappedByteBuffer map(MapMode mode, long position, long size) throws IOException {
            return file.map(mode, position, size);
        }

        @Override
        public FileLock lock(long position, long size, boolean shared) throws IOException {
            return file.lock(position, size, shared);
        }

        @Override
        public FileLock tryLock(long position, long size, boolean shared) throws IOException {
            return file.tryLock(position, size, shared);
        }

        @Override
        protected void implCloseChannel() throws IOException {
            file.close();
        }
    }

    @Test
    void oneTextIsTrainedOnWhateverItsHash() throws IOException {
        CorpusOptions nearlyAll = CorpusOptions.defaults().withHeldOutShare(0.999);
        for (List<String> texts : List.of(List.of("the only one"), List.of("the same", "the same", "the same"))) {
            Path file = Texts.jsonLines(folder.resolve("few.jsonl"), texts);
            Corpus corpus = Corpus.open(List.of(file.toString()), nearlyAll);
            Path out = folder.resolve("few" + texts.size());
            ShardManifest manifest = Shards.prepare(corpus, BYTES, out, ShardOptions.of(2), DataProgress.NONE).manifest();
            assertEquals(texts.size(), manifest.train().documents());
            assertEquals(0, manifest.dev().documents());
            assertTrue(BpeTrainer.train(corpus, BpeTrainer.Options.of(257, 1), DataProgress.NONE).vocabSize() > 256);
        }
        Path file = Texts.jsonLines(folder.resolve("two.jsonl"), List.of("one", "another"));
        Path out = folder.resolve("two");
        for (int i = 0; i < 2; i++) { // the second time as the first
            assertTrue(assertThrows(ShardException.class, () -> Shards.prepare(Corpus.open(List.of(file.toString()), nearlyAll), BYTES, out,
                    ShardOptions.of(1), DataProgress.NONE)).getMessage().contains("leaves no document to train on"));
        }
    }

    @Test
    void closingTwiceIsClosingOnce() throws IOException {
        Shards.prepare(Texts.corpus(Texts.ALL, text), BYTES, shards, ShardOptions.of(1), DataProgress.NONE);
        Shards opened = Shards.open(shards, true);
        opened.close();
        opened.close();
    }

    /** A file's lock ends when any channel to it closes: so nobody may open it again while it is held. */
    @Test
    void aRefusedLockLeavesTheHolderItsOwn() throws Exception {
        Path locks = Files.createDirectories(folder.resolve("locks"));
        try (FolderLock held = FolderLock.tryTake(locks, ".lock").orElseThrow()) {
            assertTrue(FolderLock.tryTake(locks, ".lock").isEmpty());
            assertEquals(Optional.empty(), anotherLibrarys(locks));
            assertEquals("refused", otherProcess(locks.resolve(".lock")));
            assertTrue(held != null);
        }
        assertEquals("taken", otherProcess(locks.resolve(".lock")));
    }

    /** What the library gives when another class loader of this JVM has loaded it. */
    private static Object anotherLibrarys(Path locks) throws Exception {
        URL[] classes = {FolderLock.class.getProtectionDomain().getCodeSource().getLocation()};
        try (URLClassLoader loader = new URLClassLoader(classes, null)) {
            Class<?> other = loader.loadClass(FolderLock.class.getName());
            return other.getMethod("tryTake", Path.class, String.class).invoke(null, locks, ".lock");
        }
    }

    private String otherProcess(Path lock) throws Exception {
        Path source = Files.writeString(folder.resolve("Lock.java"), """
                void main(String[] args) throws Exception {
                    try (var file = java.nio.channels.FileChannel.open(java.nio.file.Path.of(args[0]), java.nio.file.StandardOpenOption.WRITE)) {
                        System.out.print(file.tryLock() == null ? "refused" : "taken");
                    }
                }
                """);
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), source.toString(), lock.toString())
                .redirectErrorStream(true).start();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }
}
