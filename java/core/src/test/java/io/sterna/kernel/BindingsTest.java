package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.kernel.CHeader.Function;
import io.sterna.kernel.CHeader.Variable;
import io.sterna.kernel.ffm.cblas_h;
import io.sterna.kernel.ffm.sterna_h;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The generated bindings say what the headers say: names, parameters, layouts, offsets and values. */
class BindingsTest {
    private static final Path MODULE = Path.of(System.getProperty("basedir", ""));
    private static final Path BINDINGS = MODULE.resolve("src/main/java/io/sterna/kernel/ffm");
    private static final String DESCRIPTOR = "$descriptor";

    private final String text = read(MODULE.resolve("../../native/include/sterna.h"));
    private final CHeader header = CHeader.parse(text);

    @Test
    void prototypesAndStructsReadAlike() {
        assertEquals(sorted(header.functions()), sorted(bound().functions()));
        assertEquals(sorted(header.structs()), sorted(bound().structs()));
        assertTrue(header.functions().size() > 20 && header.structs().size() > 5, "the header was not read");
    }

    @Test
    void descriptorsFollowThePrototypes() {
        assertEquals(layouts(header), descriptors(sterna_h.class));
    }

    @Test
    void constantsHaveTheHeadersValues() {
        assertEquals(sorted(header.constants()), constants(sterna_h.class, "STERNA_"));
        assertTrue(header.constants().containsKey("STERNA_ABI_VERSION"), "the header was not read");
    }

    @Test
    void structsHaveTheHeadersOffsets() {
        header.structs().forEach((name, fields) -> assertEquals(place(fields), place(structLayout(name)), name));
    }

    @Test
    void cblasBindingsFollowTheHeaderInTheOpenBlasJar() throws IOException {
        Map<String, String> descriptors = descriptors(cblas_h.class);
        CHeader cblas = CHeader.parse(excerpt(cblasHeader(), descriptors.keySet()));
        assertEquals(layouts(cblas), descriptors);
        constants(cblas_h.class, "Cblas").forEach((name, value) -> assertEquals(cblas.constants().get(name), value, name));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "int64_t blocks                 | int32_t blocks",
        "const uint32_t *counter        | uint32_t *counter",
        "uint64_t sterna_key(           | uint32_t sterna_key(",
        "uint32_t tensor, uint64_t step | uint64_t step, uint32_t tensor",
        "sterna_philox(                 | sterna_philox4(",
        "int64_t rows, cols;            | int64_t cols, rows;",
        "int32_t grid;                  | int64_t grid;",
        "float *scales;                 | double *scales;",
        "#define STERNA_AVX2 1          | #define STERNA_AVX2 7",
        "#define STERNA_AVX2 1          | #define STERNA_SSE 1",
    })
    void anAlteredHeaderIsNoticed(String from, String to) {
        assertTrue(text.contains(from), "sterna.h no longer has '" + from + "'");
        CHeader altered = CHeader.parse(text.replace(from, to));
        assertNotEquals(
                List.of(sorted(header.functions()), sorted(header.structs()), sorted(header.constants())),
                List.of(sorted(altered.functions()), sorted(altered.structs()), sorted(altered.constants())));
    }

    @Test
    void theParserRefusesWhatItCannotRead() {
        assertThrows(IllegalArgumentException.class, () -> CHeader.parse("int (*callback)(int);"));
        assertThrows(IllegalArgumentException.class, () -> CHeader.parse("struct s { int a[3]; };"));
        assertThrows(IllegalArgumentException.class, () -> CHeader.parse("#define X (1 + Y)"));
        assertThrows(IllegalArgumentException.class, () -> CHeader.parse("extern int global;"));
    }

    @Test
    void offsetsFollowTheRulesOfC() {
        CHeader parsed = CHeader.parse("typedef struct s { int8_t a; int64_t b; int32_t c, d; int8_t *e; int8_t f; } s;");
        assertEquals("a@0:byte b@8:long c@16:int d@20:int e@24:address f@32:byte size=40 align=8",
                place(parsed.structs().get("s")));
    }

    // --- what the bindings say

    /** jextract quotes each declaration in the documentation of what it made of it. */
    private static CHeader bound() {
        String declarations = matches(read(BINDINGS.resolve("sterna_h.java")),
                "Function descriptor for:\\s*\\{@snippet lang=c :(.*?)\\n\\s*\\}")
                .map(m -> m.group(1) + ";").collect(Collectors.joining("\n"));
        String structs = structNames().stream()
                .flatMap(name -> matches(read(BINDINGS.resolve(name + ".java")),
                        "\\{@snippet lang=c :\\s*(struct \\w+ \\{.*?\\n\\s*\\})").limit(1))
                .map(m -> m.group(1) + ";").collect(Collectors.joining("\n"));
        return CHeader.parse(declarations + "\n" + structs);
    }

    private static Stream<MatchResult> matches(String source, String pattern) {
        String withoutStars = source.replaceAll("(?m)^\\s*\\* ?", "");
        return Pattern.compile(pattern, Pattern.DOTALL).matcher(withoutStars).results();
    }

    private static List<String> structNames() {
        try (Stream<Path> files = Files.list(BINDINGS)) {
            return files.map(f -> f.getFileName().toString())
                    .filter(f -> f.startsWith("sterna_") && !f.startsWith("sterna_h"))
                    .map(f -> f.replace(".java", "")).sorted().toList();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static Map<String, String> descriptors(Class<?> bindings) {
        Map<String, String> descriptors = new TreeMap<>();
        for (Method method : bindings.getMethods()) {
            if (method.getName().endsWith(DESCRIPTOR)) {
                FunctionDescriptor descriptor = (FunctionDescriptor) call(method);
                String result = descriptor.returnLayout().map(BindingsTest::kind).orElse("void");
                descriptors.put(method.getName().replace(DESCRIPTOR, ""),
                        result + descriptor.argumentLayouts().stream().map(BindingsTest::kind).toList());
            }
        }
        return descriptors;
    }

    private static Map<String, Long> constants(Class<?> bindings, String prefix) {
        return Arrays.stream(bindings.getMethods())
                .filter(m -> m.getName().startsWith(prefix) && Modifier.isStatic(m.getModifiers()))
                .collect(Collectors.toMap(Method::getName, m -> ((Number) call(m)).longValue(), (a, b) -> a, TreeMap::new));
    }

    private static GroupLayout structLayout(String name) {
        try {
            return (GroupLayout) call(Class.forName("io.sterna.kernel.ffm." + name).getMethod("layout"));
        } catch (ReflectiveOperationException e) {
            throw new AssertionError("no binding of struct " + name, e);
        }
    }

    private static Object call(Method method) {
        try {
            return method.invoke(null);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(method + " failed", e);
        }
    }

    private static String place(GroupLayout struct) {
        List<String> places = new ArrayList<>();
        for (MemoryLayout member : struct.memberLayouts()) {
            if (!(member instanceof PaddingLayout)) {
                String name = member.name().orElseThrow();
                places.add(name + "@" + struct.byteOffset(PathElement.groupElement(name)) + ":" + kind(member));
            }
        }
        return String.join(" ", places) + " size=" + struct.byteSize() + " align=" + struct.byteAlignment();
    }

    private static String kind(MemoryLayout layout) {
        return layout instanceof AddressLayout ? "address" : ((ValueLayout) layout).carrier().getName();
    }

    // --- what the header says

    private static Map<String, String> layouts(CHeader header) {
        Map<String, String> layouts = new TreeMap<>();
        header.functions().forEach((name, f) -> layouts.put(name,
                result(f) + f.parameters().stream().map(p -> kind(layout(p.type()))).toList()));
        return layouts;
    }

    private static String result(Function function) {
        return function.result().equals("void") ? "void" : kind(layout(function.result()));
    }

    private static String place(List<Variable> fields) {
        List<String> places = new ArrayList<>();
        long offset = 0;
        long align = 1;
        for (Variable field : fields) {
            ValueLayout layout = layout(field.type());
            offset = roundUp(offset, layout.byteAlignment());
            places.add(field.name() + "@" + offset + ":" + kind(layout));
            offset += layout.byteSize();
            align = Math.max(align, layout.byteAlignment());
        }
        return String.join(" ", places) + " size=" + roundUp(offset, align) + " align=" + align;
    }

    private static long roundUp(long offset, long align) {
        return (offset + align - 1) / align * align;
    }

    private static ValueLayout layout(String type) {
        return type.endsWith("*") ? ValueLayout.ADDRESS : switch (type.replace("const ", "")) {
            case "int8_t", "uint8_t" -> ValueLayout.JAVA_BYTE;
            case "int16_t", "uint16_t" -> ValueLayout.JAVA_SHORT;
            case "int32_t", "uint32_t", "int", "CBLAS_ORDER", "CBLAS_TRANSPOSE" -> ValueLayout.JAVA_INT;
            case "int64_t", "uint64_t" -> ValueLayout.JAVA_LONG;
            case "float" -> ValueLayout.JAVA_FLOAT;
            case "double" -> ValueLayout.JAVA_DOUBLE;
            default -> throw new AssertionError("no layout known for " + type);
        };
    }

    private static String cblasHeader() throws IOException {
        String resource = "org/bytedeco/openblas/linux-x86_64/include/cblas.h";
        try (InputStream in = BindingsTest.class.getClassLoader().getResourceAsStream(resource)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** The enumerations of cblas.h and the prototypes of some functions, in plain C. */
    private static String excerpt(String cblas, Iterable<String> functions) {
        String plain = cblas.replace("OPENBLAS_CONST", "const").replace("blasint", "int");
        StringBuilder excerpt = new StringBuilder();
        Matcher enums = Pattern.compile("typedef enum \\w+\\s*\\{[^}]*\\}[^;]*;").matcher(plain);
        enums.results().forEach(m -> excerpt.append(m.group()).append('\n'));
        for (String function : functions) {
            Matcher prototype = Pattern.compile("(?m)^[\\w *]+[ *]" + function + "\\s*\\([^)]*\\);").matcher(plain);
            assertTrue(prototype.find(), "cblas.h does not declare " + function);
            excerpt.append(prototype.group()).append('\n');
            assertFalse(prototype.find(), "cblas.h declares " + function + " twice");
        }
        return excerpt.toString();
    }

    private static <T> Map<String, T> sorted(Map<String, T> map) {
        return new TreeMap<>(map);
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new AssertionError("cannot read " + file, e);
        }
    }
}
