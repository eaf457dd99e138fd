package io.sterna.eval;

import java.util.List;

/**
 * A question with several answers, of which a model should find the right one the likeliest.
 *
 * @param choices    at least two
 * @param gold       index of the right one
 * @param normalized whether it makes sense to divide log-likelihoods by the length of the answers; it does not
 *                   where all share one continuation
 * @param source     where it stands: file and line
 */
public record Question(List<Choice> choices, int gold, boolean normalized, String source) {
    /**
     * An answer: how likely is the continuation behind the context?
     *
     * @param context      text before
     * @param continuation text that is scored
     * @param bytes        length of the answer in UTF-8, at least 1
     */
    public record Choice(String context, String continuation, int bytes) {}

    /** Immutable. */
    public Question {
        choices = List.copyOf(choices);
    }
}
