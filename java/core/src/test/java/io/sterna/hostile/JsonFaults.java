package io.sterna.hostile;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Breaks a good JSON text in the ways that JSON can be broken, and a field in the ways that its type can be missed. */
final class JsonFaults {
    /** Types of fields. */
    enum Type { COUNT, NUMBER, TEXT, LIST, OBJECT, FLAG }

    /**
     * A field of the good text.
     *
     * @param path     names and indices from the root, with dots between
     * @param optional whether it may be missing or null
     * @param named    what the error calls it
     */
    record Field(String path, Type type, boolean optional, String named) {
        static Field of(String path, Type type) {
            return new Field(path, type, false, path.substring(path.lastIndexOf('.') + 1));
        }

        Field mayBeMissing() {
            return new Field(path, type, true, named);
        }

        Field called(String name) {
            return new Field(path, type, optional, name);
        }
    }

    private static final String TWICE = "\u0001"; // written \u0001; taken out of the text again
    private static final String NUMBER = "\u0002";

    private JsonFaults() {}

    /** Texts that are no JSON object at all. */
    static List<Kind> ofText(byte[] good) {
        String text = new String(good, StandardCharsets.UTF_8).strip();
        List<Kind> kinds = new ArrayList<>();
        kinds.add(new Kind("nothing", new byte[0]));
        kinds.add(new Kind("blanks", utf8(" \n\t ")));
        kinds.add(new Kind("cut in half", Arrays.copyOf(good, good.length / 2)));
        kinds.add(new Kind("no last brace", utf8(text.substring(0, text.length() - 1))));
        kinds.add(new Kind("a second value", utf8(text + " {}")));
        kinds.add(new Kind("text behind it", utf8(text + "x")));
        kinds.add(new Kind("a comma before the end", utf8(text.substring(0, text.length() - 1) + ",}")));
        kinds.add(new Kind("a byte order mark", utf8("\uFEFF" + text)));
        kinds.add(new Kind("a comment", utf8("/* */" + text)));
        kinds.add(new Kind("single quotes", utf8(text.replace('"', '\''))));
        kinds.add(new Kind("a key without quotes", utf8("{a: 1," + text.substring(1))));
        kinds.add(new Kind("NaN", utf8("{\"a\": NaN," + text.substring(1))));
        kinds.add(new Kind("a number beyond double", utf8("{\"a\": 1e999," + text.substring(1))));
        kinds.add(new Kind("an integer beyond double", utf8("{\"a\": 1" + "0".repeat(400) + "," + text.substring(1)), "at byte 6"));
        kinds.add(new Kind("an integer without end", utf8("{\"a\": " + "1".repeat(1_000_000) + "," + text.substring(1)), "at byte 6"));
        kinds.add(new Kind("a leading zero", utf8("{\"a\": 007," + text.substring(1))));
        kinds.add(new Kind("half a surrogate", utf8("{\"a\": \"\\ud800\"," + text.substring(1))));
        kinds.add(new Kind("a control character", utf8("{\"a\": \"\u0001\"," + text.substring(1))));
        kinds.add(new Kind("an unknown escape", utf8("{\"a\": \"\\q\"," + text.substring(1))));
        kinds.add(new Kind("a string without an end", utf8("{\"a\": \"" + text.substring(1).replace("\"", ""))));
        kinds.add(new Kind("lists without end", utf8("{\"a\": " + "[".repeat(500_000))));
        kinds.add(new Kind("objects without end", utf8("{\"a\": ".repeat(100_000))));
        kinds.add(new Kind("nested too deep", utf8("{\"a\": " + "[".repeat(70) + "]".repeat(70) + "," + text.substring(1))));
        kinds.add(new Kind("no UTF-8", latin1("{\"\u00e9\": 1," + text.substring(1))));
        kinds.add(new Kind("UTF-16", text.getBytes(StandardCharsets.UTF_16LE)));
        kinds.add(new Kind("a list", utf8("[" + text + "]")));
        kinds.add(new Kind("a string", utf8("\"" + "x".repeat(100) + "\"")));
        kinds.add(new Kind("a number", utf8("7")));
        kinds.add(new Kind("null", utf8("null")));
        kinds.add(new Kind("zeros", new byte[good.length]));
        return kinds;
    }

    /** The good text with one field broken, for each field and each way. */
    static List<Kind> ofFields(byte[] good, List<Field> fields) throws JsonException {
        List<Kind> kinds = new ArrayList<>();
        for (Field field : fields) {
            if (!field.optional) {
                kinds.add(with(good, field, "missing", null, field.named));
                kinds.add(with(good, field, "null", Json.parse(utf8("null")), field.named));
            }
            for (Map.Entry<String, Object> wrong : wrong(field.type).entrySet()) {
                kinds.add(with(good, field, wrong.getKey(), wrong.getValue(), field.named));
            }
            kinds.add(with(good, field, "twice", TWICE, field.path.substring(field.path.lastIndexOf('.') + 1)));
        }
        return kinds;
    }

    private static Map<String, Object> wrong(Type type) {
        Map<String, Object> values = new HashMap<>();
        values.put("a string", "many");
        values.put("a number", 7.5);
        values.put("true", true);
        values.put("a list", List.of());
        values.put("an object", Map.of());
        switch (type) {
            case COUNT -> {
                values.put("negative", -1);
                values.put("the largest", Long.MAX_VALUE);
                values.put("the smallest", Long.MIN_VALUE);
                values.put("too large", NUMBER + "1e300");
                values.put("beyond 64 bits", NUMBER + "18446744073709551616");
            }
            case NUMBER -> values.remove("a number");
            case TEXT -> values.remove("a string");
            case LIST -> values.remove("a list");
            case OBJECT -> values.remove("an object");
            case FLAG -> values.remove("true");
        }
        return values;
    }

    /** The good text with another value at the field's place; null takes the field out. */
    private static Kind with(byte[] good, Field field, String how, Object value, String... parts) throws JsonException {
        Object root = Json.parse(good);
        Object parent = root;
        String[] path = field.path.split("\\.");
        for (int i = 0; i < path.length - 1; i++) {
            parent = parent instanceof List<?> list ? list.get(Integer.parseInt(path[i])) : ((Map<?, ?>) parent).get(path[i]);
        }
        Map<String, Object> fields = Json.asObject(parent, field.path);
        String key = path[path.length - 1];
        if (!fields.containsKey(key)) {
            throw new AssertionError(field.path + ": the good file has no such field");
        }
        if ("missing".equals(how)) {
            fields.remove(key);
        } else if ("twice".equals(how)) {
            fields.put(key + TWICE, fields.get(key));
        } else {
            fields.put(key, value);
        }
        String text = Json.write(root).replace("\\u0001", "").replaceAll("\"\\\\u0002([^\"]*)\"", "$1");
        return new Kind(field.path + " " + how, utf8(text), parts);
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] latin1(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    static byte[] concat(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }
}
