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
        assertEquals("hidden 100: must be a multiple of heads 3", refusal(() -> LlamaConfig.of(100, 64, 1, 3, 10, 8)));
        assertEquals("hidden 15 / heads 3 = 5: a head must be even and at most 256 wide",
                refusal(() -> LlamaConfig.of(15, 64, 1, 3, 10, 8)));
        assertEquals("layers 0: must lie between 1 and 1000", refusal(() -> LlamaConfig.of(32, 64, 0, 4, 10, 8)));
        assertEquals("heads 4: must be a multiple of kv-heads 3",
                refusal(() -> new LlamaConfig(32, 64, 1, 4, 3, 10, 8, 1e4, 1e-5, true, false)));
        assertTrue(refusal(() -> LlamaConfig.preset("2b")).contains("nano, 8m, 30m, 130m, 320m, 1b"));
    }

    @Test
    void presetsAreThePapers() {
        LlamaConfig paper = LlamaConfig.preset("1b");
        assertEquals(2048, paper.hidden());
        assertEquals(64, paper.headDim());
        assertEquals(4096, LlamaConfig.preset("8m").vocab());
        LlamaConfig.presets().values().forEach(p -> assertTrue(p.subLn()));
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
