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
    // Bytes that these take, as JVMs with heaps up to 32 GB keep them. A string takes its characters too, and nothing when it
    // was met before.
    private static final int NUMBER_BYTES = 24;
    private static final int STRING_BYTES = 48;
    private static final int EMPTY_LIST_BYTES = 24;
    private static final int LIST_BYTES = 48;
    private static final int OBJECT_BYTES = 144;
    // A place in a list or an object, while that grows into a larger array; and how much less once it has grown.
    private static final int ITEM_BYTES = 12;
    private static final int ITEM_GROWTH = 8;
    private static final int FIELD_BYTES = 56;
    private static final int FIELD_GROWTH = 5;
    /** What a character in UTF-8 takes while a string beyond ASCII is made, for each of its bytes. */
    private static final int DECODING_BYTES = 3;
    /** Up to this a buffer may be larger than it must, so that strings need not be measured, and rarely a new buffer. */
    private static final int SMALL_BUFFER = 1 << 20;
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
    private byte[] text; // holds the string read last: the JSON itself, or the buffer
    private int textFrom;
    private int textLength;
    private byte[] buffer = new byte[256]; // for strings with escapes
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
     * whose values would take more memory than its length and 48 MiB, as one of countless empty lists, is a fault. What
     * reading takes meanwhile counts too, but for up to 6 MiB in which strings are found again.
     *
     * @throws JsonException on any fault, with its offset from {@code from}
     */
    public Object read(byte[] utf8, int from, int to) throws JsonException {
        begin(utf8, from, to);
        int bad = Utf8.invalidAt(utf8, from, to);
        if (bad >= 0) {
            throw fault("invalid UTF-8 in JSON", bad);
        }
        room = to - from + ROOM - buffer.length;
        strings = new SharedStrings();
        Object value = value(0);
        finish();
        strings = null;
        return value;
    }

    /** Bytes of memory that the values read last could have taken more, of their text's length and 48 MiB. */
    public long room() {
        return room;
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
        room = Long.MAX_VALUE;
        boolean found = false;
        expect('{');
        boolean more = next() != '}';
        while (more) {
            next();
            int keyAt = at;
            string();
            boolean wanted = Arrays.equals(text, textFrom, textFrom + textLength, name, 0, name.length);
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
        fieldLength = textLength;
        if (text == buffer) {
            buffer = field;
            field = text;
            return;
        }
        if (field.length < textLength) {
            field = new byte[grown(field, textLength)];
        }
        System.arraycopy(text, textFrom, field, 0, textLength);
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
                take(NUMBER_BYTES);
                yield number();
            }
        };
    }

    /** The string read last. */
    private String text() throws JsonException {
        String known = strings.find(text, textFrom, textLength);
        if (known != null) {
            return known;
        }
        take(STRING_BYTES + Utf8.stringBytes(text, textFrom, textFrom + textLength));
        long decoding = Utf8.isAscii(text, textFrom, textFrom + textLength) ? 0 : (long) DECODING_BYTES * textLength;
        take(decoding);
        String made = strings.add(text, textFrom, textLength);
        room += decoding;
        return made;
    }

    private void take(long bytes) throws JsonException {
        room -= bytes;
        if (room < 0) {
            throw fault("JSON whose values would take too much memory", at);
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
        room += (long) FIELD_GROWTH * object.size();
        return object;
    }

    private List<Object> array(int depth) throws JsonException {
        expect('[');
        boolean more = next() != ']';
        take(more ? LIST_BYTES : EMPTY_LIST_BYTES);
        ArrayList<Object> array = new ArrayList<>(2); // most are pairs: merges, shapes, offsets
        while (more) {
            take(ITEM_BYTES);
            array.add(value(depth + 1));
            more = comma(']');
        }
        expect(']');
        array.trimToSize();
        room += (long) ITEM_GROWTH * array.size();
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

    /** Reads a string and leaves its unescaped bytes in text[textFrom, textFrom + textLength). */
    private void string() throws JsonException {
        expect('"');
        text = json;
        textFrom = at;
        skipPlain();
        textLength = at - textFrom;
        if (json[at] == '\\') {
            unescape();
        }
        at++;
    }

    /** Goes to the next quote or backslash. */
    private void skipPlain() throws JsonException {
        while (at < end && json[at] != '"' && json[at] != '\\' && (json[at] < 0 || json[at] >= 0x20)) {
            at++;
        }
        if (at == end) {
            throw fault("string without an end", at);
        }
        if (json[at] != '"' && json[at] != '\\') {
            throw fault("control character in a string", at);
        }
    }

    /** Goes on with a string from its first backslash to its end, in the buffer. */
    private void unescape() throws JsonException {
        reserve(escapedLength());
        System.arraycopy(json, textFrom, buffer, 0, textLength);
        int n = textLength;
        while (json[at] != '"') {
            n = escape(n);
            int run = at;
            skipPlain();
            System.arraycopy(json, run, buffer, n, at - run);
            n += at - run;
        }
        text = buffer;
        textFrom = 0;
        textLength = n;
    }

    /** Bytes of the string as it is written, or a few more; without its escapes it has no more. */
    private int escapedLength() {
        if (end - textFrom <= SMALL_BUFFER) {
            return end - textFrom;
        }
        int i = at;
        while (i < end && json[i] != '"') {
            i += json[i] == '\\' ? 2 : 1;
        }
        return Math.min(i, end) - textFrom;
    }

    private int escape(int n) throws JsonException {
        if (at + 1 >= end) {
            throw fault("string without an end", at);
        }
        int c = json[at + 1];
        int plain = "\"\\/bfnrt".indexOf(c);
        if (c == 'u') {
            return Utf8.put(unicodeEscape(), buffer, n);
        }
        if (plain < 0) {
            throw fault("unknown escape in a string", at);
        }
        buffer[n] = (byte) "\"\\/\b\f\n\r\t".charAt(plain);
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

    private void reserve(int size) throws JsonException {
        if (buffer.length < size) {
            int larger = grown(buffer, size);
            take(larger - buffer.length);
            buffer = null; // before the larger one is made
            buffer = new byte[larger];
        }
    }

    private static int grown(byte[] buffer, int size) {
        return Math.max(size, Math.min(2 * buffer.length, SMALL_BUFFER));
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
