package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SamplerTest {
    private static final int DRAWS = 40_000;
    private static final int[] NONE = {};
    /** Probabilities 0.4, 0.3, 0.2, 0.1 at temperature 1. */
    private static final float[] LOGITS = {log(0.2), log(0.4), log(0.1), log(0.3)};

    private final Sampling plain = new Sampling(1, 1, 0, 1, 0, 7);

    /** Shares of the tokens in many draws against probabilities in percent. */
    @ParameterizedTest
    @CsvSource({
        // temperature, top-k, top-p, min-p: tokens 0 ... 3
        "1,   0, 1,    0,    20, 40, 10, 30",
        "1,   3, 1,    0,    22.22, 44.44, 0, 33.33",
        "1,   1, 1,    0,    0, 100, 0, 0",
        "1,   9, 1,    0,    20, 40, 10, 30",
        "1,   0, 0.65, 0,    0, 57.14, 0, 42.86",
        "1,   0, 0.75, 0,    22.22, 44.44, 0, 33.33",
        "1,   0, 1e-9, 0,    0, 100, 0, 0",
        "1,   0, 1,    0.6,  0, 57.14, 0, 42.86",
        "1,   0, 1,    1,    0, 100, 0, 0",
        "0.5, 0, 1,    0,    13.33, 53.33, 3.33, 30",
        "0.5, 3, 0.9,  0.3,  0, 64, 0, 36",
        "0,   0, 1,    0,    0, 100, 0, 0"})
    void sharesAreProbabilities(double temperature, int topK, double topP, double minP, double p0, double p1, double p2, double p3) {
        Sampler sampler = new Sampler(plain.withTemperature(temperature).withTopK(topK).withTopP(topP).withMinP(minP), 4);
        double[] expected = {p0, p1, p2, p3};
        long[] counts = new long[4];
        for (int i = 0; i < DRAWS; i++) {
            counts[sampler.choose(LOGITS, NONE, i)]++;
        }
        for (int t = 0; t < 4; t++) {
            // Four standard deviations of a share, and what the percentages are rounded to.
            double p = expected[t] / 100;
            assertEquals(expected[t], 100.0 * counts[t] / DRAWS, 400 * Math.sqrt(p * (1 - p) / DRAWS) + 0.005, "token " + t);
        }
    }

    @Test
    void theSameSeedAndPositionGiveTheSameToken() {
        Sampler a = new Sampler(plain, 4);
        Sampler b = new Sampler(plain, 4);
        Sampler other = new Sampler(new Sampling(1, 1, 0, 1, 0, 8), 4);
        int differences = 0;
        for (int i = 999; i >= 0; i--) {
            int token = a.choose(LOGITS, NONE, i);
            assertEquals(token, b.choose(LOGITS, NONE, i));
            differences += token == other.choose(LOGITS, NONE, i) ? 0 : 1;
        }
        assertTrue(differences > 500, "another seed gives other tokens");
    }

    @Test
    void repetitionIsPenalizedOnce() {
        float[] logits = {3, 2.5f, -1, -1.5f};
        Sampler sampler = new Sampler(Sampling.greedy().withRepetitionPenalty(1.5), 4);
        assertEquals(0, sampler.choose(logits, NONE, 0));
        assertEquals(1, sampler.choose(logits, new int[] {0}, 0), "3 / 1.5 < 2.5");
        assertEquals(0, sampler.choose(logits, new int[] {0, 0, 1, 1, 1, 1}, 0), "2 > 2.5 / 1.5");
        assertEquals(3, new Sampler(Sampling.greedy().withRepetitionPenalty(2), 2 + 2)
                .choose(new float[] {-9, -9, -1, -1.5f}, new int[] {2}, 0), "-1 * 2 < -1.5");
    }

    @Test
    void tiesGoToTheLowestToken() {
        assertEquals(1, new Sampler(Sampling.greedy(), 4).choose(new float[] {0, 5, 5, 5}, NONE, 0));
        assertEquals(0, new Sampler(plain.withTopK(1), 3).choose(new float[] {-0f, 0, 0}, NONE, 0));
    }

    /** Top-k by selection is top-k by sorting, for logits with many ties. */
    @Test
    void theBestAreSelected() {
        Random random = new Random(3);
        for (int n = 2; n < 200; n++) {
            float[] logits = new float[n];
            for (int i = 0; i < n; i++) {
                logits[i] = random.nextInt(20) - 10;
            }
            int k = 1 + random.nextInt(n);
            int[] best = IntStream.range(0, n).boxed().sorted((a, b) -> Float.compare(logits[b], logits[a])).limit(k)
                    .mapToInt(i -> i).toArray();
            Sampler hot = new Sampler(plain.withTopK(k).withTemperature(100), n);
            for (int i = 0; i < 50; i++) {
                int token = hot.choose(logits, NONE, i);
                assertTrue(Arrays.stream(best).anyMatch(t -> t == token), token + " of " + k + " of " + n);
            }
        }
    }

    @Test
    void damagedLogitsAndSettingsAreRefused() {
        for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            assertThrows(IllegalArgumentException.class, () -> new Sampler(plain, 2).choose(new float[] {0, bad}, NONE, 0));
            assertThrows(IllegalArgumentException.class, () -> new Sampler(Sampling.greedy(), 2).choose(new float[] {0, bad}, NONE, 0));
        }
        assertThrows(IllegalArgumentException.class, () -> plain.withTemperature(-1));
        assertThrows(IllegalArgumentException.class, () -> plain.withTemperature(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> plain.withTopK(-1));
        assertThrows(IllegalArgumentException.class, () -> plain.withTopP(0));
        assertThrows(IllegalArgumentException.class, () -> plain.withTopP(1.1));
        assertThrows(IllegalArgumentException.class, () -> plain.withMinP(1.1));
        assertThrows(IllegalArgumentException.class, () -> plain.withRepetitionPenalty(0));
    }

    private static float log(double p) {
        return (float) Math.log(p);
    }
}
