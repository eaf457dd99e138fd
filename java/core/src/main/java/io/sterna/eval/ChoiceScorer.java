package io.sterna.eval;

import io.sterna.data.Tokenizer;
import io.sterna.eval.ChoiceEncoder.Encoded;
import io.sterna.infer.SessionGroup;
import java.util.Arrays;

/**
 * Log-likelihoods of the answers of a question. The tokens that all answers begin with go through the model
 * once; then all continuations go through it at once. Texts become tokens as in lm-evaluation-harness: white space at
 * the end of a context counts to the continuation, whose tokens are those of both texts together behind as many as
 * the context alone has; what is longer than the group's context loses tokens in front. (A continuation that is
 * longer alone, which the harness refuses, is scored piece by piece, each behind as many tokens as fit.) The begin
 * token stands before a text where the tokenizer adds it, and before the answer to an empty context. Belongs to one thread at a time.
 */
public final class ChoiceScorer {
    private final SessionGroup group;
    private final ChoiceEncoder encoder;

    /**
     * A scorer.
     *
     * @param group     its sequences are used up; as many as any question has answers, at least
     * @param tokenizer of the group's model
     */
    public ChoiceScorer(SessionGroup group, Tokenizer tokenizer) {
        this.group = group;
        this.encoder = new ChoiceEncoder(tokenizer);
    }

    /**
     * Tokens of context that a task's longest answer takes: with fewer, some lose tokens in front.
     *
     * @throws TaskException for an answer that adds no token to its context
     */
    public static int longest(Task task, Tokenizer tokenizer) throws TaskException {
        ChoiceEncoder encoder = new ChoiceEncoder(tokenizer);
        int longest = 0;
        for (Question question : task.questions()) {
            for (Encoded text : encoder.encode(question)) {
                longest = Math.max(longest, text.given());
            }
        }
        return longest;
    }

    /**
     * Log-likelihood in nats of each answer.
     *
     * @throws TaskException for an answer that adds no token to its context, and for one whose logits are not finite
     */
    public double[] logLikelihoods(Question question) throws TaskException {
        if (question.choices().size() > group.size()) {
            throw new IllegalArgumentException(question.choices().size() + " answers: the group has " + group.size() + " sequences");
        }
        Encoded[] texts = encoder.encode(question);
        Arrays.setAll(texts, i -> texts[i].within(group.context()));
        double[] nats = Arrays.stream(texts).allMatch(this::fits) ? together(texts) : inPieces(texts);
        Arrays.setAll(nats, i -> -nats[i]);
        for (int i = 0; i < nats.length; i++) { // as none is larger than NaN, the first answer would be taken for the best
            if (!Double.isFinite(nats[i])) {
                throw new TaskException(question.source() + " answer " + i + ": its log-likelihood is " + nats[i] + ": the weights are damaged");
            }
        }
        return nats;
    }

    private boolean fits(Encoded text) {
        return text.given() <= group.context();
    }

    private double[] together(Encoded[] texts) {
        int shared = shared(texts);
        begin(texts, shared);
        int[][] more = new int[group.size()][0];
        int[][] next = new int[group.size()][0];
        for (int i = 0; i < texts.length; i++) {
            int[] all = texts[i].tokens();
            more[i] = Arrays.copyOfRange(all, shared, all.length - 1);
            next[i] = Arrays.copyOfRange(all, shared + 1, all.length);
            Arrays.fill(next[i], 0, texts[i].scored() - 1 - shared, -1);
        }
        return Arrays.copyOf(group.score(more, next), texts.length);
    }

    /** One after the other, and of each as many scored tokens at a time as the context holds. */
    private double[] inPieces(Encoded[] texts) {
        double[] nats = new double[texts.length];
        for (int i = 0; i < texts.length; i++) {
            int[] all = texts[i].tokens();
            for (int from = texts[i].scored(); from < all.length; from += group.context()) {
                int to = Math.min(all.length, from + group.context());
                int start = Math.max(0, to - 1 - group.context());
                int[][] more = new int[group.size()][0];
                int[][] next = new int[group.size()][0];
                more[0] = Arrays.copyOfRange(all, start, to - 1);
                next[0] = Arrays.copyOfRange(all, start + 1, to);
                Arrays.fill(next[0], 0, from - 1 - start, -1);
                group.truncate(0, 0);
                nats[i] += group.score(more, next)[0];
            }
        }
        return nats;
    }

    /** Every sequence becomes the shared tokens. */
    private void begin(Encoded[] texts, int shared) {
        for (int i = 0; i < texts.length; i++) {
            group.truncate(i, 0);
        }
        if (shared > 0) {
            int[][] first = new int[group.size()][0];
            first[0] = Arrays.copyOf(texts[0].tokens(), shared);
            group.append(first);
        }
        for (int i = 1; i < texts.length; i++) {
            group.copy(0, i, shared);
        }
    }

    /** Tokens that all begin with; the last before the scored ones is each text's own, for it predicts them. */
    private static int shared(Encoded[] texts) {
        int shared = Integer.MAX_VALUE;
        for (Encoded text : texts) {
            int mismatch = Arrays.mismatch(texts[0].tokens(), text.tokens());
            shared = Math.min(shared, Math.min(mismatch < 0 ? Integer.MAX_VALUE : mismatch, text.scored() - 1));
        }
        return shared;
    }
}
