package io.sterna.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * A small strict JSON reader and writer. Values are Map (in order), List, String, Long, Double, Boolean
 * and null; repeated keys, nesting beyond {@link #MAX_DEPTH} and text after the value are errors.
 * Thread-safe.
 */
public final class Json {
    /** Deepest nesting that is read. */
    public static final int MAX_DEPTH = 64;
    private static final int LONGEST_BRIEF = 60;
    private static final int LONGEST_BRIEF_LIST = 8;

    private Json() {}

    /**
     * The value of a JSON text.
     *
     * @throws JsonException for anything else; it says where
     */
    public static Object parse(byte[] utf8) throws JsonException {
        return new JsonReader().read(utf8, 0, utf8.length);
    }

    /**
     * The object in a JSON file.
     *
     * @param maxBytes larger files are refused before they are read
     * @throws JsonException for a folder, a larger file, and text that is no JSON object; its message names the file
     * @throws IOException when the file cannot be read
     */
    public static Map<String, Object> readObject(Path file, long maxBytes) throws IOException {
        if (Files.isDirectory(file)) {
            throw new JsonException(file + " is a folder", -1);
        }
        long size = Files.size(file);
        if (size > maxBytes) {
            throw new JsonException(file + " has " + size + " bytes, more than the " + maxBytes + " allowed", -1);
        }
        try {
            return asObject(parse(FileBytes.all(file)), file.toString());
        } catch (JsonException e) {
            throw new JsonException(file + ": " + e.getMessage(), -1);
        }
    }

    /**
     * Field {@code name}, which must be an object.
     *
     * @throws JsonException when it is missing or something else
     */
    @SuppressWarnings("unchecked") // the reader makes Map<String, Object> only
    public static Map<String, Object> object(Map<String, Object> parent, String name) throws JsonException {
        return (Map<String, Object>) typed(parent, name, Map.class, "an object");
    }

    /**
     * Field {@code name}, which must be a list.
     *
     * @throws JsonException when it is missing or something else
     */
    @SuppressWarnings("unchecked") // the reader makes List<Object> only
    public static List<Object> list(Map<String, Object> parent, String name) throws JsonException {
        return (List<Object>) typed(parent, name, List.class, "a list");
    }

    /**
     * Field {@code name}, which must be a list where it is there and not null; otherwise an empty one.
     *
     * @throws JsonException when it is something else
     */
    public static List<Object> listOrEmpty(Map<String, Object> parent, String name) throws JsonException {
        return parent.get(name) == null ? List.of() : list(parent, name);
    }

    /**
     * Field {@code name}, which must be a string.
     *
     * @throws JsonException when it is missing or something else
     */
    public static String string(Map<String, Object> parent, String name) throws JsonException {
        return typed(parent, name, String.class, "a string");
    }

    /**
     * Field {@code name}, which must be an integer of 64 bits.
     *
     * @throws JsonException when it is missing or something else
     */
    public static long integer(Map<String, Object> parent, String name) throws JsonException {
        return typed(parent, name, Long.class, "an integer");
    }

    /**
     * Field {@code name}, which must be a number.
     *
     * @throws JsonException when it is missing or something else
     */
    public static double number(Map<String, Object> parent, String name) throws JsonException {
        return typed(parent, name, Number.class, "a number").doubleValue();
    }

    /**
     * Field {@code name}, which must be true or false.
     *
     * @throws JsonException when it is missing or something else
     */
    public static boolean bool(Map<String, Object> parent, String name) throws JsonException {
        return typed(parent, name, Boolean.class, "true or false");
    }

    /**
     * {@code value} as an object; {@code what} names it in the error.
     *
     * @throws JsonException when it is something else
     */
    @SuppressWarnings("unchecked") // the reader makes Map<String, Object> only
    public static Map<String, Object> asObject(Object value, String what) throws JsonException {
        if (value instanceof Map<?, ?> map) {
            return (Map<String, Object>) map;
        }
        throw new JsonException(what + " is not an object but " + brief(value), -1);
    }

    /** An object of these fields in this order: key, value, key, value; {@link Map#of} has another order in each process. */
    public static Map<String, Object> ordered(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            map.put((String) pairs[i], pairs[i + 1]);
        }
        return map;
    }

    private static <T> T typed(Map<String, Object> parent, String name, Class<T> type, String kind)
            throws JsonException {
        Object value = field(parent, name);
        if (!type.isInstance(value)) {
            throw new JsonException("field " + brief(name) + " is not " + kind + " but " + brief(value), -1);
        }
        return type.cast(value);
    }

    /** A value for an error: its JSON on one line, cut when that is long; of large values no more is made than is said. */
    public static String brief(Object value) {
        return switch (value) {
            case Map<?, ?> map -> "an object of " + map.size();
            case List<?> list when list.size() > LONGEST_BRIEF_LIST || list.stream().anyMatch(Json::isNested) -> "a list of " + list.size();
            case List<?> list -> cut(list.stream().map(Json::brief).collect(Collectors.joining(",", "[", "]")));
            case String text -> cut(write(text.substring(0, Math.min(text.length(), LONGEST_BRIEF))));
            case null, default -> cut(write(value));
        };
    }

    private static boolean isNested(Object value) {
        return value instanceof Map || value instanceof List;
    }

    private static String cut(String json) {
        return json.length() > LONGEST_BRIEF ? json.substring(0, LONGEST_BRIEF) + "..." : json;
    }

    private static Object field(Map<String, Object> parent, String name) throws JsonException {
        if (!parent.containsKey(name)) {
            throw new JsonException("field " + brief(name) + " is missing", -1);
        }
        return parent.get(name);
    }

    /** {@code value} on one line. Float and Double must be finite: JSON has no NaN. */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out, -1);
        return out.toString();
    }

    /** {@code value} indented by two spaces, with a last line end. Float and Double must be finite. */
    public static String writePretty(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out, 0);
        return out.append('\n').toString();
    }

    /** @param indent spaces before a nested line, or -1 for one line */
    private static void write(Object value, StringBuilder out, int indent) {
        switch (value) {
            case null -> out.append("null");
            case Map<?, ?> map -> {
                String separator = "{";
                for (Map.Entry<?, ?> field : map.entrySet()) {
                    out.append(separator);
                    newLine(out, indent, 2);
                    writeString(field.getKey().toString(), out);
                    out.append(indent < 0 ? ":" : ": ");
                    write(field.getValue(), out, deeper(indent));
                    separator = ",";
                }
                close(out, map.isEmpty(), "{", '}', indent);
            }
            case List<?> list -> {
                String separator = "[";
                for (Object item : list) {
                    out.append(separator);
                    newLine(out, indent, 2);
                    write(item, out, deeper(indent));
                    separator = ",";
                }
                close(out, list.isEmpty(), "[", ']', indent);
            }
            case Double d -> out.append(finite(d));
            case Float f -> {
                finite(f);
                out.append(f.toString()); // shortest form of the float, not of its double
            }
            case Number n -> out.append(n);
            case Boolean b -> out.append(b);
            default -> writeString(value.toString(), out);
        }
    }

    private static int deeper(int indent) {
        return indent < 0 ? -1 : indent + 2;
    }

    private static void newLine(StringBuilder out, int indent, int more) {
        if (indent >= 0) {
            out.append('\n').repeat(' ', indent + more);
        }
    }

    private static void close(StringBuilder out, boolean empty, String open, char close, int indent) {
        if (empty) {
            out.append(open);
        } else {
            newLine(out, indent, 0);
        }
        out.append(close);
    }

    private static double finite(double d) {
        if (!Double.isFinite(d)) {
            throw new IllegalArgumentException("JSON has no number for " + d);
        }
        return d;
    }

    private static void writeString(String s, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (c < 0x20 || c == 0x7F) {
                        out.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}
