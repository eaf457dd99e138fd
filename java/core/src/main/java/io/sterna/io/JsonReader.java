package io.sterna.io;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Strict JSON (RFC 8259) over UTF-8 bytes. Reusable, so that a reader of many small texts makes little
 * garbage. Not thread-safe.
 */
public final class JsonReader {
    /** What the values of a text may take in memory beside its own length. */
    private static final long ROOM = 48L << 20;
    // Bytes that values take, with what refers to them; a string also takes its own, and none when it was met before.
    private static final int SCALAR_BYTES = 32;
    private static final int STRING_BYTES = 72;
    private static final int LIST_BYTES = 48;
    private static final int OBJECT_BYTES = 144;
    private static final int FIELD_BYTES = 56;
    private static final int REFERENCE_BYTES = 8;
    /** A double has 767 significant digits, behind 323 zeros, at most. */
    private static final int LONGEST_NUMBER = 2000;

    /** How the fault of an escaped surrogate without its partner begins. */
    public static final String LONE_SURROGATE = "escaped surrogate without its partner";

    private final boolean replacing;
    private byte[] json = {};
    private long room;
    private int at;
    private int end;
    private int base; // offsets of faults count from here
    private SharedStrings strings; // those of the text so far
    private byte[] text = new byte[256]; // the string read last, unescaped
    private int textLength;
    private byte[] field = new byte[256]; // the string kept by readStringField
    private int fieldLength;

    /** Refuses all that is no JSON of Unicode text. */
    public JsonReader() {
        this(false);
    }

    /** @param replacing whether an escaped surrogate without its partner becomes U+FFFD; else it is a fault */
    public JsonReader(boolean replacing) {
        this.replacing = replacing;
    }

    /**
     * The one JSON value in {@code [from, to)}: Map (in order), List, String, Long, Double, Boolean or null. A text
     * whose values would take more memory than its length and 48 MiB, as one of countless empty lists, is a fault.
     *
     * @throws JsonException on any fault, with its offset from {@code from}
     */
    public Object read(byte[] utf8, int from, int to) throws JsonException {
        begin(utf8, from, to);
        int bad = Utf8.invalidAt(utf8, from, to);
        if (bad >= 0) {
            throw fault("invalid UTF-8 in JSON", bad);
        }
        room = to - from + ROOM;
        strings = new SharedStrings();
        Object value = value(0);
        finish();
        strings = null;
        return value;
    }

    /**
     * Reads the JSON object in {@code [from, to)}, which must be valid UTF-8, and keeps its string field
     * {@code name} for {@link #field} and {@link #fieldLength}; other fields are checked and dropped. There alone
     * NaN, Infinity and numbers beyond a double are numbers: Python's json writes them.
     *
     * @param name UTF-8 bytes of the field's name
     * @return whether the object has that field
     * @throws JsonException on any fault, with its offset from {@code from}
     */
    public boolean readStringField(byte[] utf8, int from, int to, byte[] name) throws JsonException {
        begin(utf8, from, to);
        boolean found = false;
        expect('{');
        boolean more = next() != '}';
        while (more) {
            next();
            int keyAt = at;
            string();
            boolean wanted = Arrays.equals(text, 0, textLength, name, 0, name.length);
            if (wanted && found) {
                throw fault("field \"" + new String(name, StandardCharsets.UTF_8) + "\" given twice", keyAt);
            }
            expect(':');
            if (wanted) {
                keepString(name);
                found = true;
            } else {
                skip(1);
            }
            more = comma('}');
        }
        expect('}');
        finish();
        return found;
    }

    private void keepString(byte[] name) throws JsonException {
        if (next() != '"') {
            throw fault("field \"" + new String(name, StandardCharsets.UTF_8) + "\" is not a string", at);
        }
        string();
        byte[] kept = text;
        text = field;
        field = kept;
        fieldLength = textLength;
    }

    /** The buffer whose first {@link #fieldLength} bytes are the field's string; valid until the next read. */
    public byte[] field() {
        return field;
    }

    /** Bytes of the field found last. */
    public int fieldLength() {
        return fieldLength;
    }

    private void begin(byte[] utf8, int from, int to) {
        json = utf8;
        base = from;
        at = from;
        end = to;
    }

    private JsonException fault(String message, int where) {
        return new JsonException(message, where - base);
    }

    private Object value(int depth) throws JsonException {
        deeper(depth);
        return switch (next()) {
            case '{' -> object(depth);
            case '[' -> array(depth);
            case '"' -> {
                string();
                yield text();
            }
            case 't' -> literal("true", Boolean.TRUE);
            case 'f' -> literal("false", Boolean.FALSE);
            case 'n' -> literal("null", null);
            default -> {
                take(SCALAR_BYTES);
                yield number();
            }
        };
    }

    /** The string read last. */
    private String text() throws JsonException {
        take(REFERENCE_BYTES);
        String known = strings.find(text, textLength);
        if (known != null) {
            return known;
        }
        take(STRING_BYTES + textLength);
        return strings.add(text, textLength);
    }

    private void take(int bytes) throws JsonException {
        room -= bytes;
        if (room < 0) {
            throw fault("JSON of too many small values", at);
        }
    }

    private Map<String, Object> object(int depth) throws JsonException {
        take(OBJECT_BYTES);
        Map<String, Object> object = new LinkedHashMap<>();
        expect('{');
        boolean more = next() != '}';
        while (more) {
            next();
            int keyAt = at;
            string();
            take(FIELD_BYTES);
            String key = text();
            expect(':');
            Object value = value(depth + 1);
            if (object.containsKey(key)) {
                throw fault("field " + Json.brief(key) + " given twice", keyAt);
            }
            object.put(key, value);
            more = comma('}');
        }
        expect('}');
        return object;
    }

    private List<Object> array(int depth) throws JsonException {
        take(LIST_BYTES);
        ArrayList<Object> array = new ArrayList<>();
        expect('[');
        boolean more = next() != ']';
        while (more) {
            array.add(value(depth + 1));
            more = comma(']');
        }
        expect(']');
        array.trimToSize();
        return array;
    }

    /** Checks a value and drops it. */
    private void skip(int depth) throws JsonException {
        deeper(depth);
        switch (next()) {
            case '{', '[' -> {
                boolean isObject = json[at] == '{';
                char close = isObject ? '}' : ']';
                at++;
                boolean more = next() != close;
                while (more) {
                    if (isObject) {
                        string();
                        expect(':');
                    }
                    skip(depth + 1);
                    more = comma(close);
                }
                expect(close);
            }
            case '"' -> string();
            case 't' -> literal("true", null);
            case 'f' -> literal("false", null);
            case 'n' -> literal("null", null);
            case 'N' -> literal("NaN", null);
            case 'I' -> literal("Infinity", null);
            default -> {
                if (json[at] == '-' && at + 1 < end && json[at + 1] == 'I') {
                    literal("-Infinity", null);
                } else {
                    skipNumber();
                }
            }
        }
    }

    private void deeper(int depth) throws JsonException {
        if (depth > Json.MAX_DEPTH) {
            throw fault("JSON nested deeper than " + Json.MAX_DEPTH, at);
        }
    }

    private Object literal(String word, Object value) throws JsonException {
        for (int i = 0; i < word.length(); i++) {
            if (at + i >= end || json[at + i] != word.charAt(i)) {
                throw fault("expected " + word, at);
            }
        }
        at += word.length();
        return value;
    }

    private Object number() throws JsonException {
        int start = at;
        boolean whole = skipNumber();
        if (at - start > LONGEST_NUMBER) {
            throw fault("number of more than " + LONGEST_NUMBER + " characters", start);
        }
        String digits = new String(json, start, at - start, StandardCharsets.US_ASCII);
        if (whole && digits.length() <= 18) {
            return Long.valueOf(digits);
        }
        return wide(digits, whole, start);
    }

    private Object wide(String digits, boolean whole, int start) throws JsonException {
        if (whole) {
            try {
                return Long.valueOf(digits);
            } catch (NumberFormatException e) {
                // beyond 64 bits: a double, if it is one
            }
        }
        double value = Double.parseDouble(digits);
        if (Double.isInfinite(value)) {
            throw fault("number beyond the range of a double", start);
        }
        return value;
    }

    /** Checks a number, and says whether it is written as an integer. */
    private boolean skipNumber() throws JsonException {
        int start = at;
        if (at < end && json[at] == '-') {
            at++;
        }
        int firstDigit = at;
        int integerDigits = digits();
        if (integerDigits > 1 && json[firstDigit] == '0') {
            throw fault("number with a leading zero", start);
        }
        boolean whole = true;
        if (at < end && json[at] == '.') {
            whole = false;
            at++;
            digits();
        }
        if (at < end && (json[at] | 0x20) == 'e') {
            whole = false;
            at++;
            if (at < end && (json[at] == '+' || json[at] == '-')) {
                at++;
            }
            digits();
        }
        return whole;
    }

    private int digits() throws JsonException {
        int start = at;
        while (at < end && json[at] >= '0' && json[at] <= '9') {
            at++;
        }
        if (at == start) {
            throw fault(at == end ? "JSON ends early" : "expected a value", at);
        }
        return at - start;
    }

    /** Reads a string and leaves its unescaped bytes in text[0, textLength). */
    private void string() throws JsonException {
        expect('"');
        int n = 0;
        while (true) {
            int run = at;
            while (at < end && json[at] != '"' && json[at] != '\\' && (json[at] < 0 || json[at] >= 0x20)) {
                at++;
            }
            reserve(n + at - run + 4);
            System.arraycopy(json, run, text, n, at - run);
            n += at - run;
            if (at == end) {
                throw fault("string without an end", at);
            }
            switch (json[at]) {
                case '"' -> {
                    at++;
                    textLength = n;
                    return;
                }
                case '\\' -> n = escape(n);
                default -> throw fault("control character in a string", at);
            }
        }
    }

    private int escape(int n) throws JsonException {
        if (at + 1 >= end) {
            throw fault("string without an end", at);
        }
        int c = json[at + 1];
        int plain = "\"\\/bfnrt".indexOf(c);
        if (c == 'u') {
            return Utf8.put(unicodeEscape(), text, n);
        }
        if (plain < 0) {
            throw fault("unknown escape in a string", at);
        }
        text[n] = (byte) "\"\\/\b\f\n\r\t".charAt(plain);
        at += 2;
        return n + 1;
    }

    private int unicodeEscape() throws JsonException {
        int start = at;
        int unit = hex4();
        if (!Character.isSurrogate((char) unit)) {
            return unit;
        }
        int after = at;
        if (Character.isHighSurrogate((char) unit) && at + 1 < end && json[at] == '\\' && json[at + 1] == 'u') {
            int low = hex4();
            if (Character.isLowSurrogate((char) low)) {
                return Character.toCodePoint((char) unit, (char) low);
            }
        }
        if (!replacing) {
            throw fault(LONE_SURROGATE, start);
        }
        at = after;
        return 0xFFFD;
    }

    private int hex4() throws JsonException {
        int value = 0;
        for (int i = 2; i < 6; i++) {
            int digit = at + i < end ? Character.digit(json[at + i], 16) : -1;
            if (digit < 0) {
                throw fault("\\u without four hex digits", at);
            }
            value = value << 4 | digit;
        }
        at += 6;
        return value;
    }

    private void reserve(int size) {
        if (text.length < size) {
            text = Arrays.copyOf(text, Math.max(size, text.length * 2));
        }
    }

    /** Whether a comma follows; otherwise the closing character must. */
    private boolean comma(char close) throws JsonException {
        int c = next();
        if (c == ',') {
            at++;
            return true;
        }
        if (c != close) {
            throw fault("expected ',' or '" + close + "'", at);
        }
        return false;
    }

    private void expect(char c) throws JsonException {
        if (next() != c) {
            throw fault("expected '" + c + "'", at);
        }
        at++;
    }

    /** The next byte that is no white space, not consumed. */
    private int next() throws JsonException {
        while (at < end && (json[at] == ' ' || json[at] == '\n' || json[at] == '\r' || json[at] == '\t')) {
            at++;
        }
        if (at == end) {
            throw fault("JSON ends early", at);
        }
        return json[at];
    }

    private void finish() throws JsonException {
        while (at < end && (json[at] == ' ' || json[at] == '\n' || json[at] == '\r' || json[at] == '\t')) {
            at++;
        }
        if (at < end) {
            throw fault("text after the JSON value", at);
        }
    }
}
