package io.sterna.infer;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** How a text is cut into words before byte-level BPE merges them: a name in GGUF, a {@code pre_tokenizer} in {@code tokenizer.json}. */
enum GgufWords {
    /** GPT-2's. */
    GPT2(false, List.of(byteLevel(true)), "gpt-2"),
    /** Llama 3's: up to three digits together, line ends by themselves; a word that is a token is not merged. */
    LLAMA3(true, List.of(split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
            + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"), byteLevel(false)), "llama-bpe", "llama3", "llama-v3"),
    /** SmolLM's: every digit by itself, all else as GPT-2's. */
    SMOLLM(false, List.of(Json.ordered("type", "Digits", "individual_digits", true), byteLevel(true)), "smollm");

    private static final String BYTE_LEVEL = "ByteLevel";
    private static final String REGEX = "use_regex";
    private static final String IGNORE_MERGES = "ignore_merges";

    private final boolean ignoresMerges;
    private final List<Map<String, Object>> steps;
    private final List<String> names;

    GgufWords(boolean ignoresMerges, List<Map<String, Object>> steps, String... names) {
        this.ignoresMerges = ignoresMerges;
        this.steps = steps;
        this.names = List.of(names);
    }

    private static Map<String, Object> byteLevel(boolean regex) {
        return Json.ordered("type", BYTE_LEVEL, "add_prefix_space", false, "trim_offsets", true, REGEX, regex);
    }

    private static Map<String, Object> split(String regex) {
        return Json.ordered("type", "Split", "pattern", Json.ordered("Regex", regex), "behavior", "Isolated", "invert", false);
    }

    /** Its usual name in GGUF. */
    @Override
    public String toString() {
        return names.getFirst();
    }

    /** All of them, for a message. */
    static String all() {
        return Arrays.stream(values()).map(GgufWords::toString).collect(Collectors.joining(", "));
    }

    /** That of a name in GGUF. */
    static Optional<GgufWords> named(Object name) {
        return Arrays.stream(values()).filter(w -> w.names.contains(name)).findFirst();
    }

    /** That of a {@code tokenizer.json}, if it is one of these. */
    static Optional<GgufWords> of(Map<String, Object> root) {
        Object cut = root.get("pre_tokenizer");
        Object found = cut instanceof Map<?, ?> map && "Sequence".equals(map.get("type")) ? map.get("pretokenizers") : Arrays.asList(cut);
        return Arrays.stream(values()).filter(w -> found instanceof List<?> list && w.isOf(list)).findFirst();
    }

    private boolean isOf(List<?> found) {
        return comparable(found).equals(comparable(steps));
    }

    private static List<Object> comparable(List<?> steps) {
        return steps.stream().map(step -> step instanceof Map<?, ?> map && BYTE_LEVEL.equals(map.get("type")) ? comparable(map) : step)
                .collect(Collectors.toList());
    }

    /** Offsets, which nobody here asks for, may be trimmed or not; older files do not say that there is a regex. */
    private static Map<Object, Object> comparable(Map<?, ?> byteLevel) {
        Map<Object, Object> fields = new LinkedHashMap<>(byteLevel);
        fields.remove("trim_offsets");
        fields.putIfAbsent(REGEX, true);
        return fields;
    }

    /** Whether a {@code tokenizer.json} does with words that are tokens what llama.cpp does. */
    boolean mergesAs(Map<String, Object> root) throws JsonException {
        return Boolean.TRUE.equals(Json.object(root, "model").get(IGNORE_MERGES)) == ignoresMerges;
    }

    /** Cuts words so in a {@code tokenizer.json}. */
    void setOn(Map<String, Object> root) throws JsonException {
        root.put("pre_tokenizer", steps.size() == 1 ? steps.getFirst() : Json.ordered("type", "Sequence", "pretokenizers", steps));
        Json.object(root, "model").put(IGNORE_MERGES, ignoresMerges);
    }
}
