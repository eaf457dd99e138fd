package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.sterna.nn.GradientType;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.ScaleRule;
import io.sterna.optim.OptimizerConfig;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.StateType;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What a setting changes is the same for any number of threads, down to the last bit of weights and state. */
class VariantsTest {
    private static final int STEPS = 6;

    static Stream<Arguments> variants() {
        Trainings plain = Trainings.of(Method.dqt(Grid.INT4));
        OptimizerConfig momentum = new OptimizerConfig(OptimizerConfig.Kind.ADAFACTOR, 0.9, 0, 1e-30, 0, 0, 1, StateType.F32);
        LlamaConfig c = plain.config();
        return Stream.of(
                Arguments.of("Adafactor", plain.with(OptimizerConfig.adafactor())),
                Arguments.of("Adafactor, floats in bf16", Trainings.of(Method.dqt(Grid.INT4).withFloatType(FloatType.BF16)).with(OptimizerConfig.adafactor())),
                Arguments.of("Adafactor with momentum", plain.with(momentum)),
                Arguments.of("Adafactor with momentum in bf16", plain.with(momentum.withState(StateType.BF16))),
                Arguments.of("SGD", plain.with(OptimizerConfig.sgd())),
                Arguments.of("SGD with int8 state", plain.with(OptimizerConfig.sgd().withState(StateType.INT8))),
                Arguments.of("bf16 moments", plain.with(OptimizerConfig.adamw().withState(StateType.BF16))),
                Arguments.of("int8 moments", plain.with(OptimizerConfig.adamw().withState(StateType.INT8))),
                Arguments.of("global clip", plain.with(Clip.global(0.05))),
                Arguments.of("clip by tensor", plain.with(Clip.tensor(0.01))),
                Arguments.of("tied embeddings", plain.with(c.withTied(true))),
                Arguments.of("without SubLN", plain.with(c.withSubLn(false))),
                Arguments.of("wide heads", plain.with(c.withHeadDim(34))),
                Arguments.of("narrow heads", plain.with(c.withHeadDim(10))),
                Arguments.of("wide heads and int8 gradients", plain.with(c.withHeadDim(34)).with(plain.settings().withGradients(GradientType.INT8))),
                Arguments.of("a scale a group", Trainings.of(Method.dqt(Grid.INT4).withScale(Scaling.parse("group:64"), ScaleRule.sigma(3)))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("variants")
    void threadsDoNotMatter(String name, Trainings training) {
        String one = training.hash(STEPS, 1);
        assertEquals(one, training.hash(STEPS, 2));
        assertEquals(one, training.hash(STEPS, 5));
        assertNotEquals(Trainings.of(Method.dqt(Grid.INT4)).hash(STEPS, 1), one, "the setting does something");
    }
}
