package io.sterna.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Workspace;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class LlamaDecoderTest {
    private static final LlamaConfig CONFIG = new LlamaConfig(48, 112, 2, 4, 2, 80, 32, 1e4, 1e-5, true, false);
    private static final List<int[]> PROMPTS = List.of(new int[] {1, 2, 3, 4, 5, 6, 7}, new int[] {70}, new int[] {9, 8, 7, 6});

    private final Workspace workspace = new Workspace();
    private final Slices slices = new Slices(2);
    private final Engine engine = new Engine(Kernels.best(), slices, 2, workspace, CONFIG.intermediate());

    @AfterEach
    void close() {
        slices.close();
        workspace.close();
    }

    /** Prompts of unequal length, then one token of each, then of some only. */
    @ParameterizedTest
    @ValueSource(strings = {"dqt", "fp32"})
    void manySequencesAtOnceAreEachAsAlone(String method) {
        Llama model = model(method.equals("dqt") ? Method.dqt(Grid.INT4) : Method.fp32());
        LlamaDecoder together = decoder(model, 3);
        together.forward(new int[] {1, 2, 3, 4, 5, 6, 7, 70, 9, 8, 7, 6}, new int[] {7, 1, 4});
        float[][] prompts = rows(together.logits(0, 1, 2));
        together.forward(new int[] {10, 11, 12}, new int[] {1, 1, 1});
        float[][] next = rows(together.logits(0, 1, 2));
        together.forward(new int[] {13, 14}, new int[] {0, 2, 0});
        float[][] last = rows(together.logits(2, 1, 0));
        assertArrayEquals(next[2], last[0], "others' passes change nothing");
        for (int i = 0; i < PROMPTS.size(); i++) {
            LlamaDecoder alone = decoder(model, 1);
            alone.forward(PROMPTS.get(i), new int[] {PROMPTS.get(i).length});
            assertArrayEquals(rows(alone.logits(0))[0], prompts[i]);
            alone.forward(new int[] {10 + i}, new int[] {1});
            assertArrayEquals(rows(alone.logits(0))[0], next[i]);
            assertEquals(PROMPTS.get(i).length + (i == 1 ? 3 : 1), together.cache(i).length());
            if (i == 1) {
                alone.forward(new int[] {13, 14}, new int[] {2});
                assertArrayEquals(rows(alone.logits(0))[0], last[1]);
            }
        }
    }

    /** To the last bit, from AVX2 up: integers are exact on every tier, and what is summed in f32 has one order on all. */
    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "INT8"})
    void tiersWithoutABf16UnitGiveTheSameLogits(CacheType cache) {
        List<Tier> tiers = Stream.of(Tier.AVX2, Tier.AVX512, Tier.AVX512VNNI).filter(t -> t.compareTo(Tier.granted()) <= 0).toList();
        for (Method method : List.of(Method.dqt(Grid.INT8), Method.dqt(Grid.TERNARY), Method.fp32())) {
            Llama model = model(method);
            List<float[]> logits = tiers.stream().map(tier -> logits(model, tier, cache)).toList();
            for (float[] other : logits) {
                assertArrayEquals(logits.getFirst(), other, method + ": " + tiers.get(logits.indexOf(other)));
            }
        }
    }

    /** After a prompt and some tokens one by one. */
    private float[] logits(Llama model, Tier tier, CacheType cache) {
        Engine ofTier = new Engine(Kernels.of(tier), slices, 2, workspace, CONFIG.intermediate());
        LlamaDecoder decoder = new LlamaDecoder(model.on(ofTier), ofTier, new LlamaDecoder.Size(1, 32, cache, 24), workspace);
        decoder.forward(IntStream.range(0, 20).map(i -> i * 37 % CONFIG.vocab()).toArray(), new int[] {20});
        for (int token = 0; token < 12; token++) {
            decoder.forward(new int[] {token * 29 % CONFIG.vocab()}, new int[] {1});
        }
        return rows(decoder.logits(0))[0];
    }

    @Test
    void theLossIsThatOfTheLogits() {
        LlamaDecoder decoder = decoder(model(Method.dqt(Grid.TERNARY)), 1);
        int[] tokens = {5, 6, 7, 8};
        double expected = 0;
        for (int i = 0; i < 3; i++) {
            decoder.cache(0).truncate(0);
            decoder.forward(Arrays.copyOf(tokens, i + 1), new int[] {i + 1});
            float[] logits = rows(decoder.logits(0))[0];
            double sum = 0;
            for (float logit : logits) {
                sum += Math.exp(logit);
            }
            expected += i == 1 ? 0 : Math.log(sum) - logits[tokens[i + 1]];
        }
        decoder.cache(0).truncate(0);
        decoder.forward(Arrays.copyOf(tokens, 3), new int[] {3});
        double[] losses = decoder.losses(new int[] {6, -1, 8});
        assertEquals(expected, Arrays.stream(losses).sum(), 1e-3);
        assertEquals(0, losses[1]);
        double[] last = decoder.losses(new int[] {-1, -1, 8});
        assertEquals(losses[2], last[2], 1e-5);
        assertArrayEquals(new double[] {0, 0, last[2]}, last);
        assertArrayEquals(new double[3], decoder.losses(new int[] {-1, -1, -1}));
        assertThrows(IllegalArgumentException.class, () -> decoder.losses(new int[] {6}));
        assertThrows(IllegalArgumentException.class, () -> decoder.losses(new int[] {6, -2, 8}));
        assertThrows(IllegalArgumentException.class, () -> decoder.losses(new int[] {6, -1, 1 << 20}));
    }

    @Test
    void whatDoesNotFitIsRefused() {
        Llama model = model(Method.dqt(Grid.TERNARY));
        LlamaDecoder decoder = decoder(model, 2);
        for (int[] lengths : new int[][] {{1}, {1, 2}, {3, -1}, {1, 1, 0}}) {
            assertThrows(IllegalArgumentException.class, () -> decoder.forward(new int[] {1, 2}, lengths));
        }
        assertThrows(IllegalArgumentException.class, () -> decoder.forward(new int[] {}, new int[] {0, 0}));
        assertThrows(IllegalArgumentException.class, () -> decoder.forward(new int[] {80}, new int[] {1, 0}));
        assertThrows(IllegalArgumentException.class, () -> decoder.forward(new int[25], new int[] {25, 0}));
        decoder.forward(new int[20], new int[] {20, 0});
        assertThrows(IllegalArgumentException.class, () -> decoder.forward(new int[14], new int[] {13, 1}));
        assertEquals(20, decoder.cache(0).length());
        assertEquals(0, decoder.cache(1).length());
        assertThrows(IllegalArgumentException.class, () -> new LlamaDecoder.Size(0, 8, CacheType.F32, 8));
        assertThrows(IllegalArgumentException.class, () -> new LlamaDecoder.Size(9, 8, CacheType.F32, 8));
        assertThrows(IllegalArgumentException.class, () -> new KvCache(CONFIG, CacheType.F32, 33, workspace));
        assertThrows(IllegalStateException.class, () -> model(Method.bitnet()).on(engine));
    }

    private Llama model(Method method) {
        Llama model = new Llama(CONFIG, method, engine, workspace);
        model.initialize(3);
        return model;
    }

    private LlamaDecoder decoder(Llama model, int sequences) {
        return new LlamaDecoder(model, engine, new LlamaDecoder.Size(sequences, 32, CacheType.F32, 24), workspace);
    }

    private static float[][] rows(FloatMatrix logits) {
        float[] all = logits.data().toArray(ValueLayout.JAVA_FLOAT);
        float[][] rows = new float[Math.toIntExact(logits.rows())][];
        for (int r = 0; r < rows.length; r++) {
            rows[r] = Arrays.copyOfRange(all, r * CONFIG.vocab(), (r + 1) * CONFIG.vocab());
        }
        return rows;
    }
}
