package io.sterna.cli;

import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.infer.SessionGroup;
import io.sterna.infer.SessionOptions;
import io.sterna.nn.CacheType;
import io.sterna.nn.LlamaConfig;
import io.sterna.tensor.FloatType;
import java.io.IOException;
import java.nio.file.Path;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Options of the commands that use a trained model. */
final class ModelOptions {
    @Option(names = "--model", paramLabel = "DIR", required = true, description = "A run folder or its model folder.")
    private Path folder;

    /** A cache for all that some models allow, 131,072 tokens, takes gigabytes; a text of more than this asks for it. */
    private static final int USUAL_CONTEXT = 4096;

    @Option(names = "--context", paramLabel = "N", description = "Tokens of context. Default: for generate what prompt and --max-tokens"
            + " need, otherwise the model's up to " + USUAL_CONTEXT + ".")
    private Integer context;

    @Mixin
    private ThreadsOption threads;

    @Option(names = "--cache", paramLabel = "f32|bf16|int8", description = "Type of cached keys and values; default bf16, and f32 for eval.")
    private String cache;

    @Option(names = "--float-type", paramLabel = "f32|bf16",
            description = "Type of embeddings, norms and head in memory; default as stored. bf16 is faster and rounds them.")
    private String floatType;

    Model load() throws IOException {
        FloatType type = floatType == null ? null : Errors.usage(() -> FloatType.parse(floatType));
        return Model.load(folder, Tokenizers::load, type, threads.count());
    }

    /** What a session may use, as the options say; where they say none, a {@code cacheType} of so many tokens, or all that the model has. */
    private SessionOptions options(Model model, CacheType cacheType, int tokens) {
        return new SessionOptions(context == null ? Math.min(tokens, model.config().seqLen()) : context,
                cache == null ? cacheType : Errors.usage(() -> CacheType.parse(cache)), threads.count());
    }

    /** Sessions side by side, each as the options say, or else for {@code tokens}. */
    SessionGroup group(Model model, CacheType cacheType, int tokens, int sequences) {
        return Errors.usage(() -> model.group(options(model, cacheType, tokens), sequences));
    }

    /** A session as the options say, or else for {@code tokens}. */
    Session session(Model model, CacheType cacheType, int tokens) {
        return Errors.usage(() -> model.session(options(model, cacheType, tokens)));
    }

    /** A session as the options say. */
    Session session(Model model, CacheType cacheType) {
        return session(model, cacheType, USUAL_CONTEXT);
    }

    /** Tokens of a model's context where nobody says how many. */
    static int usualContext(LlamaConfig model) {
        return Math.min(USUAL_CONTEXT, model.seqLen());
    }
}
