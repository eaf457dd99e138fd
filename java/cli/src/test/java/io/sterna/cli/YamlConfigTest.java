package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.sterna.train.ConfigException;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class YamlConfigTest {
    @TempDir
    private Path folder;

    @Test
    void scalarsAndListsBecomeSettings() throws IOException {
        TrainConfig config = new TrainConfig().setAll(YamlConfig.read(yaml(
                "preset: 8m\nbits: 1.58\nlr: 1e-3\nrecompute: true\ndata:\n  - a.txt\n  - b.txt\n")));
        assertEquals("8m", config.preset);
        assertEquals("1.58", config.bits);
        assertEquals(1e-3, config.lr);
        assertEquals(true, config.recompute);
        assertEquals(List.of("a.txt", "b.txt"), config.data);
    }

    @ParameterizedTest
    @ValueSource(strings = {"steps: 1\nsteps: 2\n", "steps: [1\n", "- a\n- b\n", "just text\n"})
    void whatIsNoMapOfSettingsIsRefused(String text) throws IOException {
        Path file = yaml(text);
        ConfigException e = assertThrows(ConfigException.class, () -> YamlConfig.read(file));
        assertTrue(e.getMessage().startsWith("config " + file), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n\n", "# steps: 3\n", "---\n"})
    void aFileWithoutSettingsHasNone(String text) throws IOException {
        assertEquals(Map.of(), YamlConfig.read(yaml(text)));
    }

    @Test
    void aMissingFileIsNamed() {
        ConfigException e = assertThrows(ConfigException.class, () -> YamlConfig.read(folder.resolve("no.yaml")));
        assertTrue(e.getMessage().endsWith("no.yaml: no such file"), e.getMessage());
    }

    @Test
    void bytesThatAreNoTextAreNamed() throws IOException {
        Path file = folder.resolve("latin.yaml");
        Files.write(file, "out: caf\u00e9\n".getBytes(StandardCharsets.ISO_8859_1));
        ConfigException e = assertThrows(ConfigException.class, () -> YamlConfig.read(file));
        assertEquals("config " + file + ": byte 8 is not UTF-8; convert the text", e.getMessage());
    }

    /** Such as a shell's <(...). */
    @Test
    void whatIsNoRegularFileIsRead() throws IOException {
        Path device = Path.of("/dev/null");
        assumeTrue(Files.exists(device), "no /dev/null here");
        assertEquals(Map.of(), YamlConfig.read(device));
    }

    private Path yaml(String text) throws IOException {
        return Files.writeString(folder.resolve("config.yaml"), text);
    }
}
