package io.sterna.infer;

/**
 * What a generation came to.
 *
 * @param text              what was added, without prompt and stop string
 * @param end               why it ended
 * @param promptTokens      tokens of the prompt
 * @param tokens            tokens that were added, the one that ended it included
 * @param promptSeconds     time until the first token could be chosen
 * @param generationSeconds time of all that followed
 * @param failure           why there is no more of it: what the sink threw, or which logit is not finite; null unless
 *                          {@link End#SINK_FAILED} or {@link End#NOT_FINITE}
 */
public record Generation(String text, End end, int promptTokens, int tokens, double promptSeconds,
                         double generationSeconds, Throwable failure) {
    /** Why a generation ended. */
    public enum End {
        /** The model ended the document. */
        END_OF_TEXT,
        /** The tokens asked for were added. */
        MAX_TOKENS,
        /** A stop string came. */
        STOP_STRING,
        /** The session's context holds no more tokens. */
        CONTEXT_FULL,
        /** The text's sink threw; of a {@link BatchGenerator} alone, {@link Generator} throws it on. */
        SINK_FAILED,
        /** A logit is not finite, so that no token can be chosen; of a {@link BatchGenerator} alone, {@link Generator} throws. */
        NOT_FINITE
    }
}
