package io.sterna.eval;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import io.sterna.eval.Question.Choice;
import io.sterna.infer.SessionGroup;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * Log-likelihoods of the answers of a question. The tokens that all answers begin with go through the model
 * once; then all continuations go through it at once. Texts become tokens as in lm-evaluation-harness: white space at
 * the end of a context counts to the continuation, whose tokens are those of both texts together behind as many as
 * the context alone has; what is longer than the model's context loses tokens in front. (A continuation that is
 * longer alone, which the harness refuses, is scored piece by piece, each behind as many tokens as fit.) The begin
 * token stands before a text where the tokenizer adds it, and before the answer to an empty context. Belongs to one thread at a time.
 */
public final class ChoiceScorer {
    private final SessionGroup group;
    private final Tokenizer tokenizer;
    private final Tokenizer.Encoder encoder;

    /**
     * A scorer.
     *
     * @param group     its sequences are used up; as many as any question has answers, at least
     * @param tokenizer of the group's model
     */
    public ChoiceScorer(SessionGroup group, Tokenizer tokenizer) {
        this.group = group;
        this.tokenizer = tokenizer;
        this.encoder = tokenizer.encoder(false);
    }

    /**
     * Tokens of a text, and which of them are scored.
     *
     * @param tokens all
     * @param scored the first that is; at least 1
     */
    private record Encoded(int[] tokens, int scored) {}

    /**
     * Log-likelihood in nats of each answer.
     *
     * @throws TaskException for an answer that adds no token to its context, and for one whose logits are not finite
     */
    public double[] logLikelihoods(Question question) throws TaskException {
        List<Choice> choices = question.choices();
        if (choices.size() > group.size()) {
            throw new IllegalArgumentException(choices.size() + " answers: the group has " + group.size() + " sequences");
        }
        Encoded[] texts = new Encoded[choices.size()];
        for (int i = 0; i < texts.length; i++) {
            texts[i] = encode(choices.get(i), question.source() + " answer " + i);
        }
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
        return text.tokens.length - 1 <= group.context();
    }

    private double[] together(Encoded[] texts) {
        int shared = shared(texts);
        begin(texts, shared);
        int[][] more = new int[group.size()][0];
        int[][] next = new int[group.size()][0];
        for (int i = 0; i < texts.length; i++) {
            int[] all = texts[i].tokens;
            more[i] = Arrays.copyOfRange(all, shared, all.length - 1);
            next[i] = Arrays.copyOfRange(all, shared + 1, all.length);
            Arrays.fill(next[i], 0, texts[i].scored - 1 - shared, -1);
        }
        return Arrays.copyOf(group.score(more, next), texts.length);
    }

    /** One after the other, and of each as many scored tokens at a time as the context holds. */
    private double[] inPieces(Encoded[] texts) {
        double[] nats = new double[texts.length];
        for (int i = 0; i < texts.length; i++) {
            int[] all = texts[i].tokens;
            for (int from = texts[i].scored; from < all.length; from += group.context()) {
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
            first[0] = Arrays.copyOf(texts[0].tokens, shared);
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
            int mismatch = Arrays.mismatch(texts[0].tokens, text.tokens);
            shared = Math.min(shared, Math.min(mismatch < 0 ? Integer.MAX_VALUE : mismatch, text.scored - 1));
        }
        return shared;
    }

    private Encoded encode(Choice choice, String source) throws TaskException {
        String context = choice.context().stripTrailing();
        boolean begins = tokenizer.addsBeginToken() || tokens(false, context).size() == 0;
        Tokens whole = tokens(begins, choice.context() + choice.continuation());
        Tokens tokens = tokens(begins, context);
        int scored = tokens.size();
        for (int i = scored; i < whole.size(); i++) {
            tokens.add(whole.get(i));
        }
        if (tokens.size() == scored) {
            throw new TaskException(source + ": adds no token to its context; the answer cannot be scored");
        }
        int cut = Math.clamp(tokens.size() - 1L - group.context(), 0, scored - 1);
        return new Encoded(Arrays.copyOfRange(tokens.toArray(), cut, tokens.size()), scored - cut);
    }

    private Tokens tokens(boolean begins, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        Tokens tokens = new Tokens();
        if (begins) {
            tokens.add(tokenizer.beginToken());
        }
        encoder.encode(utf8, 0, utf8.length, tokens);
        return tokens;
    }
}
