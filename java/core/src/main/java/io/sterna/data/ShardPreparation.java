package io.sterna.data;

import io.sterna.io.DurableFiles;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Stream;

/** One run of {@link Shards#prepare}. */
final class ShardPreparation {
    private final Corpus corpus;
    private final Tokenizer tokenizer;
    private final Path folder;
    private final ShardOptions options;
    private final DataProgress progress;
    private final ShardWriter.Opener opener;
    private final String fingerprint;
    private final ConcurrentLinkedQueue<Tokenizer.Encoder> encoders = new ConcurrentLinkedQueue<>();
    private final ArrayDeque<Piece> idle = new ArrayDeque<>();

    /** Some documents and their tokens. */
    private record Piece(DocumentChunk documents, Tokens train, Tokens dev) {
        private static final int MOST_TOKENS_KEPT = 1 << 20;

        Piece() {
            this(new DocumentChunk(), new Tokens(), new Tokens());
        }

        Piece cleared() {
            documents.clear();
            train.clear(MOST_TOKENS_KEPT);
            dev.clear(MOST_TOKENS_KEPT);
            return this;
        }
    }

    /** Documents and bytes of a part so far. */
    private static final class Count {
        long documents;
        long bytes;

        void add(int length) {
            documents++;
            bytes += length;
        }
    }

    ShardPreparation(
            Corpus corpus,
            Tokenizer tokenizer,
            Path folder,
            ShardOptions options,
            DataProgress progress,
            ShardWriter.Opener opener) {
        this.corpus = corpus;
        this.tokenizer = tokenizer;
        this.folder = folder;
        this.options = options;
        this.progress = progress;
        this.opener = opener;
        this.fingerprint = Digests.hex(String.join("\n",
                "shards " + ShardFormat.VERSION + " " + options.shardTokens(),
                corpus.fingerprint(),
                tokenizer.fingerprint()));
    }

    Shards.Prepared run() throws DataException {
        try {
            Shards.Prepared prepared = prepare();
            if (!prepared.reused()) {
                progress.tokenized(prepared);
            }
            return prepared;
        } catch (DataException e) {
            throw e;
        } catch (IOException e) {
            throw new ShardException(fault(e) + "; shards that were there are unchanged", e);
        }
    }

    private Shards.Prepared prepare() throws IOException {
        long start = System.nanoTime();
        Files.createDirectories(folder);
        ShardManifest existing = options.rebuild() ? null : reusable();
        if (existing != null) { // runs that only read do not keep each other out
            return new Shards.Prepared(existing, true, (System.nanoTime() - start) / 1e9);
        }
        try (FolderLock _ = FolderLock.take(folder, MadeFolder.LOCK, progress)) {
            existing = options.rebuild() ? null : reusable(); // by the run that was waited for
            return new Shards.Prepared(
                    existing == null ? build() : existing, existing != null, (System.nanoTime() - start) / 1e9);
        }
    }

    private String fault(IOException e) {
        return switch (e) {
            case ClosedByInterruptException i -> "interrupted while writing token shards to " + folder;
            case InterruptedIOException i -> i.getMessage();
            default -> "cannot write token shards to " + folder + ": " + DataException.reason(e) + ": free space or choose another folder";
        };
    }

    /** The manifest that is there, if it is of the same corpus and tokenizer and its files are whole. */
    private ShardManifest reusable() {
        try (Shards shards = Shards.open(folder, false)) {
            ShardManifest manifest = shards.manifest();
            boolean same = manifest.fingerprint().equals(fingerprint) && manifest.endToken() == tokenizer.endToken();
            return same ? manifest : null;
        } catch (ShardException e) {
            return null; // nothing, or something damaged: build it anew
        }
    }

    private ShardManifest build() throws IOException {
        long threshold = HeldOut.threshold(corpus.options().heldOutShare());
        Hashes hashes = new Hashes();
        Optional<ShardManifest> built = build(threshold, hashes);
        return built.isPresent() ? built.get() : build(hashes.otherThreshold(threshold), hashes).orElseThrow();
    }

    /** The hashes of all documents. */
    private final class Hashes {
        private long lowest = -1; // compared unsigned
        private long highest;

        void add(long hash) {
            lowest = Long.compareUnsigned(hash, lowest) < 0 ? hash : lowest;
            highest = Long.compareUnsigned(hash, highest) > 0 ? hash : highest;
        }

        /** Whether this is how documents are to be shared out: some to train on, and some held out if that can be. */
        boolean suit(Count train, Count dev) {
            boolean several = lowest != highest;
            return train.documents > 0 && (dev.documents > 0 || !several || corpus.options().heldOutShare() == 0);
        }

        /** Documents below it are held out, where {@code threshold} did not suit. */
        long otherThreshold(long threshold) throws ShardException {
            if (lowest == highest) {
                return 0; // one document, or the same again and again: all of it is for training
            }
            if (Long.compareUnsigned(highest, threshold) < 0) {
                throw new ShardException("held-out share " + corpus.options().heldOutShare()
                        + " leaves no document to train on: lower it");
            }
            return lowest + 1;
        }
    }

    /** The manifest of what was written; empty, and nothing is, when documents are to be shared out otherwise. */
    private Optional<ShardManifest> build(long heldOutBelow, Hashes hashes) throws IOException {
        String id = fingerprint.substring(0, 8);
        try (ShardWriter train = writer("train-" + id);
                ShardWriter dev = writer("dev-" + id);
                DocumentReader documents = corpus.read()) {
            Count trainCount = new Count();
            Count devCount = new Count();
            Unigram unigram = new Unigram(tokenizer.vocabSize());
            encodeAll(documents, heldOutBelow, hashes, trainCount, devCount, piece -> {
                unigram.addTrain(piece.train);
                unigram.addDev(piece.dev);
                train.write(piece.train.array(), piece.train.size());
                dev.write(piece.dev.array(), piece.dev.size());
                idle.add(piece.cleared());
            });
            if (trainCount.documents + devCount.documents == 0) {
                throw new CorpusException("no text in " + String.join(", ", corpus.specs()));
            }
            if (!hashes.suit(trainCount, devCount)) {
                return Optional.empty();
            }
            ShardManifest manifest = manifest(documents, part(trainCount, train), part(devCount, dev), unigram);
            train.commit();
            dev.commit();
            DurableFiles.replace(folder.resolve(MadeFolder.MANIFEST), manifest.toJson());
            deleteOthers(manifest);
            return Optional.of(manifest);
        }
    }

    private static ShardManifest.Part part(Count count, ShardWriter writer) throws IOException {
        return new ShardManifest.Part(count.documents, count.bytes, writer.total(), writer.finish());
    }

    private ShardManifest manifest(DocumentReader documents, ShardManifest.Part train, ShardManifest.Part dev, Unigram unigram) {
        return new ShardManifest(
                fingerprint,
                corpus.specs(),
                corpus.fileCount(),
                documents.skippedFiles(),
                corpus.sourceBytes(),
                tokenizer.fingerprint(),
                tokenizer.vocabSize(),
                tokenizer.endToken(),
                train,
                dev,
                unigram.devEntropy());
    }

    private ShardWriter writer(String prefix) {
        return new ShardWriter(folder, prefix, tokenizer.vocabSize(), options.shardTokens(), opener);
    }

    private void encodeAll(
            DocumentReader documents,
            long heldOutBelow,
            Hashes hashes,
            Count train,
            Count dev,
            OrderedTasks.Sink<Piece> sink)
            throws IOException {
        double total = Math.max(1, corpus.sourceBytes());
        try (OrderedTasks<Piece> tasks = new OrderedTasks<>(options.threads(), sink)) {
            Piece piece = new Piece();
            while (documents.next()) {
                long hash = documents.hash();
                boolean heldOut = Long.compareUnsigned(hash, heldOutBelow) < 0;
                hashes.add(hash);
                piece.documents.add(documents.bytes(), documents.from(), documents.to(), heldOut);
                (heldOut ? dev : train).add(documents.length());
                if (piece.documents.isFull()) {
                    Piece full = piece;
                    tasks.submit(full.documents.size(), () -> encode(full));
                    piece = idle.isEmpty() ? new Piece() : idle.remove();
                    double read = Math.min(1, documents.consumedBytes() / total);
                    progress.update("tokenize", read, train.bytes + dev.bytes);
                }
            }
            Piece last = piece;
            tasks.submit(last.documents.size(), () -> encode(last));
            tasks.finish();
            progress.update("tokenize", 1, train.bytes + dev.bytes);
        }
    }

    private Piece encode(Piece piece) {
        Tokenizer.Encoder encoder = encoders.poll();
        if (encoder == null) {
            encoder = tokenizer.encoder(false);
        }
        DocumentChunk documents = piece.documents;
        for (int i = 0; i < documents.count(); i++) {
            Tokens tokens = documents.heldOut(i) ? piece.dev : piece.train;
            encoder.encode(documents.bytes(), documents.start(i), documents.end(i), tokens);
            tokens.add(tokenizer.endToken());
        }
        encoders.add(encoder);
        return piece;
    }

    /** Deletes shards of earlier preparations, and what a killed one left. */
    private void deleteOthers(ShardManifest manifest) throws IOException {
        Set<String> keep = new HashSet<>();
        manifest.train().shards().forEach(shard -> keep.add(shard.file()));
        manifest.dev().shards().forEach(shard -> keep.add(shard.file()));
        List<Path> others = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            files.filter(file -> isOther(file.getFileName().toString(), keep)).forEach(others::add);
        }
        for (Path file : others) {
            Files.deleteIfExists(file);
        }
    }

    private static boolean isOther(String name, Set<String> keep) {
        String shard = name.endsWith(".tmp") ? name.substring(0, name.length() - 4) : name;
        return Shards.isShardName(shard) && !keep.contains(name);
    }
}
