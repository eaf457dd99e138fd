package io.sterna.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class GgufTest {
    @TempDir
    private Path folder;

    // Blocks

    /** Bytes that ggml's reference gives for x[i] = ((37 i) mod 64 - 31) / 8, and 0.75 times ternary codes. */
    @ParameterizedTest
    @CsvSource({
        "Q8_0,  08288518ad40d467fc9124b94be073089d30c457ec7f14a93cd063f88d20b547dc6f",
        "Q4_0,  00b8cf379d047be248bf269df36ad148ae15",
        "TQ1_0, 465dd11874465dd11874465dd11874465dd11874465dd11874465dd11874465d3192b622663192b622663192b6226631235fcb43003a",
        "TQ2_0, 58811660055881166005588116600558811660055881166005588116600558816005588116600558811660055881166005588116600558811660055881166005003a"
    })
    void blocksHaveTheBytesOfTheReference(GgufType type, String hex) {
        float[] x = type.ternary() ? trits(0.75f) : new float[32];
        for (int i = 0; i < x.length && !type.ternary(); i++) {
            x[i] = (i * 37 % 64 - 31) / 8f;
        }
        assertEquals(hex, HexFormat.of().formatHex(encode(type, x)));
        float[] back = decode(type, encode(type, x));
        float step = type == GgufType.Q4_0 ? 0.5f : 0.04f;
        for (int i = 0; i < x.length; i++) {
            assertEquals(x[i], back[i], type.ternary() ? 0 : step, "weight " + i);
        }
        assertEquals(hex, HexFormat.of().formatHex(encode(type, back)), "what was read is written as it was");
    }

    @ParameterizedTest
    @CsvSource({"F16, 662e00beff7b0200f7010080", "BF16, cd3dc0bf8047d733fc370080"})
    void narrowFloatsAreRoundedToNearest(GgufType type, String hex) {
        float[] x = {0.1f, -1.5f, 65504, 1e-7f, 3.0000001e-5f, -0f};
        assertEquals(hex, HexFormat.of().formatHex(encode(type, x)));
    }

    @Test
    void halvesAreRoundedAwayFromZeroInQ8() {
        float[] x = new float[32];
        x[0] = 127; // a scale of 1
        x[1] = 2.5f;
        x[2] = -2.5f;
        x[3] = 0.49999997f;
        float[] back = decode(GgufType.Q8_0, encode(GgufType.Q8_0, x));
        assertArrayEquals(new float[] {127, 3, -3, 0}, Arrays.copyOf(back, 4));
        assertArrayEquals(new byte[34], encode(GgufType.Q8_0, new float[32]), "all zeros have the scale 0");
    }

    @Test
    void whatATypeDoesNotHoldIsRefused() {
        float[] odd = trits(0.75f);
        odd[255] = 0.5f;
        for (GgufType type : new GgufType[] {GgufType.TQ1_0, GgufType.TQ2_0}) {
            assertRefused(type, odd, "weight 0.5 is none of the ternary");
            assertRefused(type, trits(1e-9f), "is 0 in half precision");
            assertRefused(type, trits(1e6f), "beyond half precision");
        }
        assertRefused(GgufType.F16, new float[] {65520}, "beyond half precision");
        assertRefused(GgufType.BF16, new float[] {Float.MAX_VALUE}, "beyond bf16");
        assertRefused(GgufType.BF16, new float[] {Float.NaN}, "beyond bf16");
        float[] nan = new float[32];
        nan[7] = Float.NaN;
        assertRefused(GgufType.Q8_0, nan, "not finite");
        assertRefused(GgufType.Q4_0, nan, "not finite");
        byte[] three = new byte[66];
        three[9] = (byte) 0xc0;
        assertTrue(assertThrows(IllegalArgumentException.class, () -> decode(GgufType.TQ2_0, three)).getMessage().contains("code 3"));
        assertTrue(assertThrows(IllegalArgumentException.class, () -> GgufType.parse("q5_0")).getMessage().contains("expected one of f32, f16"));
    }

    private static float[] trits(float scale) {
        float[] x = new float[256];
        for (int i = 0; i < x.length; i++) {
            x[i] = ((i * 7 + i / 5) % 3 - 1) * scale;
        }
        return x;
    }

    private static byte[] encode(GgufType type, float[] x) {
        ByteBuffer bytes = ByteBuffer.allocate((int) type.bytes(x.length)).order(ByteOrder.LITTLE_ENDIAN);
        type.encode(x, x.length, bytes);
        assertFalse(bytes.hasRemaining());
        return bytes.array();
    }

    private static float[] decode(GgufType type, byte[] bytes) {
        float[] x = new float[bytes.length / type.blockBytes() * type.block()];
        type.decode(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN), x, x.length);
        return x;
    }

    private static void assertRefused(GgufType type, float[] x, String part) {
        String message = assertThrows(IllegalArgumentException.class, () -> encode(type, x)).getMessage();
        assertTrue(message.contains(part), message);
    }

    // Whole files

    @Test
    void whatIsWrittenIsRead() throws IOException {
        Path file = folder.resolve("a.gguf");
        GgufMetadata metadata = new GgufMetadata().string("text", "tern \u00e9").u32("n", 7).f32("x", 1e-5f).bool("yes", true)
                .strings("words", List.of("a", "", "\u0120b")).i32s("types", 1, -2, 3);
        ByteBuffer weights = ByteBuffer.wrap(encode(GgufType.F32, new float[] {1, 2, 3, 4, 5, 6}));
        try (GgufWriter writer = new GgufWriter(file, metadata, List.of(new GgufWriter.Entry("m", GgufType.F32, List.of(2L, 3L)),
                new GgufWriter.Entry("v", GgufType.Q8_0, List.of(32L))))) {
            writer.write(weights.duplicate().limit(8));
            writer.write(weights.duplicate().position(8));
            assertThrows(IllegalStateException.class, writer::commit);
            writer.write(ByteBuffer.allocate(34));
            assertFalse(Files.exists(file), "not there before it is whole");
            writer.commit();
        }
        assertEquals(0, Files.size(file) % GgufWriter.ALIGNMENT);
        try (GgufReader reader = new GgufReader(file)) {
            assertEquals("tern \u00e9", reader.string("text"));
            assertEquals(7, reader.integer("n"));
            assertEquals(1e-5, reader.number("x"), "the decimal that was meant");
            assertEquals(List.of("a", "", "\u0120b"), reader.strings("words"));
            assertArrayEquals(new int[] {1, -2, 3}, reader.i32s("types"));
            assertEquals(true, reader.metadata().get("yes"));
            assertMessage("key none is missing", () -> reader.string("none"));
            assertMessage("key n: 7 is not a text", () -> reader.string("n"));
            assertMessage("key words: an array of type 8", () -> reader.i32s("words"));
            assertEquals(List.of(2L, 3L), reader.tensors().get("m").shape());
            float[] x = new float[3];
            reader.read(reader.tensors().get("m"), 3, 3, x);
            assertArrayEquals(new float[] {4, 5, 6}, x);
            assertThrows(IllegalArgumentException.class, () -> reader.read(reader.tensors().get("m"), 4, 3, x));
            assertThrows(IllegalArgumentException.class, () -> reader.read(reader.tensors().get("v"), 1, 31, new float[32]));
        }
    }

    @Test
    void whatIsNotCommittedIsNotThere() throws IOException {
        try (GgufWriter writer = new GgufWriter(folder.resolve("a.gguf"), new GgufMetadata(), List.of())) {
            assertThrows(IllegalStateException.class, () -> writer.write(ByteBuffer.allocate(1)));
        }
        try (var files = Files.list(folder)) {
            assertEquals(0, files.count());
        }
        assertThrows(IllegalArgumentException.class, () -> new GgufWriter.Entry("t", GgufType.Q4_0, List.of(2L, 33L)));
        assertThrows(IllegalArgumentException.class, () -> new GgufWriter.Entry("t".repeat(64), GgufType.F32, List.of(1L)));
        assertThrows(IllegalArgumentException.class, () -> new GgufMetadata().u32("a", 1).bool("a", true));
    }

    @Test
    void aFileOfTheSpecificationIsRead() throws IOException {
        for (int version : new int[] {2, 3}) {
            try (GgufReader reader = new GgufReader(file(new Sample().set("version", ints(version)).bytes()))) {
                Map<String, Object> metadata = reader.metadata();
                assertEquals("tern", metadata.get("a.text"));
                assertEquals(true, metadata.get("a.flag"));
                assertArrayEquals(new int[] {1, 2, -3}, reader.i32s("a.nums"));
                assertEquals(List.of("x", "yz"), reader.strings("a.words"));
                assertEquals(List.of(255L, -1L, 65535L, -1L, 4294967295L, -1L, 1.5f, new BigInteger("18446744073709551615"), -1L, 2.5),
                        IntStream.of(0, 1, 2, 3, 4, 5, 6, 10, 11, 12).mapToObj(type -> metadata.get("type." + type)).toList());
                float[] x = new float[6];
                reader.read(reader.tensors().get("x"), 0, 6, x);
                assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, x);
                float[] q = new float[32];
                reader.read(reader.tensors().get("q"), 0, 32, q);
                assertEquals(-2, q[0]);
                assertEquals(List.of(1L, 32L), reader.tensors().get("q").shape());
            }
        }
    }

    // Damaged files

    /** A field of the sample, by the name it has there, replaced by another value of its width. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "magic             | 1179993926           | magic 46554746",
        "magic             | 0                    | magic 00000000",
        "version           | 0                    | version 0",
        "version           | 1                    | version 1; expected 2 or 3",
        "version           | 4                    | version 4",
        "version           | -1                   | version 4294967295",
        "version           | 50331648             | big-endian",
        "tensors           | -1                   | tensors: 18446744073709551615",
        "tensors           | 65537                | tensors: 65537",
        "tensors           | 9223372036854775807  | tensors: 9223372036854775807",
        "tensors           | 1                    | the file at",
        "tensors           | 0                    | the file at",
        "tensors           | 3                    | tensor 2",
        "keys              | -1                   | keys: 18446744073709551615",
        "keys              | 65537                | keys: 65537",
        "keys              | 9223372036854775807  | keys: 9223372036854775807",
        "keys              | 0                    | tensor",
        "keys              | 17                   | ",
        "alignment.length  | -1                   | key 0: text of 18446744073709551615",
        "alignment.length  | 0                    | key 0: has no name",
        "alignment.length  | 65536                | key 0: text of 65536",
        "alignment.length  | 9223372036854775807  | key 0: text of 9223372036854775807",
        "alignment.type    | 13                   | key general.alignment: value type 13",
        "alignment.type    | -1                   | value type 4294967295",
        "alignment.type    | 6                    | is not an integer",
        "alignment.value   | 0                    | key general.alignment: 0 is no power of two",
        "alignment.value   | 3                    | 3 is no power",
        "alignment.value   | 4                    | 4 is no power",
        "alignment.value   | 48                   | 48 is no power",
        "alignment.value   | 2097152              | 2097152 is no power",
        "alignment.value   | -1                   | 4294967295 is no power",
        "alignment.value   | 64                   | tensor q: offset 32, expected 64",
        "text.bytes        | -1                   | key a.text: text of 18446744073709551615",
        "text.bytes        | 1048577              | key a.text: text of 1048577",
        "text.bytes        | 4611686018427387904  | key a.text: text of 4611686018427387904",
        "flag              | 2                    | key a.flag: truth value 2",
        "flag              | -1                   | key a.flag: truth value 255",
        "nums.element      | 13                   | key a.nums: array of type 13",
        "nums.element      | -1                   | key a.nums: array of type 4294967295",
        "nums.count        | -1                   | key a.nums: values: 18446744073709551615",
        "nums.count        | 4611686018427387904  | key a.nums: values: 4611686018427387904",
        "nums.count        | 1000000              | key a.nums: values: 1000000",
        "words.count       | -1                   | key a.words: values: 18446744073709551615",
        "words.count       | 10000                | key a.words: values: 10000",
        "words.0.bytes     | -1                   | key a.words: text of 18446744073709551615",
        "words.0.bytes     | 1073741824           | key a.words: text of 1073741824",
        "nest.0.element    | 99                   | key a.nest: array of type 99",
        "nest.0.count      | 1152921504606846976  | key a.nest: values: 1152921504606846976",
        "x.length          | 0                    | tensor 0: has no name",
        "x.length          | 64                   | tensor 0: name: text of 64",
        "x.length          | -1                   | tensor 0: name: text of 18446744073709551615",
        "x.dimensions      | 0                    | tensor x: dimensions 0",
        "x.dimensions      | 5                    | tensor x: dimensions 5",
        "x.dimensions      | -1                   | tensor x: dimensions 4294967295",
        "x.0               | 0                    | tensor x: dimension 0 of 0",
        "x.0               | -1                   | tensor x: dimension 0 of 18446744073709551615",
        "x.0               | 9223372036854775807  | tensor x: dimension 0 of 9223372036854775807",
        "x.1               | 1152921504606846975  | tensor x: dimension 1 of 1152921504606846975",
        "x.1               | 1000000              | tensor x: f32 [1000000, 3] needs 12000000 bytes",
        "x.1               | 3                    | tensor q: offset 32, expected 64",
        "x.type            | 2                    | tensor x: rows of 3 are not whole blocks of 32",
        "x.type            | 3                    | tensor x: rows of 3 are not whole blocks of 32",
        "x.type            | 14                   | tensor x: rows of 3 are not whole blocks of 256",
        "x.type            | 16                   | tensor x: type iq2_xxs; expected one of f32, f16, q4_0",
        "x.type            | 4                    | tensor x: type 4; expected one of",
        "x.type            | 26                   | tensor x: type i32; expected one of",
        "x.type            | -1                   | tensor x: type 4294967295; expected one of",
        "x.offset          | 32                   | tensor x: offset 32, expected 0",
        "x.offset          | -32                  | tensor x: offset 18446744073709551584, expected 0",
        "q.offset          | 0                    | tensor q: offset 0, expected 32",
        "q.offset          | 33                   | tensor q: offset 33, expected 32",
        "q.offset          | 9223372036854775776  | tensor q: offset 9223372036854775776",
        "q.0               | 31                   | tensor q: rows of 31",
        "q.0               | 64                   | needs 68 bytes, the file has 64 left",
        "q.name            | 120                  | tensor x: is there twice",
        "flag.name         | a.text               | key a.text: is there twice"})
    void damagedFieldsAreNamed(String field, String value, String message) throws IOException {
        Sample sample = new Sample();
        byte[] old = sample.fields.get(field);
        byte[] bytes = switch (old.length) {
            case 1 -> new byte[] {Byte.parseByte(value)};
            case Integer.BYTES -> ints(Integer.parseInt(value));
            case Long.BYTES -> longs(Long.parseLong(value));
            default -> value.getBytes(StandardCharsets.UTF_8);
        };
        assertEquals(old.length, bytes.length);
        assertFault(sample.set(field, bytes).bytes(), message == null ? "" : message);
    }

    @ParameterizedTest
    @EnumSource
    void blocksBeyondTheirRowOrTheFileAreNamed(GgufType type) throws IOException {
        Sample sample = new Sample().set("q.type", ints(type.code()));
        for (int cols : new int[] {type.block() - 1, type.block() + 1, 3 * type.block() / 2}) {
            if (cols % type.block() != 0) {
                assertFault(sample.set("q.0", longs(cols)).bytes(), "tensor q: rows of " + cols + " are not whole blocks of " + type.block());
            }
        }
        long blocks = 64 / type.blockBytes() + 1;
        sample.set("q.0", longs(blocks * type.block()));
        assertFault(sample.bytes(), "tensor q: " + type + " [1, " + blocks * type.block() + "] needs " + blocks * type.blockBytes()
                + " bytes, the file has 64 left");
        long rows = Long.MAX_VALUE / 8 / type.block();
        sample.set("q.0", longs(type.block())).set("q.1", longs(rows));
        assertFault(sample.bytes(), " needs " + BigInteger.valueOf(rows).multiply(BigInteger.valueOf(type.blockBytes())) + " bytes");
        assertFault(sample.set("q.1", longs(rows + 1)).bytes(), "tensor q: dimension 1 of " + (rows + 1));
        byte[] block = new byte[type.blockBytes()];
        Arrays.fill(block, (byte) -1); // no scale is a number, no code of TQ2_0 a trit
        sample.set("q.0", longs(type.block())).set("q.1", longs(1)).set("q.data", block);
        sample.set("end", new byte[(32 - block.length % 32) % 32]);
        assertFault(sample.bytes(), type == GgufType.TQ2_0 ? "tensor q: code 3" : "tensor q: weight 0 is NaN", "q");
        assertFault(sample.set("end", new byte[0]).set("q.data", Arrays.copyOf(block, block.length - 1)).bytes(), "needs " + block.length + " bytes");
    }

    @Test
    void filesCutShortAreNamed() throws IOException {
        Sample sample = new Sample();
        byte[] whole = sample.bytes();
        int at = 0;
        int kinds = 0;
        for (Map.Entry<String, byte[]> field : sample.fields.entrySet()) {
            for (int cut : new int[] {at, at + field.getValue().length / 2}) {
                if (!field.getKey().equals("end")) {
                    assertFault(Arrays.copyOf(whole, cut), "");
                    kinds++;
                }
            }
            at += field.getValue().length;
        }
        assertTrue(kinds > 100, "kinds " + kinds);
    }

    @Test
    void otherDamagesAreNamed() throws IOException {
        assertFault(new byte[0], "size 0");
        assertFault(new Sample().set("alignment.name", "general.alignmen\u00ff".getBytes(StandardCharsets.ISO_8859_1)).bytes(), "is not UTF-8");
        assertFault(new Sample().set("text", new byte[] {'t', (byte) 0xc0, (byte) 0x80, 'n'}).bytes(), "key a.text: text at");
        assertFault(new Sample().set("words.1", new byte[] {(byte) 0xff, 'z'}).bytes(), "key a.words: text at", "a.words");
        assertFault(new Sample().set("end", new byte[31]).bytes(), "the file at");
        assertFault(deep(5), "arrays lie more than 4 deep");
        assertFault(deep(100_000), "arrays lie more than 4 deep");
        new GgufReader(file(deep(4))).close();
        assertFault(new Sample().set("x.data", floats(1, 2, 3, 4, Float.NaN, 6)).bytes(), "tensor x: weight 4 is NaN", "x");
        assertFault(new Sample().set("x.data", floats(1, 2, 3, 4, 5, Float.NEGATIVE_INFINITY)).bytes(), "weight 5 is -Infinity", "x");
        byte[] infinite = new byte[34];
        infinite[1] = 0x7c;
        infinite[2] = 1;
        assertFault(new Sample().set("q.data", infinite).bytes(), "tensor q: weight 0 is Infinity", "q");
    }

    /** A key whose value is an array of arrays and so on. */
    private static byte[] deep(int depth) {
        ByteBuffer bytes = ByteBuffer.allocate(24 + 8 + 1 + 4 + 12 * depth + 32).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putInt(GgufWriter.MAGIC).putInt(3).putLong(0).putLong(1).putLong(1).put((byte) 'k').putInt(9);
        for (int i = 1; i < depth; i++) {
            bytes.putInt(9).putLong(1);
        }
        bytes.putInt(4).putLong(0);
        int size = Math.toIntExact(GgufWriter.aligned(bytes.position()));
        return Arrays.copyOf(bytes.array(), size);
    }

    /** Opens the file, and reads the tensors or texts named {@code read}. */
    private void assertFault(byte[] bytes, String part, String... read) throws IOException {
        Path file = file(bytes);
        String message = assertThrows(GgufException.class, () -> {
            try (GgufReader reader = new GgufReader(file)) {
                for (String name : read) {
                    GgufReader.Tensor tensor = reader.tensors().get(name);
                    if (tensor == null) {
                        reader.strings(name);
                    } else {
                        reader.read(tensor, 0, (int) tensor.size(), new float[(int) tensor.size()]);
                    }
                }
            }
        }, part).getMessage();
        assertTrue(message.startsWith(file + ": ") && message.contains(part) && message.contains("; "), message);
    }

    private static void assertMessage(String part, Executable body) {
        String message = assertThrows(GgufException.class, body).getMessage();
        assertTrue(message.contains(part), message);
    }

    private Path file(byte[] bytes) throws IOException {
        return Files.write(folder.resolve("file.gguf"), bytes);
    }

    private static byte[] ints(int... values) {
        ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(values);
        return bytes.array();
    }

    private static byte[] longs(long... values) {
        ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asLongBuffer().put(values);
        return bytes.array();
    }

    private static byte[] floats(float... values) {
        return encode(GgufType.F32, values);
    }

    /** A file written after the specification, field by field. */
    private static final class Sample {
        private final Map<String, byte[]> fields = new LinkedHashMap<>();

        Sample() {
            set("magic", "GGUF".getBytes(StandardCharsets.US_ASCII)).set("version", ints(3));
            set("tensors", longs(2)).set("keys", longs(16));
            key("alignment", "general.alignment", 4).set("alignment.value", ints(32));
            key("text", "a.text", 8).set("text.bytes", longs(4)).text("text", "tern");
            key("flag", "a.flag", 7).set("flag", new byte[] {1});
            array("nums", "a.nums", 5, 3).set("nums.values", ints(1, 2, -3));
            array("words", "a.words", 8, 2);
            set("words.0.bytes", longs(1)).text("words.0", "x").set("words.1.bytes", longs(2)).text("words.1", "yz");
            array("nest", "a.nest", 9, 2);
            set("nest.0.element", ints(0)).set("nest.0.count", longs(1)).set("nest.0", new byte[] {1});
            set("nest.1.element", ints(3)).set("nest.1.count", longs(2)).set("nest.1", ints(7));
            for (int type : new int[] {0, 1, 2, 3, 4, 5, 6, 10, 11, 12}) {
                key("type." + type, "type." + type, type).set("type." + type, scalar(type));
            }
            tensor("x", 0, 0, 3, 2);
            tensor("q", 8, 32, 32, 1);
            set("padding", new byte[(32 - bytes().length % 32) % 32]);
            set("x.data", floats(1, 2, 3, 4, 5, 6)).set("x.padding", new byte[8]);
            byte[] block = new byte[34];
            block[1] = 0x40; // a scale of 2
            block[2] = -1;
            set("q.data", block).set("end", new byte[30]);
        }

        private static byte[] scalar(int type) {
            return switch (type) {
                case 0, 1 -> new byte[] {-1};
                case 2, 3 -> new byte[] {-1, -1};
                case 6 -> floats(1.5f);
                case 12 -> longs(Double.doubleToLongBits(2.5));
                default -> type < 10 ? ints(-1) : longs(-1);
            };
        }

        private Sample key(String field, String name, int type) {
            return set(field + ".length", longs(name.length())).text(field + ".name", name).set(field + ".type", ints(type));
        }

        private Sample array(String field, String name, int type, long count) {
            return key(field, name, 9).set(field + ".element", ints(type)).set(field + ".count", longs(count));
        }

        private void tensor(String name, int type, long offset, long... shape) {
            set(name + ".length", longs(name.length())).text(name + ".name", name).set(name + ".dimensions", ints(shape.length));
            for (int i = 0; i < shape.length; i++) {
                set(name + "." + i, longs(shape[i]));
            }
            set(name + ".type", ints(type)).set(name + ".offset", longs(offset));
        }

        private Sample text(String field, String text) {
            return set(field, text.getBytes(StandardCharsets.UTF_8));
        }

        Sample set(String field, byte[] bytes) {
            fields.put(field, bytes);
            return this;
        }

        byte[] bytes() {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            fields.values().forEach(out::writeBytes);
            return out.toByteArray();
        }
    }
}
