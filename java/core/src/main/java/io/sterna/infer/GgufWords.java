package io.sterna.infer;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * How a text is cut into words before byte-level BPE merges them: a name in GGUF, a {@code pre_tokenizer} in {@code tokenizer.json}.
 * What llama.cpp cuts by several expressions, each within the pieces of the one before, is a step for each. It sees no case
 * but that of A to Z where an expression asks for cases, and {@code ~} as no symbol; here it is so too.
 */
enum GgufWords {
    /** GPT-2's. */
    GPT2(false, List.of(byteLevel(true)), "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "gigachat", "a.x-4.0", "mellum",
            "exaone4", "granite-docling"),
    /** Llama 3's: up to three digits together, line ends by themselves; a word that is a token is not merged. */
    LLAMA3(true, List.of(split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
            + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"), byteLevel(false)), "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral",
            "midm-2.0", "lfm2"),
    /** SmolLM's: every digit by itself, all else as GPT-2's. */
    SMOLLM(false, List.of(Json.ordered("type", "Digits", "individual_digits", true), byteLevel(true)), "smollm", "starcoder", "refact",
            "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"),
    /** As Llama 3's, but for words that are tokens. */
    DBRX(false, splits(Patterns.words("\\p{N}{1,3}", "[\\r\\n]*")), "dbrx", "smaug-bpe"),
    /** The same with every digit by itself. */
    QWEN2(false, splits(Patterns.words("\\p{N}", "[\\r\\n]*")), "qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan",
            "solar-open", "grok-2"),
    /** The same, where line ends never stand with what comes before. */
    SEED_CODER(false, splits(Patterns.words("\\p{N}", "")), "seed-coder"),
    /** Three digits together before all else. */
    MINICPM5(true, splits("\\p{N}{1,3}", Patterns.words("\\p{N}+", "[\\r\\n]*")), "minicpm5"),
    /** Mistral's: a word begins where small letters are followed by a capital. */
    TEKKEN(true, splits(Patterns.cased("", "\\p{N}")), "tekken"),
    /** OpenAI's: the same with endings such as 's. */
    GPT4O(false, splits(Patterns.cased("(?:" + Patterns.ENDINGS + ")?", "\\p{N}{1,3}")), "gpt-4o", "llama4", "kanana2", "talkie",
            "minimax-m2"),
    /** Line ends, words, punctuation, Asian letters, digits: each step within the pieces of the one before, every digit by itself. */
    DEEPSEEK_CODER(false, splits("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", Patterns.ASIAN, "\\p{N}"), "deepseek-coder"),
    /** Up to three digits, ideographs and kana, and then words with what stands before them. */
    DEEPSEEK3(false, splits("\\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u30ff]+",
            "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}&&[^~]]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}&&[^~]]+[\\r\\n]*" + Patterns.SPACES),
            "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"),
    /** Punctuation, then as GPT-2's, then three digits of more. */
    FALCON(false, splits("[\\p{P}$+<=>^~|`]+", Patterns.GPT2, "[0-9][0-9][0-9]"), "falcon"),
    /** Whatever stands between spaces and full stops, commas and the like; every digit by itself. */
    VIKING(false, splits(" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", "\\p{N}"), "viking");

    /** Expressions, or parts of them. */
    private static final class Patterns {
        static final String GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
        static final String ENDINGS = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"; // (?i:'s) would take a long s too
        static final String SPACES = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        /** From Samaritan to the ideographs, and Hangul. */
        static final String ASIAN = "[\u0800-\u9fa5\uac00-\ud7ff&&\\S]+";

        static String words(String digits, String afterPunctuation) {
            return "(?:" + ENDINGS + ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" + digits + "| ?[^\\s\\p{L}\\p{N}]+" + afterPunctuation + SPACES;
        }

        static String cased(String ending, String digits) {
            String capital = "[\\p{L}&&[^a-z]]";
            String small = "[\\p{L}&&[^A-Z]]";
            String before = "[^\\r\\n\\p{L}\\p{N}]?";
            return before + capital + "*" + small + "+" + ending + "|" + before + capital + "+" + small + "*" + ending + "|" + digits
                    + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" + SPACES;
        }
    }

    /** Those that tokenizers are written as. */
    private static final Set<GgufWords> WRITTEN = EnumSet.of(GPT2, LLAMA3, SMOLLM);

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

    private static List<Map<String, Object>> splits(String... regexes) {
        return Stream.concat(Arrays.stream(regexes).map(GgufWords::split), Stream.of(byteLevel(false))).toList();
    }

    /** Its usual name in GGUF. */
    @Override
    public String toString() {
        return names.getFirst();
    }

    /** All that are read, for a message. */
    static String read() {
        return Arrays.stream(values()).map(GgufWords::toString).collect(Collectors.joining(", "));
    }

    /** All that are written, for a message. */
    static String written() {
        return WRITTEN.stream().map(GgufWords::toString).collect(Collectors.joining(", "));
    }

    /** That of a name in GGUF, which a file may lack. */
    static Optional<GgufWords> named(Object name) {
        return Arrays.stream(values()).filter(w -> w.names.stream().anyMatch(n -> n.equals(name))).findFirst();
    }

    /** That of a {@code tokenizer.json}, if it is one of those that are written. */
    static Optional<GgufWords> of(Map<String, Object> root) {
        Object cut = root.get("pre_tokenizer");
        Object found = cut instanceof Map<?, ?> map && "Sequence".equals(map.get("type")) ? map.get("pretokenizers") : Arrays.asList(cut);
        return WRITTEN.stream().filter(w -> found instanceof List<?> list && w.isOf(list)).findFirst();
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

    /** Whether a text begins with the begin token, where a file does not say. */
    boolean begins() {
        return this == LLAMA3 || this == TEKKEN;
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
