package io.sterna.train;

import io.sterna.io.Json;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * One setting of {@link TrainConfig}: a field, its key in files ({@code seq-len}; {@code --seq-len} on the
 * command line) and its description. Thread-safe.
 */
public final class Setting {
    /** What a setting is about; the help lists them so. */
    public enum Group {
        /** The shape of the model, and what it starts from. */
        MODEL("Model"),
        /** How weights are represented, and how an update is rounded to that. */
        METHOD("Method"),
        /** What turns gradients into updates: algorithm, learning rate, clipping. */
        OPTIMIZER("Optimizer"),
        /** Corpus and tokenizer, and where they are kept prepared. */
        DATA("Data"),
        /** Length, batch, seed, threads, and what saves memory or time. */
        RUN("Run"),
        /** Run folder, records, evaluations, checkpoints. */
        OUTPUT("Output");

        private final String title;

        Group(String title) {
            this.title = title;
        }

        /** The heading above its settings in the help. */
        public String title() {
            return title;
        }
    }

    /** Marks a field of {@link TrainConfig} as a setting. */
    @Retention(RetentionPolicy.RUNTIME)
    @Target(ElementType.FIELD)
    @interface Describe {
        Group group();

        /** How the value looks, for the help: {@code N}, {@code f32|bf16}. */
        String value();

        String text();
    }

    private static final Map<String, Setting> ALL = Arrays.stream(TrainConfig.class.getDeclaredFields())
            .filter(f -> !Modifier.isStatic(f.getModifiers()))
            .map(Setting::new)
            .collect(Collectors.toMap(Setting::key, s -> s, (a, b) -> a, LinkedHashMap::new));

    private static final int LONGEST_KEY = 100;

    private final Field field;
    private final Describe description;

    private Setting(Field field) {
        this.field = field;
        this.description = field.getAnnotation(Describe.class);
    }

    /** All settings, in the order of the class. */
    public static List<Setting> all() {
        return List.copyOf(ALL.values());
    }

    /**
     * The setting {@code key}.
     *
     * @throws ConfigException for an unknown key; the message names the nearest
     */
    public static Setting of(String key) {
        Setting setting = ALL.get(key);
        if (setting == null) {
            String name = key.length() > LONGEST_KEY ? key.substring(0, LONGEST_KEY) : key;
            throw new ConfigException("unknown setting " + Json.brief(name) + "; did you mean \""
                    + Names.nearest(name, ALL.keySet()) + "\"?");
        }
        return setting;
    }

    /** The field's name with hyphens. */
    public String key() {
        return field.getName().replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT);
    }

    /** What it is about. */
    public Group group() {
        return description.group();
    }

    /** What it does, in a sentence for the help. */
    public String text() {
        return description.text();
    }

    /** How the value looks. */
    public String form() {
        return description.value();
    }

    /** What a value must be, for those that cannot be converted. */
    private String kind() {
        Class<?> type = field.getType();
        return type == Double.class ? "a finite number" : type == Integer.class ? "a whole number up to " + Integer.MAX_VALUE
                : type == Long.class ? "a whole number" : form();
    }

    /** Whether its values are true and false. */
    public boolean isFlag() {
        return field.getType() == Boolean.class || field.getType() == boolean.class;
    }

    /** Whether it takes several values, a list of texts. */
    public boolean isList() {
        return field.getType() == List.class;
    }

    /** The value in {@code config}: String, Integer, Long, Double, Boolean, List of String, or null if not set. */
    public Object get(TrainConfig config) {
        try {
            return field.get(config);
        } catch (IllegalAccessException e) {
            throw new AssertionError("settings are public fields", e);
        }
    }

    /**
     * Sets the value in {@code config} from a value of the field's type, of a file (number, string, list) or from text.
     *
     * @throws ConfigException for a value that is not of the field's type; {@link TrainConfig#resolved} checks
     *     ranges
     */
    public void set(TrainConfig config, Object value) {
        try {
            field.set(config, value == null ? null : convert(value));
        } catch (NumberFormatException | ClassCastException e) { // no number, or no text at all
            throw new ConfigException(key() + " is " + Json.brief(String.valueOf(value)) + "; it takes " + kind(), e);
        } catch (IllegalAccessException e) {
            throw new AssertionError("settings are public fields", e);
        }
    }

    private Object convert(Object value) {
        Class<?> type = field.getType();
        if (type == List.class) {
            List<?> list = value instanceof List<?> l ? l : List.of(value);
            return list.stream().map(item -> scalar(item).trim()).toList();
        }
        String text = scalar(value).trim();
        if (type == Integer.class) {
            return Integer.valueOf(text);
        }
        if (type == Long.class) {
            return Long.valueOf(text);
        }
        if (type == Double.class) {
            return finite(text);
        }
        if (type == Boolean.class) {
            return flag(text);
        }
        if (text.isEmpty()) {
            throw new NumberFormatException(text);
        }
        return text;
    }

    private static String scalar(Object value) {
        return switch (value) {
            case String s -> s;
            case Number n -> n.toString();
            case Boolean b -> b.toString();
            case java.nio.file.Path p -> p.toString();
            case null, default -> throw new ClassCastException("not a scalar");
        };
    }

    private static Double finite(String text) {
        double d = Double.parseDouble(text);
        if (!Double.isFinite(d)) {
            throw new NumberFormatException(text);
        }
        return d;
    }

    private static Boolean flag(String text) {
        return switch (text) {
            case "true" -> true;
            case "false" -> false;
            default -> throw new NumberFormatException(text);
        };
    }
}
