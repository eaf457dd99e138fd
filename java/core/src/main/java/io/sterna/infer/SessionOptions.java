package io.sterna.infer;

import io.sterna.nn.CacheType;
import io.sterna.tensor.FloatType;

/**
 * What a session may use.
 *
 * @param context   tokens of its sequence at most
 * @param cacheType type of the cached keys and values: BF16 takes half the memory of F32, INT8 a quarter; F32 computes as
 *                  training does
 * @param threads   threads of a pass, the calling one included
 */
public record SessionOptions(int context, CacheType cacheType, int threads) {
    /** The model's whole context, a cache in BF16, the calling thread alone. */
    public static SessionOptions of(Model model) {
        return new SessionOptions(model.config().seqLen(), CacheType.BF16, 1);
    }

    /** The same with a context of so many tokens. */
    public SessionOptions withContext(int tokens) {
        return new SessionOptions(tokens, cacheType, threads);
    }

    /** The same with a cache of another type. */
    public SessionOptions withCacheType(CacheType type) {
        return new SessionOptions(context, type, threads);
    }

    /** The same with a cache of floats. */
    public SessionOptions withCacheType(FloatType type) {
        return withCacheType(CacheType.of(type));
    }

    /** The same with so many threads. */
    public SessionOptions withThreads(int count) {
        return new SessionOptions(context, cacheType, count);
    }
}
