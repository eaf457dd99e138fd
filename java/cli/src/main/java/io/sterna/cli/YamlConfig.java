package io.sterna.cli;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** Reads a configuration from YAML. */
final class YamlConfig {
    private static final ObjectMapper YAML = new ObjectMapper(YAMLFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private YamlConfig() {}

    /** The settings in {@code file}; an empty one has none. */
    static Map<String, Object> read(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new ConfigException("config " + file + ": no such file");
        }
        Object root;
        try {
            root = YAML.readValue(file.toFile(), Object.class);
        } catch (JacksonException e) {
            throw new ConfigException("config " + file + " line " + line(e) + ": " + e.getOriginalMessage(), e);
        }
        if (!(root instanceof Map<?, ?> map)) {
            throw new ConfigException("config " + file + ": expected lines of \"key: value\"");
        }
        Map<String, Object> values = new LinkedHashMap<>();
        map.forEach((key, value) -> values.put(String.valueOf(key), value));
        return values;
    }

    private static int line(JacksonException e) {
        return e.getLocation() == null ? 1 : e.getLocation().getLineNr();
    }
}
