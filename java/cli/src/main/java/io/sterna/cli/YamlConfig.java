package io.sterna.cli;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.sterna.train.ConfigException;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** Reads a configuration from YAML. */
final class YamlConfig {
    private static final int LARGEST = 1 << 20;
    private static final ObjectMapper YAML = new ObjectMapper(YAMLFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private YamlConfig() {}

    /** Sets what {@code file} holds. */
    static void apply(Path file, TrainConfig settings) throws IOException {
        Map<String, Object> values = read(file);
        try {
            settings.setAll(values);
        } catch (ConfigException e) {
            throw new ConfigException("config " + file + ": " + e.getMessage(), e);
        }
    }

    /** The settings in {@code file}; an empty one has none. */
    static Map<String, Object> read(Path file) throws IOException {
        byte[] text = bytes(file);
        Object root;
        try {
            root = YAML.treeToValue(YAML.readTree(text), Object.class); // null for a file of comments
        } catch (JacksonException e) {
            throw new ConfigException("config " + file + " line " + line(e) + ": " + e.getOriginalMessage(), e);
        }
        if (root == null || root.equals("")) { // "" behind a line of ---
            return Map.of();
        }
        if (!(root instanceof Map<?, ?> map)) {
            throw new ConfigException("config " + file + ": expected lines of \"key: value\"");
        }
        Map<String, Object> values = new LinkedHashMap<>();
        map.forEach((key, value) -> values.put(String.valueOf(key), value));
        return values;
    }

    /** The text of a file, a pipe among them. */
    private static byte[] bytes(Path file) throws IOException {
        if (!Files.exists(file)) {
            throw new ConfigException("config " + file + ": no such file");
        }
        if (Files.isDirectory(file)) {
            throw new ConfigException("config " + file + ": is a folder; name a file");
        }
        try (InputStream in = Files.newInputStream(file)) {
            byte[] text = in.readNBytes(LARGEST + 1);
            if (text.length > LARGEST) {
                throw new ConfigException("config " + file + ": has more bytes than the " + LARGEST + " that can be; is it the file you mean?");
            }
            return Inputs.utf8(text, "config " + file);
        }
    }

    private static int line(JacksonException e) {
        return e.getLocation() == null ? 1 : e.getLocation().getLineNr();
    }
}
