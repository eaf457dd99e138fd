package io.sterna.data;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.IntStream;

/**
 * Trains a byte-level BPE tokenizer: GPT-2's cutting into words, then the most frequent pair of neighbours is
 * merged until the vocabulary is full; of equally frequent pairs the one with the lowest ids, left first.
 * Ids: 0 is {@code <|end|>}, 1 to 256 the bytes in the order of their printable stand-ins, then the merges.
 * The result is the same for any number of threads, and that of Hugging Face's trainer on the same words.
 *
 * <p>Memory is bounded by the sample, from which documents held out are left out. Words longer than 4096 bytes
 * (base64, tables) are not counted.
 */
public final class BpeTrainer {
    /** Text of the token that ends a document, id 0. */
    public static final String END_TOKEN = "<|end|>";

    private static final int FIRST_BYTE = 1;
    private static final int FIRST_MERGE = FIRST_BYTE + 256;
    private static final int LONGEST_WORD = 4096;

    /**
     * What a tokenizer is trained to, and from how much text.
     *
     * @param vocabSize    tokens, 257 to 2^20
     * @param threads      threads used, the caller's included
     * @param sampleBytes  text counted, at most this (1 to 2^30) and a document: taken evenly from the whole corpus by
     *                     keeping the share of text taken beside the share of files read
     * @param minFrequency pairs seen less often are not merged; at least 1
     */
    public record Options(int vocabSize, int threads, long sampleBytes, int minFrequency) {
        /** @throws IllegalArgumentException for a number outside its range; the message names it */
        public Options {
            if (vocabSize < FIRST_MERGE || vocabSize > 1 << 20) {
                throw new IllegalArgumentException("vocabulary of " + vocabSize + " tokens, must be 257 to 1,048,576");
            }
            if (threads < 1 || minFrequency < 1) {
                throw new IllegalArgumentException(
                        "threads " + threads + ", least frequency " + minFrequency + ": both must be at least 1");
            }
            if (sampleBytes < 1 || sampleBytes > 1 << 30) {
                throw new IllegalArgumentException("sample of " + sampleBytes + " bytes, must be 1 to 2^30");
            }
        }

        /** A sample of 100 MB, pairs seen at least twice. */
        public static Options of(int vocabSize, int threads) {
            return new Options(vocabSize, threads, 100_000_000, 2);
        }
    }

    private BpeTrainer() {}

    /**
     * Trains on a corpus.
     *
     * @throws CorpusException    if the corpus cannot be read or has no text
     * @throws TokenizerException if the text supports fewer tokens than asked for; the message says how many
     */
    public static BpeTokenizer train(Corpus corpus, Options options, DataProgress progress) throws DataException {
        WordCounts words = count(corpus, false, options, progress);
        if (words.size() == 0) { // a single document is for training, even if its hash holds it out
            words = count(corpus, true, options, progress);
        }
        if (words.size() == 0) {
            throw new CorpusException("no text to train a tokenizer on in " + String.join(", ", corpus.specs()));
        }
        return new Merging(words).run(options, progress);
    }

    /** @param heldOut whether documents that are held out count too */
    private static WordCounts count(Corpus corpus, boolean heldOut, Options options, DataProgress progress) throws DataException {
        ConcurrentLinkedQueue<WordCounts> counts = new ConcurrentLinkedQueue<>();
        ArrayDeque<DocumentChunk> idle = new ArrayDeque<>();
        double total = Math.max(1, corpus.sourceBytes());
        long sampled = 0;
        try (DocumentReader documents = corpus.read();
                OrderedTasks<DocumentChunk> tasks = new OrderedTasks<>(options.threads, idle::add)) {
            DocumentChunk chunk = new DocumentChunk();
            while (documents.next()) {
                double read = Math.min(1, documents.consumedBytes() / total);
                if (sampled > options.sampleBytes * read || !heldOut && documents.heldOut()) {
                    continue;
                }
                chunk.add(documents.bytes(), documents.from(), documents.to(), false);
                sampled += documents.length();
                if (chunk.isFull()) {
                    DocumentChunk full = chunk;
                    tasks.submit(full.size(), () -> count(full, counts));
                    chunk = idle.isEmpty() ? new DocumentChunk() : idle.remove();
                    progress.update("count words", read, sampled);
                }
            }
            DocumentChunk last = chunk;
            tasks.submit(last.size(), () -> count(last, counts));
            tasks.finish();
            progress.update("count words", 1, sampled);
        } catch (DataException e) {
            throw e;
        } catch (IOException e) {
            throw new CorpusException("cannot read the corpus: " + e.getMessage(), e);
        }
        WordCounts sum = new WordCounts();
        counts.forEach(sum::addAll);
        return sum;
    }

    private static DocumentChunk count(DocumentChunk chunk, ConcurrentLinkedQueue<WordCounts> idle) {
        WordCounts counts = idle.poll();
        if (counts == null) {
            counts = new WordCounts();
        }
        byte[] b = chunk.bytes();
        for (int document = 0; document < chunk.count(); document++) {
            int i = chunk.start(document);
            int to = chunk.end(document);
            while (i < to) {
                int end = PreTokenizer.wordEnd(b, i, to);
                if (end - i > 1 && end - i <= LONGEST_WORD) {
                    counts.add(b, i, end, 1);
                }
                i = end;
            }
        }
        idle.add(counts);
        chunk.clear();
        return chunk;
    }

    /** One candidate merge with the count it had when it was queued. */
    private record Candidate(long count, int left, int right, int pair) {
        static final Comparator<Candidate> ORDER = Comparator.comparingLong((Candidate c) -> -c.count)
                .thenComparingInt(c -> c.left)
                .thenComparingInt(c -> c.right);
    }

    /** The merge loop: counts of pairs are kept up to date, and words are found by the pairs they hold. */
    private static final class Merging {
        private final long[] frequency; // of each word
        private final int[] start; // (words) into symbols
        private final int[] length; // (words) in symbols; shrinks
        private final int[] symbols;

        private final PairTable pairs = new PairTable(1 << 16); // pair of ids -> pair
        private final PairList list = new PairList();
        private final PriorityQueue<Candidate> queue = new PriorityQueue<>(Candidate.ORDER);

        private final List<String> tokens = new ArrayList<>();
        private final Map<String, Integer> ids = new HashMap<>();
        private final List<String> merges = new ArrayList<>();

        Merging(WordCounts words) {
            int[] byteIds = addBytes();
            int n = words.size();
            frequency = new long[n];
            start = new int[n];
            length = new int[n];
            symbols = new int[words.end(n - 1)];
            for (int word = 0; word < n; word++) {
                frequency[word] = words.count(word);
                start[word] = words.start(word);
                length[word] = words.end(word) - words.start(word);
                for (int i = words.start(word); i < words.end(word); i++) {
                    symbols[i] = byteIds[words.bytes()[i] & 0xFF];
                }
            }
        }

        private int[] addBytes() {
            addToken(END_TOKEN);
            int[] byteIds = new int[256];
            IntStream.range(0, 256).boxed().sorted(Comparator.comparing(ByteAlphabet::charOf)).forEach(b -> {
                byteIds[b] = tokens.size();
                addToken(String.valueOf(ByteAlphabet.charOf(b)));
            });
            return byteIds;
        }

        private int addToken(String token) {
            Integer known = ids.putIfAbsent(token, tokens.size());
            if (known != null) {
                return known; // another merge made the same text
            }
            tokens.add(token);
            return tokens.size() - 1;
        }

        BpeTokenizer run(Options options, DataProgress progress) throws TokenizerException {
            countPairs();
            while (tokens.size() < options.vocabSize) {
                Candidate best = nextBest();
                if (best == null || best.count < options.minFrequency) {
                    throw new TokenizerException("vocabulary of " + options.vocabSize
                            + " tokens is more than the data supports: ask for at most " + tokens.size()
                            + ", or give more text");
                }
                merge(best);
                if (tokens.size() % 64 == 0) {
                    double all = options.vocabSize - FIRST_MERGE;
                    progress.update("merge pairs", (tokens.size() - FIRST_MERGE) / all, 0);
                }
            }
            progress.update("merge pairs", 1, 0);
            return tokenizer();
        }

        private void countPairs() {
            for (int word = 0; word < start.length; word++) {
                for (int i = start[word]; i < start[word] + length[word] - 1; i++) {
                    increase(symbols[i], symbols[i + 1], word);
                }
            }
            queueChanged();
        }

        private Candidate nextBest() {
            Candidate best = queue.poll();
            while (best != null && list.count(best.pair) != best.count) {
                if (list.count(best.pair) > 0) {
                    queue.add(new Candidate(list.count(best.pair), best.left, best.right, best.pair));
                }
                best = queue.poll();
            }
            return best;
        }

        private void merge(Candidate best) {
            int merged = addToken(tokens.get(best.left) + tokens.get(best.right));
            if (list.rank(best.pair)) {
                merges.add(tokens.get(best.left) + " " + tokens.get(best.right));
            }
            int[] words = list.words(best.pair);
            int count = list.wordCount(best.pair);
            list.clear(best.pair);
            for (int i = 0; i < count; i++) {
                mergeIn(words[i], best.left, best.right, merged);
            }
            queueChanged();
        }

        /** Merges all (left, right) in a word, leftmost first, and keeps the counts of neighbours right. */
        private void mergeIn(int word, int left, int right, int merged) {
            int from = start[word];
            int to = from + length[word];
            int out = from;
            for (int i = from; i < to; i++, out++) {
                if (symbols[i] != left || i + 1 == to || symbols[i + 1] != right) {
                    symbols[out] = symbols[i];
                    continue;
                }
                if (out > from) {
                    decrease(symbols[out - 1], left, left, right, word);
                    increase(symbols[out - 1], merged, word);
                }
                i++;
                if (i + 1 < to) {
                    decrease(right, symbols[i + 1], left, right, word);
                    increase(merged, symbols[i + 1], word);
                }
                symbols[out] = merged;
            }
            length[word] = out - from;
        }

        private void increase(int left, int right, int word) {
            int pair = pairs.get(left, right);
            if (pair == PairTable.ABSENT) {
                pair = list.add(left, right);
                pairs.put(left, right, pair);
            }
            list.increase(pair, frequency[word], word);
        }

        /** The pair being merged counts as gone already. */
        private void decrease(int left, int right, int mergedLeft, int mergedRight, int word) {
            if (left != mergedLeft || right != mergedRight) {
                list.decrease(pairs.get(left, right), frequency[word]);
            }
        }

        private void queueChanged() {
            list.drainChanged(pair -> {
                if (list.count(pair) > 0) {
                    queue.add(new Candidate(list.count(pair), list.left(pair), list.right(pair), pair));
                }
            });
        }

        private BpeTokenizer tokenizer() throws TokenizerException {
            Map<String, Object> vocab = new LinkedHashMap<>();
            for (int id = 0; id < tokens.size(); id++) {
                vocab.put(tokens.get(id), id);
            }
            List<?> added = List.of(BpeTokenizer.addedToken(0, END_TOKEN));
            return BpeTokenizer.parse(BpeTokenizer.tokenizerJson(vocab, merges, added), END_TOKEN);
        }
    }
}
