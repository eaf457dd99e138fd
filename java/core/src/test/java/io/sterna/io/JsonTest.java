package io.sterna.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    private static Object parse(String text) throws JsonException {
        return Json.parse(text.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void readsEveryKindOfValue() throws JsonException {
        Map<String, Object> expected = new LinkedHashMap<>();
        expected.put("s", "a\"\\/\b\f\n\r\té€😀\u0000");
        expected.put("i", -12L);
        expected.put("d", -1.5e-3);
        expected.put("big", 1e20);
        expected.put("l", Arrays.asList(true, false, null, List.of(), Map.of()));
        assertEquals(expected, parse("""
                { "s": "a\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9€\\uD83D\\uDE00\\u0000", "i": -12, "d": -1.5E-3,
                  "big": 100000000000000000000, "l": [true,false,null,[],{}] }
                """));
    }

    @Test
    void writesWhatItReads() throws JsonException {
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("text", "\u0001\u007f \"quoted\" \\ \n\r\t é 😀");
        value.put("numbers", List.of(0L, -1L, Long.MIN_VALUE, 0.1, 1e300));
        value.put("empty", List.of(Map.of(), List.of()));
        value.put("none", null);
        assertEquals(value, parse(Json.write(value)));
        assertEquals(value, parse(Json.writePretty(value)));
        assertEquals("{\"a\":[0.1,1]}", Json.write(Map.of("a", List.of(0.1f, 1))));
    }

    @Test
    void writesNoNumberThatJsonLacks() {
        assertThrows(IllegalArgumentException.class, () -> Json.write(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> Json.write(Float.POSITIVE_INFINITY));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '#', quoteCharacter = '~', value = {
        "~~ # 0", "~ ~ # 1", "{ # 1", "[1,] # 3", "[1 2] # 3", "{\"a\":1,} # 7", "{\"a\" 1} # 5", "{a:1} # 1",
        "\"abc # 4", "\"a\\x\" # 2", "\"\\u12G4\" # 1", "\"\\ud800\" # 1", "\"\\udc00\\ud800\" # 1", "01 # 0",
        "- # 1", "1. # 2", "1e # 2", ".5 # 0", "+1 # 0", "tru # 0", "nul # 0", "1 2 # 2", "1e999 # 0",
        "{\"a\":1,\"a\":2} # 7", "[NaN] # 1", "'a' # 0", "[1]] # 3"
    })
    void refusesMalformedTextAtItsOffset(String text, long offset) {
        JsonException e = assertThrows(JsonException.class, () -> parse(text));
        assertEquals(offset, e.offset(), e.getMessage());
    }

    /** What a double holds is read, however it is written; no field holds more. */
    @Test
    void integersBeyondADoubleAreRefusedAtTheirOffset() throws JsonException {
        assertEquals(List.of(Long.MIN_VALUE, Long.MAX_VALUE, 0x1p63), parse("[-9223372036854775808,9223372036854775807,9223372036854775808]"));
        assertEquals(1e308, parse("1" + "0".repeat(308)));
        assertEquals(1e-300, parse("0." + "0".repeat(299) + "1" + "0".repeat(1000)));
        for (String beyond : List.of("1" + "0".repeat(309), "-" + "9".repeat(309), "7".repeat(1_000_000), "1e400")) {
            JsonException e = assertThrows(JsonException.class, () -> parse("{\"a\":[1,%s]}".formatted(beyond)));
            assertEquals(8, e.offset(), e.getMessage());
            assertTrue(e.getMessage().startsWith("number ") && e.getMessage().length() < 100, e.getMessage());
        }
        assertEquals(0, assertThrows(JsonException.class, () -> parse("0." + "1".repeat(3000))).offset());
    }

    @Test
    void refusesInvalidUtf8AndRawControlCharacters() {
        byte[] invalid = {'"', 'a', (byte) 0xC0, (byte) 0x80, '"'};
        assertEquals(2, assertThrows(JsonException.class, () -> Json.parse(invalid)).offset());
        assertThrows(JsonException.class, () -> parse("\"a\nb\""));
    }

    @Test
    void refusesDeepNestingWithoutOverflowingTheStack() throws JsonException {
        String allowed = "[".repeat(Json.MAX_DEPTH) + "]".repeat(Json.MAX_DEPTH);
        parse(allowed);
        assertThrows(JsonException.class, () -> parse("[".repeat(1_000_000)));
        byte[] deepField = ("{\"x\":" + "[".repeat(1_000_000)).getBytes(StandardCharsets.UTF_8);
        byte[] name = {'t'};
        assertThrows(JsonException.class, () -> new JsonReader().readStringField(deepField, 0, deepField.length, name));
    }

    @Test
    void everyTruncationIsAnErrorAndNothingElse() throws JsonException {
        byte[] whole = "{\"a\":[1.5e3,\"\\u00e9\\n\",true,null],\"b\":{\"c\":-0}}".getBytes(StandardCharsets.UTF_8);
        Json.parse(whole);
        for (int n = 0; n < whole.length; n++) {
            byte[] part = Arrays.copyOf(whole, n);
            assertThrows(JsonException.class, () -> Json.parse(part));
        }
    }

    @Test
    void findsAStringFieldAmongOthers() throws JsonException {
        byte[] json = "xx{\"a\":[{\"text\":\"no\"}],\"text\":\"y\\u00e9s\",\"z\":1}yy".getBytes(StandardCharsets.UTF_8);
        JsonReader reader = new JsonReader();
        assertTrue(reader.readStringField(json, 2, json.length - 2, "text".getBytes(StandardCharsets.UTF_8)));
        assertEquals("yés", new String(reader.field(), 0, reader.fieldLength(), StandardCharsets.UTF_8));
        assertFalse(reader.readStringField(json, 2, json.length - 2, "body".getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void stringsOfAllLengthsAreUnescaped() throws JsonException {
        for (int length : new int[] {0, 1, 255, 256, 300_000, 1 << 20, 3_000_000}) {
            String plain = "x".repeat(length);
            for (String text : List.of(plain, plain + "\n", "\t" + plain, plain + "\u00e9\"\u2581\\" + plain + "\ud83d\ude00")) {
                Map<String, Object> value = Json.ordered("a", text, text + "b", "\n", "c", List.of(text, plain));
                assertEquals(value, parse(Json.write(value)));
                assertEquals(value, parse(Json.write(value).replace("\u2581", "\\u2581").replace("\ud83d\ude00", "\\ud83d\\ude00")));
            }
        }
    }

    @Test
    void aReaderReadsOneLineAfterTheOther() throws JsonException {
        JsonReader reader = new JsonReader();
        for (String text : List.of("plain", "with\nescape", "p", "\"" + "long".repeat(100_000), "plain " + "long ".repeat(300_000), "", "\t", "end")) {
            byte[] line = ("  " + Json.write(Json.ordered("b", "\n" + text, "t", text, "c", text))).getBytes(StandardCharsets.UTF_8);
            assertTrue(reader.readStringField(line, 2, line.length, new byte[] {'t'}));
            Arrays.fill(line, (byte) 0);
            assertEquals(text, new String(reader.field(), 0, reader.fieldLength(), StandardCharsets.UTF_8));
        }
    }

    /** As Python writes them, where nobody reads them. */
    @Test
    void fieldsThatAreDroppedMayHoldWhatIsNoNumber() throws JsonException {
        byte[] json = ("{\"a\":NaN,\"b\":[Infinity,-Infinity,-1," + "9".repeat(5000) + ",1e999],\"t\":\"yes\",\"c\":{\"d\":NaN}}").getBytes(StandardCharsets.UTF_8);
        JsonReader reader = new JsonReader();
        assertTrue(reader.readStringField(json, 0, json.length, new byte[] {'t'}));
        assertEquals("yes", new String(reader.field(), 0, reader.fieldLength(), StandardCharsets.UTF_8));
        assertThrows(JsonException.class, () -> reader.read(json, 0, json.length));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{\"t\":NaN}", "{\"u\":Nan}", "{\"u\":-Inf}", "{\"u\":NaNs}",
        "{\"t\":1}", "{\"t\":\"a\",\"t\":\"b\"}", "[\"t\"]", "{\"t\":\"a\"} x", "{\"u\":tru}", "{\"t\":\"a\""
    })
    void refusesALineWithoutOneStringField(String line) {
        byte[] json = line.getBytes(StandardCharsets.UTF_8);
        byte[] name = {'t'};
        assertThrows(JsonException.class, () -> new JsonReader().readStringField(json, 0, json.length, name));
    }

    @Test
    void namesTheFieldThatIsMissingOrOfAnotherType(@TempDir Path folder) throws Exception {
        Path file = Files.writeString(folder.resolve("x.json"), "{\"n\": \"12\"}");
        Map<String, Object> object = Json.readObject(file, 100);
        assertEquals("field \"n\" is not an integer but \"12\"",
                assertThrows(JsonException.class, () -> Json.integer(object, "n")).getMessage());
        assertEquals("field \"m\" is missing",
                assertThrows(JsonException.class, () -> Json.string(object, "m")).getMessage());
        assertTrue(assertThrows(JsonException.class, () -> Json.readObject(file, 5)).getMessage().contains("11 bytes"));
    }

    @Test
    void valuesAreCutInErrors() {
        assertEquals("\"" + "x".repeat(59) + "...", Json.brief("x".repeat(100_000_000)));
        assertEquals("\"\\n\"", Json.brief("\n"));
        assertEquals("[1,null,\"a\"]", Json.brief(Arrays.asList(1, null, "a")));
        assertEquals("a list of 1", Json.brief(List.of(List.of(1, 2))));
        assertEquals("a list of 9", Json.brief(List.of(1, 2, 3, 4, 5, 6, 7, 8, 9)));
        assertEquals("an object of 0", Json.brief(Map.of()));
        assertTrue(Json.brief(List.of("y".repeat(1000), "z")).length() < 70);
    }

    @Test
    void memoryOfATextIsBounded() {
        byte[] lists = ("[" + "[],".repeat(2_000_000) + "[]]").getBytes(StandardCharsets.UTF_8);
        assertTrue(assertThrows(JsonException.class, () -> Json.parse(lists)).getMessage().contains("would take too much memory"));
    }

    /** A tokenizer as large as Llama 3's: its merges repeat the strings of its vocabulary. */
    @Test
    void stringsThatRepeatAreHeldOnce() throws JsonException {
        StringBuilder json = new StringBuilder("{\"vocab\":{\"t0\":0");
        for (int i = 1; i < 128_000; i++) {
            json.append(",\"t").append(i).append("\":").append(i);
        }
        json.append("},\"merges\":[[\"t0\",\"t1\"]");
        for (int i = 1; i < 280_000; i++) {
            json.append(",[\"t").append(i % 128_000).append("\",\"t").append(i * 7L % 128_000).append("\"]");
        }
        java.util.Map<?, ?> root = (java.util.Map<?, ?>) Json.parse(json.append("]}").toString().getBytes(StandardCharsets.UTF_8));
        java.util.List<?> merges = (java.util.List<?>) root.get("merges");
        assertEquals(280_000, merges.size());
        assertEquals(java.util.List.of("t5", "t35"), merges.get(5));
        assertTrue(((java.util.List<?>) merges.get(5)).getFirst() == ((java.util.List<?>) merges.get(128_005)).getFirst());
    }
}
