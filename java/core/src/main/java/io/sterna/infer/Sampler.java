package io.sterna.infer;

import io.sterna.rng.Philox;
import java.util.Arrays;

/** Chooses tokens from logits. It holds scratch alone, so a choice depends on its arguments. Not thread-safe. */
public final class Sampler {
    private static final int DOMAIN = 0x53414d50; // "SAMP": apart from other uses of a seed

    private final Sampling sampling;
    private final float[] adjusted;
    private final long[] ranking;
    private final double[] weights;

    /** A sampler for logits of {@code vocab} tokens. */
    public Sampler(Sampling sampling, int vocab) {
        this.sampling = sampling;
        this.adjusted = new float[vocab];
        this.ranking = new long[vocab];
        this.weights = new double[vocab];
    }

    /**
     * The next token.
     *
     * @param logits   (vocab)
     * @param history  tokens so far, for the repetition penalty
     * @param position of the next token in its sequence: with the seed, all that chance depends on
     * @throws IllegalArgumentException for a logit that is not finite
     */
    public int choose(float[] logits, int[] history, long position) {
        System.arraycopy(logits, 0, adjusted, 0, adjusted.length);
        penalize(logits, history);
        if (sampling.temperature() == 0) {
            return mostLikely();
        }
        int count = rank();
        weigh(count);
        return token(draw(restrict(count), uniform(position)));
    }

    /** From the unpenalized logits, so that a token that occurred twice is not penalized twice. */
    private void penalize(float[] logits, int[] history) {
        float penalty = (float) sampling.repetitionPenalty();
        if (penalty == 1) {
            return;
        }
        for (int token : history) {
            if (token >= adjusted.length) { // a row of the embedding without a token, which is never drawn
                continue;
            }
            adjusted[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
        }
    }

    /** The lowest of those with the highest logit. */
    private int mostLikely() {
        int best = 0;
        for (int t = 0; t < adjusted.length; t++) {
            requireFinite(t);
            best = adjusted[t] > adjusted[best] ? t : best;
        }
        return best;
    }

    /** Fills the ranking with the most likely tokens, best first, and says how many. */
    private int rank() {
        int k = sampling.topK() == 0 ? adjusted.length : Math.min(sampling.topK(), adjusted.length);
        for (int t = 0; t < adjusted.length; t++) {
            requireFinite(t);
            ranking[t] = key(t);
        }
        if (k < adjusted.length) {
            selectSmallest(k);
        }
        Arrays.sort(ranking, 0, k);
        return k;
    }

    /** Orders by falling logit, then by token. */
    private long key(int token) {
        int bits = Float.floatToIntBits(adjusted[token] + 0f); // no negative zero
        int rising = bits >= 0 ? bits : bits ^ 0x7fffffff;
        return (long) ~rising << 32 | token;
    }

    private int token(int rank) {
        return (int) ranking[rank];
    }

    /** Moves the k smallest keys to the front: Hoare's selection, with the middle as pivot. */
    private void selectSmallest(int k) {
        int low = 0;
        int high = ranking.length - 1;
        while (low < high) {
            long pivot = ranking[(low + high) >>> 1];
            int i = low;
            int j = high;
            while (i <= j) {
                while (ranking[i] < pivot) {
                    i++;
                }
                while (ranking[j] > pivot) {
                    j--;
                }
                if (i <= j) {
                    long swap = ranking[i];
                    ranking[i++] = ranking[j];
                    ranking[j--] = swap;
                }
            }
            if (k - 1 <= j) {
                high = j;
            } else if (k - 1 >= i) {
                low = i;
            } else {
                return;
            }
        }
    }

    /** Probabilities of the ranked tokens, up to a factor. */
    private void weigh(int count) {
        double best = adjusted[token(0)];
        for (int i = 0; i < count; i++) {
            weights[i] = StrictMath.exp((adjusted[token(i)] - best) / sampling.temperature());
        }
    }

    /** How many of the ranked tokens top-p and min-p leave; at least one. */
    private int restrict(int count) {
        double reach = sampling.topP() * sum(count);
        int left = 0;
        for (double sum = 0; left < count && (left == 0 || sum < reach); left++) {
            sum += weights[left];
        }
        while (left > 1 && weights[left - 1] < sampling.minP()) {
            left--;
        }
        return left;
    }

    private int draw(int count, double uniform) {
        double threshold = uniform * sum(count);
        int i = 0;
        for (double sum = weights[0]; sum <= threshold && i < count - 1; ) {
            sum += weights[++i];
        }
        return i;
    }

    private double sum(int count) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += weights[i];
        }
        return sum;
    }

    private void requireFinite(int token) {
        if (!Float.isFinite(adjusted[token])) {
            throw new IllegalArgumentException("logit of token " + token + " is " + adjusted[token] + ": the weights are damaged");
        }
    }

    /** In [0, 1), of 53 bits. */
    private double uniform(long position) {
        int[] random = new int[4];
        Philox.block((int) position, (int) (position >>> 32), 0, DOMAIN, (int) sampling.seed(), (int) (sampling.seed() >>> 32), random);
        long bits = Integer.toUnsignedLong(random[0]) << 21 | random[1] >>> 11;
        return bits * 0x1p-53;
    }
}
