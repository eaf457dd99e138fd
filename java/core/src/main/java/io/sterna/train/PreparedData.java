package io.sterna.train;

import io.sterna.data.BpeTokenizer;
import io.sterna.data.BpeTrainer;
import io.sterna.data.ByteTokenizer;
import io.sterna.data.Corpus;
import io.sterna.data.CorpusException;
import io.sterna.data.CorpusOptions;
import io.sterna.data.DataException;
import io.sterna.data.DataProgress;
import io.sterna.data.FolderLock;
import io.sterna.data.MarkedTokenizer;
import io.sterna.data.SentencePiece;
import io.sterna.data.ShardOptions;
import io.sterna.data.Shards;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.io.DurableFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * Data ready to train on: a tokenizer, and the corpus as token shards made with it. Both lie in a folder of
 * the configured cache, named after the corpus and the tokenizer, and are found again there.
 *
 * @param folder    where they lie
 * @param tokenizer the tokenizer
 * @param result    what preparing took, or that nothing had to be done
 */
public record PreparedData(Path folder, Tokenizer tokenizer, Shards.Prepared result) {
    private static final String TOKENIZER = "tokenizer.json";
    private static final String TOKENIZER_LOCK = ".tokenizer.lock";
    private static final int NAME_DIGITS = 12;

    /** Reads a given {@code tokenizer.json}; the command line adds tokenizers that the library cannot read. */
    @FunctionalInterface
    public interface TokenizerLoader {
        /** Byte-level BPE alone. */
        TokenizerLoader BPE = BpeTokenizer::load;

        /**
         * The tokenizer of a file.
         *
         * @throws IOException when the file cannot be read, or the tokenizer not followed exactly
         */
        Tokenizer load(Path tokenizerJson) throws IOException;
    }

    /**
     * Prepares the data of a resolved configuration, or finds it prepared.
     *
     * @throws DataException when the data cannot be read or holds too little
     * @throws ConfigException for data that is not there, and for a begin token where no initial model knows it
     */
    public static PreparedData prepare(TrainConfig config, TokenizerLoader loader, DataProgress progress)
            throws IOException {
        TrainingRun.requireBeginTokenKnown(config);
        Corpus corpus = corpus(config);
        Path cache = Path.of(config.cache);
        return switch (config.tokenizer) {
            case "train" -> trained(config, corpus, cache, progress);
            case "bytes" -> given(config, corpus, cache, new ByteTokenizer(), Optional.empty(), progress);
            default -> {
                Path file = tokenizerFile(config);
                Path json = SentencePiece.isNamedBy(file) ? converted(file, cache) : file;
                yield given(config, corpus, cache, loader.load(json), Optional.of(json), progress);
            }
        };
    }

    /**
     * Looks for the data and the tokenizer of a resolved configuration; prepares nothing.
     *
     * @return the tokens of the tokenizer, whose marks are checked
     * @throws ConfigException for data or a tokenizer that is not there
     */
    static int vocabulary(TrainConfig config, TokenizerLoader loader) throws IOException {
        corpus(config);
        return switch (config.tokenizer) {
            case "train" -> trainerOptions(config).vocabSize();
            case "bytes" -> marked(new ByteTokenizer(), config).vocabSize();
            default -> {
                Path file = tokenizerFile(config);
                yield SentencePiece.isNamedBy(file) ? SentencePiece.vocabSize(file) : marked(loader.load(file), config).vocabSize();
            }
        };
    }

    private static BpeTrainer.Options trainerOptions(TrainConfig config) {
        if (config.endToken != null) {
            throw new ConfigException("end-token " + config.endToken + ": a trained tokenizer has its own; leave it out");
        }
        try {
            return BpeTrainer.Options.of(config.vocab, config.threads);
        } catch (IllegalArgumentException e) {
            throw new ConfigException("vocab " + config.vocab + ": " + e.getMessage(), e);
        }
    }

    private static Path tokenizerFile(TrainConfig config) {
        Path file = Path.of(config.tokenizer);
        if (!Files.isRegularFile(file)) {
            throw new ConfigException("tokenizer " + file + ": no such file; expected a tokenizer.json, a tokenizer.model, bytes or train");
        }
        return file;
    }

    /** The same tokenizer as a {@code tokenizer.json} in the cache, which a run folder keeps. */
    private static Path converted(Path sentencePiece, Path cache) throws IOException {
        byte[] json = SentencePiece.tokenizerJson(sentencePiece);
        Path file = make(cache).resolve(UUID.nameUUIDFromBytes(json) + ".json");
        DurableFiles.ensure(file, new String(json, StandardCharsets.UTF_8));
        return file;
    }

    private static Corpus corpus(TrainConfig config) throws DataException {
        CorpusOptions options = CorpusOptions.defaults()
                .withTextField(config.textField)
                .withInclude(config.include.toArray(String[]::new))
                .withSplitting(Parts.choice("split", config.split, List.of(CorpusOptions.Splitting.values())))
                .withReplaceInvalid(config.replaceInvalid)
                .withHeldOutShare(config.holdout);
        return config.data.isEmpty() ? Corpus.jdkSources(Path.of(System.getProperty("java.home")), options) : named(config, options);
    }

    private static Corpus named(TrainConfig config, CorpusOptions options) {
        try {
            return Corpus.open(config.data, options, Path.of(config.cache));
        } catch (CorpusException e) {
            throw new ConfigException("data: " + e.getMessage(), e);
        }
    }

    private static PreparedData trained(TrainConfig config, Corpus corpus, Path cache, DataProgress progress)
            throws IOException {
        BpeTrainer.Options options = trainerOptions(config);
        Path folder = folder(cache, corpus, "bpe" + config.vocab);
        Path file = folder.resolve(TOKENIZER);
        if (!Files.exists(file)) {
            try (FolderLock _ = FolderLock.take(folder, TOKENIZER_LOCK, progress)) {
                if (!Files.exists(file)) { // nor made by a run that was waited for
                    BpeTokenizer made = BpeTrainer.train(corpus, options, progress);
                    DurableFiles.replace(file, new String(made.toJson(), StandardCharsets.UTF_8));
                }
            }
        }
        return shards(config, corpus, folder, marked(load(file), config), progress);
    }

    private static Tokenizer load(Path file) throws IOException {
        try {
            return BpeTokenizer.load(file);
        } catch (TokenizerException e) {
            throw new TokenizerException(e.getMessage() + ": delete it, and it is trained anew", e);
        }
    }

    private static PreparedData given(
            TrainConfig config, Corpus corpus, Path cache, Tokenizer tokenizer, Optional<Path> file, DataProgress progress)
            throws IOException {
        Tokenizer marked = marked(tokenizer, config);
        Path folder = folder(cache, corpus, marked.fingerprint().substring(0, NAME_DIGITS));
        if (file.isPresent()) {
            DurableFiles.ensure(folder.resolve(TOKENIZER), Files.readString(file.get()));
        }
        return shards(config, corpus, folder, marked, progress);
    }

    /**
     * A tokenizer with the tokens that a model's texts begin and end with.
     *
     * @throws ConfigException for one that the tokenizer has not got
     */
    public static Tokenizer marked(Tokenizer tokenizer, TrainConfig config) {
        try {
            List<Integer> ends = config.endToken == null ? null : config.endToken.stream().map(Integer::valueOf).toList();
            return MarkedTokenizer.of(tokenizer, config.beginToken, !Boolean.FALSE.equals(config.addBeginToken), ends);
        } catch (NumberFormatException e) {
            throw new ConfigException("end-token " + config.endToken + ": expected ids of tokens", e);
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage(), e);
        }
    }

    private static Path folder(Path cache, Corpus corpus, String tokenizer) throws IOException {
        String name = corpus.fingerprint().substring(0, NAME_DIGITS) + "-" + tokenizer;
        return make(cache.resolve(name));
    }

    private static Path make(Path folder) throws IOException {
        try {
            return Files.createDirectories(folder);
        } catch (FileSystemException e) {
            String reason = e.getReason() == null ? "" : ": " + e.getReason();
            throw new ConfigException("cache: " + folder + " cannot be made" + reason + "; choose another one", e);
        }
    }

    private static PreparedData shards(
            TrainConfig config, Corpus corpus, Path folder, Tokenizer tokenizer, DataProgress progress)
            throws IOException {
        return new PreparedData(
                folder, tokenizer, Shards.prepare(corpus, tokenizer, folder, ShardOptions.of(config.threads), progress));
    }
}
