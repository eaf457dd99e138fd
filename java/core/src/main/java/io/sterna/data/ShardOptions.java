package io.sterna.data;

/**
 * How shards are written.
 *
 * @param threads     threads used, the caller's included
 * @param shardTokens most tokens in one file
 * @param rebuild     write anew even if the folder already holds just these shards
 */
public record ShardOptions(int threads, long shardTokens, boolean rebuild) {
    /** @throws IllegalArgumentException for fewer than one thread, or one token a file */
    public ShardOptions {
        if (threads < 1 || shardTokens < 1) {
            throw new IllegalArgumentException(
                    "threads " + threads + ", tokens a shard " + shardTokens + ": both must be at least 1");
        }
    }

    /** 2^28 tokens a shard, reused when they fit. */
    public static ShardOptions of(int threads) {
        return new ShardOptions(threads, 1L << 28, false);
    }
}
