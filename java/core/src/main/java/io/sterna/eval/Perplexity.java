package io.sterna.eval;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import io.sterna.data.Windows;
import io.sterna.infer.Session;
import java.util.Arrays;
import java.util.function.DoubleConsumer;

/**
 * How well a model predicts a text. The text is one document behind the begin token, even where the tokenizer adds none
 * to a text, since its first token too is predicted from one; every token of it is predicted once. Windows of the
 * session's context follow each other by a stride, and a window scores only the tokens that the one before did not
 * reach, so that all but those of the first window see at least context - stride tokens before them.
 *
 * @param tokens  tokens predicted
 * @param bytes   bytes of the text
 * @param words   words of the text: runs of characters other than ASCII white space
 * @param nats    sum of the cross-entropies of all tokens
 * @param context tokens of a window
 * @param stride  tokens from one window to the next
 */
public record Perplexity(long tokens, long bytes, long words, double nats, int context, int stride) {
    /**
     * Measures a text.
     *
     * @param session  its sequence is used up; a cache in F32 computes as training does
     * @param utf8     the text
     * @param stride   1 ... the session's context
     * @param progress is told the share that is done, now and then
     * @throws IllegalArgumentException for a text without tokens, or a stride outside its range
     * @throws IllegalStateException    when the loss is not finite
     */
    public static Perplexity of(Session session, Tokenizer tokenizer, byte[] utf8, int stride, DoubleConsumer progress) {
        int context = session.context();
        if (stride < 1 || stride > context) {
            throw new IllegalArgumentException("stride " + stride + ": must lie between 1 and the context " + context);
        }
        Tokens ids = new Tokens();
        ids.add(tokenizer.beginToken());
        tokenizer.encoder(false).encode(utf8, 0, utf8.length, ids);
        int[] all = ids.toArray();
        if (all.length < 2) {
            throw new IllegalArgumentException("text: is empty, so there is nothing to predict");
        }
        double nats = 0;
        int scored = 0; // tokens up to this index are
        while (scored < all.length - 1) {
            int end = Math.min(all.length - 1, scored == 0 ? context : scored + stride);
            nats = finite(nats + window(session, all, Math.max(0, end - context), scored, end));
            scored = end;
            progress.accept((double) scored / (all.length - 1));
        }
        return new Perplexity(all.length - 1L, utf8.length, words(utf8), nats, context, stride);
    }

    /** The sum of tokens scored + 1 ... end, predicted from those at start ... end - 1. */
    private static double window(Session session, int[] all, int start, int scored, int end) {
        int[] next = Arrays.copyOfRange(all, start + 1, end + 1);
        Arrays.fill(next, 0, scored - start, -1);
        session.truncate(0);
        return session.score(Arrays.copyOfRange(all, start, end), next);
    }

    /**
     * Perplexity of the tokens of some windows, each predicted from those before it in its window alone, as training measures its
     * held-out loss.
     *
     * @param session  of the windows' length at least; its sequence is used up
     * @param chosen   numbers of windows, one at least
     * @param progress is told the share that is done
     * @return exp of the mean cross-entropy of a token
     * @throws IllegalStateException when the loss is not finite
     */
    public static double of(Session session, Windows windows, long[] chosen, DoubleConsumer progress) {
        int[] inputs = new int[windows.seqLen()];
        int[] targets = new int[windows.seqLen()];
        double nats = 0;
        for (int i = 0; i < chosen.length; i++) {
            windows.read(chosen[i], inputs, targets, 0);
            session.truncate(0);
            nats = finite(nats + session.score(inputs, targets));
            progress.accept((i + 1.0) / chosen.length);
        }
        return Math.exp(nats / chosen.length / windows.seqLen());
    }

    private static double finite(double nats) {
        if (!Double.isFinite(nats)) {
            throw new IllegalStateException("the loss of the text is " + nats + ": the model's weights are damaged");
        }
        return nats;
    }

    private static long words(byte[] utf8) {
        long words = 0;
        boolean inside = false;
        for (byte b : utf8) {
            boolean space = b == ' ' || b >= '\t' && b <= '\r';
            words += inside || space ? 0 : 1;
            inside = !space;
        }
        return words;
    }

    /** exp of the mean cross-entropy of a token. */
    public double tokenPerplexity() {
        return Math.exp(nats / tokens);
    }

    /** Mean cross-entropy of a byte, in bits; independent of the tokenizer. */
    public double bitsPerByte() {
        return nats / bytes / Math.log(2);
    }

    /** exp of the mean cross-entropy of a word, the usual figure for WikiText; independent of the tokenizer. */
    public double wordPerplexity() {
        return Math.exp(nats / words);
    }
}
