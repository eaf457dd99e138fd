package io.sterna.data;

import io.sterna.io.Json;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.ToDoubleBiFunction;
import java.util.function.ToDoubleFunction;

/**
 * Where a list of merges and scores of pieces may say different things. Of pieces that tie in score the leftmost is made
 * first, where a list has an order of its own: runs of a character may tie, as those of spaces do in Llama's tokenizer, if
 * both ways lead to the same.
 */
final class PieceTies {
    private static final int LONGEST_RUN = 32;
    private static final int MOST_CHARACTERS = 4;

    private final Set<String> runs = new TreeSet<>(); // their characters

    /** Two pieces tie. */
    void add(String piece, String other) throws TokenizerException {
        String character = piece.substring(0, 1);
        for (String run : List.of(piece, other)) {
            if (run.length() > LONGEST_RUN || !run.equals(character.repeat(run.length()))) {
                throw new TokenizerException("the order of merges that make " + Json.brief(piece) + " and " + Json.brief(other)
                        + " cannot be said by scores");
            }
        }
        if (runs.add(character) && runs.size() > MOST_CHARACTERS) {
            throw new TokenizerException("runs of more than " + MOST_CHARACTERS + " characters tie in score");
        }
    }

    /**
     * Requires that both ways make the same of runs of the characters that tie.
     *
     * @param ranks of pairs, "left right"
     * @param score of a piece, minus infinity for none
     */
    void check(Map<String, Integer> ranks, ToDoubleFunction<String> score) throws TokenizerException {
        for (String character : runs) {
            for (int length = 2; length <= 3 * LONGEST_RUN; length++) {
                List<String> run = Collections.nCopies(length, character);
                List<String> listed = merged(run, (left, right) -> ranks.containsKey(left + " " + right) ? -ranks.get(left + " " + right)
                        : Double.NEGATIVE_INFINITY);
                if (!listed.equals(merged(run, (left, right) -> score.applyAsDouble(left + right)))) {
                    throw new TokenizerException("runs of " + Json.brief(character) + " are merged in an order that scores cannot say");
                }
            }
        }
    }

    /** Of all neighbours those with the highest value, the first of equals, become one; until none has any. */
    private static List<String> merged(List<String> symbols, ToDoubleBiFunction<String, String> value) {
        List<String> rest = new ArrayList<>(symbols);
        while (true) {
            int best = -1;
            double highest = Double.NEGATIVE_INFINITY;
            for (int i = 0; i + 1 < rest.size(); i++) {
                double here = value.applyAsDouble(rest.get(i), rest.get(i + 1));
                best = here > highest ? i : best;
                highest = Math.max(here, highest);
            }
            if (best < 0) {
                return rest;
            }
            rest.set(best, rest.get(best) + rest.remove(best + 1));
        }
    }

    /**
     * Requires a merge for each way to make a token of two others: SentencePiece would make it. It also joins characters without a
     * token, which a list of merges never does.
     */
    static void requireEveryMerge(Set<String> tokens, Predicate<String> normal, Map<String, Integer> ranks) throws TokenizerException {
        for (String token : tokens) {
            for (int cut = 1; cut < token.length(); cut++) {
                if (Character.isLowSurrogate(token.charAt(cut))) {
                    continue; // within a character
                }
                String left = token.substring(0, cut);
                String right = token.substring(cut);
                boolean joined = canStand(left, tokens, normal) && canStand(right, tokens, normal);
                if (joined && !ranks.containsKey(left + " " + right)) {
                    throw new TokenizerException(Json.brief(left) + " and " + Json.brief(right) + " are not merged, though a token has their text");
                }
            }
        }
    }

    /** Whether a text can be one symbol while merges go on: a piece, or a character that has no token. */
    private static boolean canStand(String text, Set<String> tokens, Predicate<String> normal) {
        return normal.test(text) || text.codePointCount(0, text.length()) == 1 && !tokens.contains(text);
    }
}
