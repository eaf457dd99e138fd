package io.sterna.data;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What a folder of token shards holds, as its {@code manifest.json} says.
 *
 * @param fingerprint          SHA-256 in hex over corpus, options, tokenizer and format
 * @param corpus               the specs the corpus was opened with
 * @param sourceFiles          files read
 * @param skippedFiles         files skipped because they are hidden or binary
 * @param sourceBytes          bytes of the files on disk
 * @param tokenizerFingerprint {@link Tokenizer#fingerprint}
 * @param vocabSize            tokens are below this
 * @param endToken             the token after each document
 * @param train                the training tokens
 * @param dev                  the held-out tokens
 * @param devUnigramEntropy    mean over the dev tokens of -ln p(token) in nats, where
 *                             p = (count in train + 1) / (train tokens + vocabulary size); 0 without dev tokens
 */
public record ShardManifest(
        String fingerprint,
        List<String> corpus,
        long sourceFiles,
        long skippedFiles,
        long sourceBytes,
        String tokenizerFingerprint,
        int vocabSize,
        int endToken,
        Part train,
        Part dev,
        double devUnigramEntropy) {

    /** Version of the manifest and of the shards beside it. */
    static final int VERSION = 1;

    private static final String FORMAT = "sterna-shards";

    /**
     * Train or dev.
     *
     * @param documents documents
     * @param bytes     their UTF-8 bytes
     * @param tokens    their tokens, one end token a document included
     * @param shards    the files that hold them, in order
     */
    public record Part(long documents, long bytes, long tokens, List<Shard> shards) {}

    /**
     * One file.
     *
     * @param file   name inside the folder
     * @param tokens tokens in it
     * @param crc32c CRC-32C of its tokens
     */
    public record Shard(String file, long tokens, int crc32c) {}

    /** Bytes of a token in the shards, 2 or 4. */
    public int width() {
        return ShardFormat.widthFor(vocabSize);
    }

    String toJson() {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("format", FORMAT);
        json.put("version", VERSION);
        json.put("fingerprint", fingerprint);
        json.put("corpus", corpus);
        json.put("source_files", sourceFiles);
        json.put("skipped_files", skippedFiles);
        json.put("source_bytes", sourceBytes);
        json.put("tokenizer", tokenizerFingerprint);
        json.put("vocab_size", vocabSize);
        json.put("end_token", endToken);
        json.put("width", width());
        json.put("train", toJson(train));
        json.put("dev", toJson(dev));
        json.put("dev_unigram_entropy", devUnigramEntropy);
        return Json.writePretty(json);
    }

    private static Map<String, Object> toJson(Part part) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("documents", part.documents);
        json.put("bytes", part.bytes);
        json.put("tokens", part.tokens);
        List<Object> shards = new ArrayList<>();
        for (Shard shard : part.shards) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("file", shard.file);
            fields.put("tokens", shard.tokens);
            fields.put("crc32c", String.format(Locale.ROOT, "%08x", shard.crc32c));
            shards.add(fields);
        }
        json.put("shards", shards);
        return json;
    }

    static ShardManifest read(Map<String, Object> json) throws JsonException {
        String format = Json.string(json, "format");
        long version = Json.integer(json, "version");
        if (!format.equals(FORMAT) || version != VERSION) {
            throw new JsonException("format " + format + " version " + version + ", must be " + FORMAT + " version "
                    + VERSION, -1);
        }
        long vocabSize = Json.integer(json, "vocab_size");
        if (vocabSize < 1 || vocabSize > Integer.MAX_VALUE) {
            throw new JsonException("vocab_size is " + vocabSize, -1);
        }
        return new ShardManifest(
                Json.string(json, "fingerprint"),
                Json.list(json, "corpus").stream().map(String::valueOf).toList(),
                count(json, "source_files"),
                count(json, "skipped_files"),
                count(json, "source_bytes"),
                Json.string(json, "tokenizer"),
                (int) vocabSize,
                endToken(json, vocabSize),
                readPart(Json.object(json, "train")),
                readPart(Json.object(json, "dev")),
                Json.number(json, "dev_unigram_entropy"));
    }

    private static int endToken(Map<String, Object> json, long vocabSize) throws JsonException {
        long token = count(json, "end_token");
        if (token >= vocabSize) {
            throw new JsonException("end_token is " + token + ", vocab_size " + vocabSize, -1);
        }
        return (int) token;
    }

    private static long count(Map<String, Object> json, String field) throws JsonException {
        long count = Json.integer(json, field);
        if (count < 0) {
            throw new JsonException(field + " is " + count, -1);
        }
        return count;
    }

    private static Part readPart(Map<String, Object> json) throws JsonException {
        List<Shard> shards = new ArrayList<>();
        long tokens = 0;
        for (Object item : Json.list(json, "shards")) {
            Map<String, Object> fields = Json.asObject(item, "shard");
            String file = Json.string(fields, "file");
            if (!Shards.isShardName(file)) {
                throw new JsonException("shard file " + Json.brief(file) + " is no name of a shard", -1);
            }
            long count = Json.integer(fields, "tokens");
            if (count < 0 || count > 1L << 40 || tokens + count > 1L << 50) {
                throw new JsonException("shard " + file + " has " + count + " tokens", -1);
            }
            shards.add(new Shard(file, count, crc(Json.string(fields, "crc32c"))));
            tokens += count;
        }
        if (tokens != Json.integer(json, "tokens")) {
            throw new JsonException("shards hold " + tokens + " tokens, not " + Json.integer(json, "tokens"), -1);
        }
        return new Part(count(json, "documents"), count(json, "bytes"), tokens, List.copyOf(shards));
    }

    private static int crc(String hex) throws JsonException {
        try {
            return Integer.parseUnsignedInt(hex, 16);
        } catch (NumberFormatException e) {
            throw new JsonException("crc32c " + Json.brief(hex) + " is not hex", -1);
        }
    }
}
