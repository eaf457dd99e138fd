package io.sterna.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.ScaleRule;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import io.sterna.train.NamedTensor;
import io.sterna.train.TrainSettings;
import io.sterna.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Packed weights after fifty steps over a fixed stream of batches. */
class GoldenStepTest {
    private static final int STEPS = 50;
    private static final int BATCH = 3;

    private static LlamaConfig config(int hidden, int intermediate, int layers) {
        return new LlamaConfig(hidden, intermediate, layers, 4, 2, 40, 8, 1e4, 1e-5, true, false);
    }

    private static Method method(String bits, String scaling) {
        Scaling scale = Scaling.parse(scaling);
        return Method.dqt(Grid.ofWidth(bits)).withScale(scale, scale.equals(Scaling.TENSOR) ? ScaleRule.ABSMEAN : ScaleRule.sigma(3));
    }

    /** SHA-256 of the packed weights after the last step. */
    private static String hash(LlamaConfig config, Method method, Tier tier, int threads) {
        try (Slices slices = new Slices(threads); Trainer trainer = new Trainer(config, method, OptimizerConfig.adamw(),
                Schedule.cosine(3e-3, 5, STEPS), TrainSettings.of(BATCH, 42), Kernels.of(tier), slices)) {
            for (int step = 1; step <= STEPS; step++) {
                Random random = new Random(step);
                int[] inputs = random.ints((long) BATCH * config.seqLen(), 0, config.vocab()).toArray();
                int[] targets = random.ints((long) BATCH * config.seqLen(), 0, config.vocab()).toArray();
                trainer.step(step, MemorySegment.ofArray(inputs), MemorySegment.ofArray(targets));
            }
            return hash(trainer);
        }
    }

    private static String hash(Trainer trainer) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (NamedTensor tensor : trainer.tensors()) {
                if (tensor.role() == NamedTensor.Role.PACKED_WEIGHT) {
                    digest.update(tensor.data().toArray(ValueLayout.JAVA_BYTE));
                }
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }

    /** The reference tier is plain C in a fixed order, so its bytes are the same on every machine. */
    @ParameterizedTest(name = "{0} bits, scale {1}")
    @CsvSource({
        "1.58, tensor, 0356e59f1f55006989cf241815b5b46666e579fa7a24a4d6fc24a87f58f9fb9b",
        "3, row, ca5edb625b309a49fd24a4e0c2b65bf866f319218066bb7693d9884b5676e242",
        "8, group:64, f6d14432a9c6f912f178d5ab062127edd885f637ac869fa6d7753b2f139e904c"})
    void theReferenceTierGivesTheGoldenBytes(String bits, String scaling, String golden) {
        for (int threads : new int[] {1, 2, 3, 5, 8}) {
            assertEquals(golden, hash(config(32, 80, 1), method(bits, scaling), Tier.REFERENCE, threads), threads + " threads");
        }
    }

    /** The other tiers sum floats in orders of their own, but threads change nothing there either. */
    @ParameterizedTest
    @ValueSource(strings = {"1.58", "8"})
    void threadsDoNotMatterOnAnyTier(String bits) {
        for (Tier tier : Arrays.copyOfRange(Tier.values(), 1, Tier.granted().ordinal() + 1)) {
            String one = hash(config(96, 160, 2), method(bits, "row"), tier, 1);
            for (int threads : new int[] {2, 3, 5, 8}) {
                assertEquals(one, hash(config(96, 160, 2), method(bits, "row"), tier, threads), tier + ", " + threads + " threads");
            }
        }
    }
}
