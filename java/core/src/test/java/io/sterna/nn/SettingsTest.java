package io.sterna.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import org.junit.jupiter.api.Test;

class SettingsTest {
    private static String refusal(Runnable action) {
        return assertThrows(IllegalArgumentException.class, action::run).getMessage();
    }

    @Test
    void impossibleShapesAreNamed() {
        assertEquals("hidden 100: must be a multiple of heads 3 unless head-dim is said", refusal(() -> LlamaConfig.of(100, 64, 1, 3, 10, 8)));
        assertEquals("hidden 15 / heads 3 = 5: a head must be even and 2 to 256 wide",
                refusal(() -> LlamaConfig.of(15, 64, 1, 3, 10, 8)));
        assertEquals("layers 0: must lie between 1 and 1000", refusal(() -> LlamaConfig.of(32, 64, 0, 4, 10, 8)));
        assertEquals("heads 4: must be a multiple of kv-heads 3",
                refusal(() -> new LlamaConfig(32, 64, 1, 4, 3, 10, 8, 1e4, 1e-5, true, false)));
        LlamaConfig config = LlamaConfig.of(32, 64, 1, 4, 10, 8);
        for (int width : new int[] {0, -2, 5, 258, Integer.MAX_VALUE}) {
            assertEquals("head-dim " + width + ": a head must be even and 2 to 256 wide", refusal(() -> config.withHeadDim(width)));
        }
        assertEquals("heads 512 * head-dim 256 = 131072: must be at most 65536", refusal(() -> LlamaConfig.of(4096, 64, 1, 512, 10, 8).withHeadDim(256)));
        assertTrue(refusal(() -> LlamaConfig.preset("2b")).contains("nano, 8m, 30m, 130m, 320m, 1b"));
    }

    /** As Mistral-Nemo has them; and hidden need be no multiple of them. */
    @Test
    void headsMayHaveAWidthOfTheirOwn() {
        LlamaConfig nemo = new LlamaConfig(5120, 14336, 40, 32, 8, 131072, 512, 1e6, 1e-5, false, false).withHeadDim(128);
        assertEquals(4096, nemo.attentionWidth());
        assertEquals(1024, nemo.kvWidth());
        assertEquals(14336, nemo.widest());
        assertEquals(320, new LlamaConfig(75, 100, 1, 5, 5, 64, 10, 8, 1e4, RopeScaling.NONE, 1e-5, false, false).widest());
        assertEquals(nemo, nemo.withSubLn(true).withTied(true).withSubLn(false).withTied(false));
    }

    @Test
    void presetsAreThePapers() {
        LlamaConfig paper = LlamaConfig.preset("1b");
        assertEquals(2048, paper.hidden());
        assertEquals(64, paper.headDim());
        assertEquals(4096, LlamaConfig.preset("8m").vocab());
        LlamaConfig.presets().values().forEach(p -> assertTrue(p.subLn()));
    }

    /** Those of transformers 5.18 for heads of 64, theta 500,000 and Llama 3.1's scaling. */
    @Test
    void scaledRotaryPositionsAreLlamas() {
        RopeScaling scaling = RopeScaling.parse("llama3:8:1:4:8192");
        LlamaConfig config = new LlamaConfig(2048, 64, 1, 32, 32, 64, 10, 8, 5e5, scaling, 1e-5, true, false);
        double[][] expected = {{0, 1}, {10, 0.016560440883040428}, {14, 0.0032114461064338684}, {15, 0.0013718936825171113},
            {16, 0.0005248460220173001}, {17, 0.0001785077911335975}, {18, 7.784655463183299e-05}, {31, 3.76732259610435e-07}};
        for (double[] pair : expected) {
            assertEquals(pair[1], config.ropeFrequency((int) pair[0]), 1e-6 * pair[1], "pair " + pair[0]);
        }
        assertEquals(0.25, RopeScaling.linear(2).frequency(0.5));
        assertEquals(0.5, RopeScaling.NONE.frequency(0.5));
    }

    @Test
    void scalingsOfPositionsAreReadAndWritten() {
        for (String text : new String[] {"none", "linear:2", "linear:2.5", "llama3:8:1:4:8192", "llama3:32:1:4.5:8192"}) {
            assertEquals(text, RopeScaling.parse(text).toString());
        }
        for (String text : new String[] {"yarn:2", "linear", "linear:x", "llama3:8:1:4", "llama3:8:1:4:8192.5", ""}) {
            assertTrue(refusal(() -> RopeScaling.parse(text)).startsWith("rope-scaling \"" + text + "\": expected none, linear:"), text);
        }
        for (String text : new String[] {"linear:0.5", "linear:NaN", "linear:Infinity", "llama3:8:4:1:8192", "llama3:8:0:4:8192", "llama3:8:1:4:0"}) {
            assertTrue(refusal(() -> RopeScaling.parse(text)).contains("must be at least 1, and 0 < LOW < HIGH"), text);
        }
    }

    @Test
    void methodsRefuseContradictions() {
        assertEquals("bits none: not a width for method dqt", refusal(() -> Method.dqt(null)));
        assertTrue(refusal(() -> new Method(Method.Kind.DQT, Grid.TERNARY, true, Scaling.TENSOR, ScaleRule.ABSMEAN, FloatType.F32))
                .startsWith("ternary forward"));
        assertTrue(refusal(() -> Method.bitnet().withScale(Scaling.ROW, ScaleRule.ABSMAX)).startsWith("scale row"));
        assertTrue(refusal(() -> Method.fp32().withFloatType(FloatType.BF16)).startsWith("float type bf16"));
    }

    @Test
    void rulesAreReadAndWritten() {
        for (String text : new String[] {"absmean", "absmax", "sigma:3", "sigma:2.5"}) {
            assertEquals(text, ScaleRule.parse(text).toString());
        }
        assertTrue(refusal(() -> ScaleRule.parse("sigma:0")).contains("sigma"));
        assertTrue(refusal(() -> ScaleRule.parse("median")).contains("median"));
    }
}
