package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.train.Setting;
import io.sterna.train.TrainConfig;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.Model.CommandSpec;

class SettingOptionsTest {
    /** A default that follows from another setting than the preset is said by the text itself. */
    @ParameterizedTest
    @ValueSource(strings = {"method bitnet", "method fp32", "method bf16", "forward ternary", "optimizer adafactor", "optimizer sgd"})
    void defaultsThatDependAreSaidInWords(String other) {
        TrainConfig usual = new TrainConfig().resolved();
        TrainConfig changed = new TrainConfig().set(other.split(" ")[0], other.split(" ")[1]).set("lr", usual.lr).resolved();
        for (Setting setting : Setting.all()) {
            if (!other.startsWith(setting.key() + " ") && !Objects.equals(setting.get(usual), setting.get(changed))) {
                assertTrue(setting.text().contains("default"), setting.key() + " differs with " + other);
            }
        }
    }

    @Test
    void theHelpSaysDefaults() {
        CommandSpec spec = CommandSpec.create();
        SettingOptions.addTo(spec, setting -> true);
        assertEquals(List.of("Updates to make. Default by preset; nano: 1200."), List.of(SettingOptions.withDefault(spec.findOption("--steps")).description()));
        assertEquals(List.of("Key and value heads; fewer than heads share them in groups. Default by preset; nano: 6."),
                List.of(SettingOptions.withDefault(spec.findOption("--kv-heads")).description()));
        assertTrue(SettingOptions.withDefault(spec.findOption("--keep")).description()[0].endsWith("Default: 3."));
        assertTrue(SettingOptions.withDefault(spec.findOption("--threads")).description()[0].endsWith("default all processors."));
    }

    @Test
    void theHelpOfACommandHoldsThem() {
        String help = Main.commandLine().getSubcommands().get("train").getUsageMessage().replaceAll("\\s+", " ");
        assertTrue(help.contains("Updates to make. Default by preset; nano: 1200."), help);
        assertTrue(help.contains("Checkpoints kept. Default: 3."), help);
    }
}
