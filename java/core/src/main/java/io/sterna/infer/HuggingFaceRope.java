package io.sterna.infer;

import io.sterna.io.Json;
import io.sterna.nn.RopeScaling;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** What a configuration of transformers says of rotary positions. */
record HuggingFaceRope(Path folder, Map<String, Object> config) {
    private static final String ORIGINAL_LENGTH = "original_max_position_embeddings";
    /** By kind of scaling of the rotary positions, the fields of its numbers, in the order of ours. */
    private static final Map<String, List<String>> ROPE_NUMBERS = Map.of("default", List.of(), "linear", List.of("factor"),
            "llama3", List.of("factor", "low_freq_factor", "high_freq_factor", ORIGINAL_LENGTH));

    /** Sets base and scaling of the rotary positions. */
    TrainConfig set(TrainConfig settings) throws IOException {
        Map<String, Object> rope = ropeFields();
        settings.set("rope-theta", rope.get("rope_theta") == null ? usualBase() : Json.number(rope, "rope_theta"));
        String type = rope.get("rope_type") == null ? "default" : Json.string(rope, "rope_type");
        List<String> numbers = ROPE_NUMBERS.get(type);
        if (numbers == null) {
            throw fault("rope_type " + Json.brief(type), "expected default, linear or llama3");
        }
        List<String> parts = new ArrayList<>(List.of(type));
        for (String number : numbers) {
            boolean whole = number.equals(ORIGINAL_LENGTH);
            parts.add(whole ? String.valueOf(Json.integer(rope, number)) : String.valueOf(Json.number(rope, number)));
        }
        for (String field : rope.keySet()) {
            if (!numbers.contains(field) && !field.equals("rope_theta") && !field.equals("rope_type")) {
                throw fault("rope_scaling " + field + " " + Json.brief(rope.get(field)), "this has no place here");
            }
        }
        String text = type.equals("default") ? "none" : String.join(":", parts);
        return settings.set("rope-scaling", RopeScaling.parse(text).toString());
    }

    /** As transformers has it. */
    private double usualBase() {
        return "bitnet".equals(config.get("model_type")) ? 5e5 : 1e4;
    }

    /** What is said of rotary positions: the base beside their scaling or, in newer files, all in one place. */
    private Map<String, Object> ropeFields() throws IOException {
        Map<String, Object> rope = new LinkedHashMap<>();
        rope.put("rope_theta", config.get("rope_theta"));
        for (String field : List.of("rope_scaling", "rope_parameters")) {
            if (config.get(field) != null) {
                rope.putAll(Json.object(config, field));
            }
        }
        rope.values().removeIf(Objects::isNull);
        rope.entrySet().removeIf(e -> e.getKey().equals("partial_rotary_factor") && e.getValue() instanceof Number n && n.doubleValue() == 1);
        Object oldName = rope.remove("type");
        if (oldName != null && !oldName.equals(rope.getOrDefault("rope_type", oldName))) {
            throw fault("rope_type " + Json.brief(rope.get("rope_type")) + " and type " + Json.brief(oldName), "they must be equal");
        }
        if (oldName != null) {
            rope.put("rope_type", oldName);
        }
        return rope;
    }

    private ModelException fault(String what, String remedy) {
        return new ModelException("model " + folder + ": " + what + "; " + remedy);
    }
}
