package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrainConfigTest {
    @ParameterizedTest
    @CsvSource({
        "hiden, hidden", "seq_len, seq-len", "Threads, threads", "weightDecay, weight-decay", "learning_rate, lr",
        "batch_size, batch", "max_seq_len, seq-len", "eval, eval-every", "epochs, steps", "x, text-field"})
    void anUnknownSettingNamesTheNearest(String key, String nearest) {
        ConfigException e = assertThrows(ConfigException.class, () -> new TrainConfig().setAll(Map.of(key, 1)));
        assertEquals("unknown setting \"" + key + "\"; did you mean \"" + nearest + "\"?", e.getMessage());
    }

    @Test
    void moreDecayThanAllOfAWeightIsRefused() {
        TrainConfig config = new TrainConfig().set("lr", "20").set("weight-decay", "0.06");
        ConfigException e = assertThrows(ConfigException.class, config::resolved);
        assertTrue(e.getMessage().contains("lr 20.0 and weight-decay 0.06"), e.getMessage());
        config.set("weight-decay", "0.05").resolved();
    }

    /** Weights do not decay where the second peak counts, so it may be any. */
    @Test
    void aSecondPeakDecaysNothing() {
        TrainConfig config = new TrainConfig().set("schedule", "two-stage").set("weight-decay", "0.06").set("lr-second", "20");
        config.set("lr", "0.01").resolved();
        assertThrows(ConfigException.class, config.set("lr", "20")::resolved);
    }

    @ParameterizedTest
    @CsvSource({"global:1e-1, 0.1", "tensor:2.5E+1, 25", "tensor:0.12345678901, 0.12345678901", "global:1, 1"})
    void aClipTakesNumbersAsEveryOtherSettingDoes(String text, double limit) {
        assertEquals(limit, Clip.parse(text).limit());
        assertEquals(Clip.parse(text), Clip.parse(Clip.parse(text).toString()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "hidden       | ten       | hidden is \"ten\"; it takes a whole number up to 2147483647",
        "hidden       | 1.5       | hidden is \"1.5\"; it takes a whole number up to 2147483647",
        "hidden       | 99999999999 | hidden is \"99999999999\"; it takes a whole number up to 2147483647",
        "lr           | NaN       | lr is \"NaN\"; it takes a finite number",
        "out          | ''   | out is \"\"; it takes",
        "recompute    | yes       | recompute is \"yes\"; it takes true|false",
        "preset       | 9m        | preset \"9m\": expected one of nano, 8m",
        "hidden       | 193       | hidden 193: must be a multiple of heads 6",
        "layers       | 0         | layers 0: must lie between 1 and 1000",
        "heads        | 5         | hidden 192: must be a multiple of heads 5 unless head-dim is said",
        "heads        | 0         | heads 0: must lie between 1 and 192",
        "head-dim     | 0         | head-dim 0: a head must be even and 2 to 256 wide",
        "head-dim     | 33        | head-dim 33: a head must be even",
        "head-dim     | 258       | head-dim 258: a head must be even and 2 to 256 wide",
        "head-dim     | 99999999999 | head-dim is \"99999999999\"; it takes a whole number up to 2147483647",
        "method       | dtq       | method \"dtq\": expected one of dqt, bitnet, fp32, bf16; did you mean dqt?",
        "split        | lines     | split \"lines\": expected one of auto, file, blank-lines",
        "bits         | 9         | bits \"9\": expected 1, 1.58, 2",
        "scale        | rows      | scale \"rows\": expected tensor, row or group:N",
        "scale        | group:63  | must be a positive multiple of 64",
        "forward      | terna     | forward \"terna\": expected one of stored, ternary; did you mean ternary?",
        "optimizer    | adam      | optimizer \"adam\": expected one of adamw, adafactor, sgd; did you mean adamw?",
        "state        | fp8       | state \"fp8\"",
        "lr           | -1        | lr -1.0: must be above 0",
        "warmup       | 1200      | warmup 1200: must be at least 0 and below steps 1200",
        "schedule     | cosin     | did you mean cosine?",
        "beta1        | 1         | beta1 1.0: must lie in [0, 1)",
        "clip         | 1.0       | clip \"1.0\": expected none, global:X or tensor:X",
        "clip         | global:x  | clip \"global:x\": expected none, global:X or tensor:X",
        "clip         | global:NaN | clip limit NaN: must be finite and above 0",
        "clip         | tensor:0  | clip limit 0.0: must be finite and above 0",
        "rounding     | down      | rounding \"down\": expected one of stochastic, nearest",
        "holdout      | 0         | holdout 0.0: must be above 0",
        "threads      | 0         | threads 0: must be at least 1",
        "log-every    | 0         | log-every 0: must be at least 1",
        "keep         | 0         | keep 0: must be at least 1",
        "batch        | 0         | batch 0: must lie between 1",
        "stop-after   | 0         | stop-after 0: must be at least 1",
        "steps        | 0         | steps 0: must be at least 1",
    })
    void aValueThatCannotBeIsNamed(String key, String value, String message) {
        ConfigException e = assertThrows(ConfigException.class, () -> new TrainConfig().set(key, value).resolved());
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }

    /** In any case, and fp32 for f32, as PyTorch's users write it. */
    @ParameterizedTest
    @CsvSource({"fp32, f32", "F32, f32", "BF16, bf16"})
    void elementTypesHaveSeveralSpellings(String text, String type) {
        for (String key : List.of("float-type", "state", "activations")) {
            Parts as = Parts.of(new TrainConfig().set(key, text).resolved());
            assertEquals(Parts.of(new TrainConfig().set(key, type).resolved()), as, key);
        }
    }

    @Test
    void bitsBelongToDqt() {
        ConfigException e = assertThrows(
                ConfigException.class, () -> new TrainConfig().set("method", "fp32").set("bits", "8").resolved());
        assertTrue(e.getMessage().contains("only method dqt takes bits"), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource({"nano", "8m", "30m", "130m", "320m", "1b"})
    void everyMethodResolvesOnEveryPreset(String preset) {
        for (String method : List.of("dqt", "bitnet", "fp32", "bf16")) {
            TrainConfig resolved = new TrainConfig().set("preset", preset).set("method", method).resolved();
            assertEquals(resolved.toMap(), resolved.resolved().toMap(), "resolving is idempotent");
        }
    }

    /** Those measured in bench/results/training.md. */
    @ParameterizedTest
    @CsvSource({"nano, dqt, 1.58, 2e-3", "nano, dqt, 8, 2e-3", "nano, dqt, 1, 4e-3", "nano, bitnet, , 3e-3", "130m, dqt, 4, 1e-3", "1b, fp32, , 6.1e-4"})
    void theLearningRateIsByWidth(String preset, String method, String bits, double expected) {
        TrainConfig config = new TrainConfig().set("preset", preset).set("method", method).set("bits", bits);
        assertEquals(expected, config.resolved().lr);
    }

    /** So that a model has one description. */
    @Test
    void theUsualWidthOfAHeadIsNotSaid() {
        TrainConfig usual = new TrainConfig().resolved();
        assertEquals(usual.toMap(), new TrainConfig().set("head-dim", 32).resolved().toMap());
        TrainConfig wide = new TrainConfig().set("head-dim", 64).resolved();
        assertEquals(64, wide.headDim);
        assertEquals(wide.toMap(), wide.resolved().toMap());
        assertEquals(16, new TrainConfig().set("heads", 5).set("head-dim", 16).resolved().headDim, "hidden need be no multiple of heads then");
    }

    @Test
    void whatIsSetStaysAndTheRestIsFilled() {
        TrainConfig config = new TrainConfig().setAll(Map.of("hidden", 96, "data", List.of("a", "b"), "lr", 0.5));
        TrainConfig resolved = config.resolved();
        assertEquals(96, resolved.hidden);
        assertEquals(List.of("a", "b"), resolved.data);
        assertEquals(0.5, resolved.lr);
        assertEquals("1.58", resolved.bits);
        assertEquals(3, config.toMap().size(), "the original stays as it was");
        List<String> optional = List.of("init", "head-dim", "begin-token", "add-begin-token", "end-token", "stop-after", "out",
                "lr-second");
        for (Setting setting : Setting.all()) {
            assertEquals(optional.contains(setting.key()), setting.get(resolved) == null, setting.key());
        }
    }

    @Test
    void everySettingIsDescribed() {
        for (Setting setting : Setting.all()) {
            assertFalse(setting.text().isBlank(), setting.key());
            assertFalse(setting.form().isBlank(), setting.key());
            assertTrue(setting.key().matches("[a-z][a-z0-9-]*"), setting.key());
        }
    }
}
