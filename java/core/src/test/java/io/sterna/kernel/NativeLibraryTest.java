package io.sterna.kernel;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.sterna.kernel.ffm.sterna_h;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where the library comes from and what is said when it does not come: each case in a JVM of its own. */
class NativeLibraryTest {
    private static final int LOADED = 0;
    private static final int REFUSED = 3;
    private static final String CLASS_PATH = System.getProperty("java.class.path");

    @TempDir
    private Path temp;

    private Path cache;
    private final List<String> prefix = new ArrayList<>();
    private final List<String> options = new ArrayList<>(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));

    /** What a JVM printed and how it ended. */
    private record Ended(int exit, String output) {
        void expect(int exit, String... parts) {
            assertEquals(exit, this.exit, output);
            for (String part : parts) {
                assertTrue(output.contains(part), "'" + part + "' is missing in: " + output);
            }
        }
    }

    @BeforeEach
    void makeFolders() throws IOException {
        cache = Files.createDirectory(temp.resolve("cache"));
    }

    // --- the cache

    @Test
    void unpacksIntoAFolderNamedAfterTheContent() throws Exception {
        run().expect(LOADED, "unnamed module", cached().toString());
        assertEquals(packedHash(), cached().getParent().getFileName().toString());
        assertEquals(packedHash(), LibraryCache.sha256(cached().toUri().toURL()));
    }

    @Test
    void replacesACorruptFile() throws Exception {
        run().expect(LOADED);
        Files.writeString(cached(), "not a library");
        run().expect(LOADED, cached().toString());
        assertEquals(packedHash(), LibraryCache.sha256(cached().toUri().toURL()));
    }

    @Test
    void processesMayFillOneCacheAtTheSameTime() throws Exception {
        List<Process> running = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            running.add(start(Map.of(), "-cp", CLASS_PATH, LoadProbe.class.getName(), "sterna"));
        }
        for (Process process : running) {
            end(process).expect(LOADED, cached().toString());
        }
        try (Stream<Path> files = Files.list(cached().getParent())) {
            assertEquals(List.of(cached()), files.toList(), "parts were left behind");
        }
    }

    @Test
    void fallsBackToTheTemporaryFolder() throws Exception {
        cache = Files.writeString(temp.resolve("file"), "");
        run().expect(LOADED, temp + "/sterna-");
    }

    /** As of a server that starts without a locale, for a user whose name is not ASCII. */
    @Test
    void passesOverAFolderThatTheLocaleCannotName() throws Exception {
        assumeTrue(LibraryCache.platform().startsWith("linux") && System.getProperty("sun.jnu.encoding").equals("UTF-8"),
                "no locale here without such letters, or none with them");
        Map<String, String> c = Map.of("LC_ALL", "C", "XDG_CACHE_HOME", "");
        options.add("-Duser.home=" + temp + "/h\u00f6me");
        end(start(c, "-cp", CLASS_PATH, LoadProbe.class.getName(), "sterna")).expect(LOADED, temp + "/sterna-");
        options.add("-Djava.io.tmpdir=" + temp + "/h\u00f6me");
        end(start(c, "-cp", CLASS_PATH, LoadProbe.class.getName(), "sterna")).expect(REFUSED, "cannot load", "ANSI_X3.4-1968", "XDG_CACHE_HOME");
        options.add("-Dsterna.library.path=h\u00f6me");
        end(start(c, "-cp", CLASS_PATH, LoadProbe.class.getName(), "sterna"))
                .expect(REFUSED, "cannot load", "ANSI_X3.4-1968", "correct or unset sterna.library.path");
    }

    @Test
    void saysWhatToSetWhenNoFolderCanBeWritten() throws Exception {
        cache = Files.writeString(temp.resolve("file"), "");
        options.add("-Djava.io.tmpdir=" + cache);
        run().expect(REFUSED, LibraryCache.platform(), cache + "/sterna/" + packedHash(), "XDG_CACHE_HOME",
                "-Djava.io.tmpdir", "-Dsterna.library.path", "STERNA_LIBRARY_PATH");
    }

    @Test
    void saysWhatToSetWhenFoldersAreMountedNoexec() throws Exception {
        assumeTrue(canMount(), "this machine does not let a user mount a folder in a namespace of his own");
        options.add("-Djava.io.tmpdir=" + cache);
        prefix.addAll(withNoexec(cache));
        run().expect(REFUSED, cache.toString(), "failed to map segment", "noexec", "XDG_CACHE_HOME");
    }

    /** The start of a command line whose rest runs where a folder is mounted noexec. */
    private static List<String> withNoexec(Path folder) {
        return List.of("unshare", "--map-root-user", "--mount", "sh", "-c",
                "mount -t tmpfs -o noexec tmpfs \"$0\" && exec \"$@\"", folder.toString());
    }

    private boolean canMount() throws InterruptedException {
        List<String> command = new ArrayList<>(withNoexec(cache));
        command.add("true");
        try {
            return new ProcessBuilder(command).redirectErrorStream(true).start().waitFor() == 0;
        } catch (IOException e) {
            return false;   // no unshare on this system
        }
    }

    @Test
    void refusesATemporaryFolderThatOthersCanWrite() throws Exception {
        cache = Files.writeString(temp.resolve("file"), "");
        Path shared = Files.createDirectory(temp.resolve("sterna-" + System.getProperty("user.name")));
        Files.setPosixFilePermissions(shared, PosixFilePermissions.fromString("rwxrwxrwx"));
        run().expect(REFUSED, "other users may write to " + shared);
    }

    // --- the override

    @Test
    void takesTheFileOrFolderThatIsNamed() throws Exception {
        run().expect(LOADED);
        Path own = Files.copy(cached(), temp.resolve(cached().getFileName()));
        assertAll(
                () -> withProperty(own).expect(LOADED, own.toString()),
                () -> withProperty(temp).expect(LOADED, own.toString()),
                () -> withVariable(own).expect(LOADED, own.toString()),
                () -> withVariable(temp).expect(LOADED, own.toString()));
    }

    @Test
    void thePropertyGoesBeforeTheVariable() throws Exception {
        run().expect(LOADED);
        options.add("-Dsterna.library.path=" + cached());
        withVariable(temp.resolve("absent")).expect(LOADED, cached().toString());
    }

    @Test
    void aNamedFileThatIsAbsentIsAnErrorAndNotAReasonToLookElsewhere() throws Exception {
        Path absent = temp.resolve("absent.so");
        withProperty(absent).expect(REFUSED, LibraryCache.platform(), absent.toString(), "unset sterna.library.path");
        withVariable(absent).expect(REFUSED, LibraryCache.platform(), absent.toString(), "unset STERNA_LIBRARY_PATH");
    }

    @Test
    void aNamedFileMustBeALibrary() throws Exception {
        Path text = Files.writeString(temp.resolve("text.so"), "not a library");
        Ended ended = withProperty(text);
        ended.expect(REFUSED, text.toString(), "unset sterna.library.path");
        assertFalse(ended.output.contains(text + ": " + text), ended.output);
    }

    @Test
    void aNamedLibraryMustBeSternas() throws Exception {
        Path other = compile("int something_else(void) { return 1; }");
        withProperty(other).expect(REFUSED, LibraryCache.platform(), other.toString(), "no Sterna library", "correct or unset sterna.library.path");
    }

    @Test
    void aNamedLibraryMustHaveTheAbiVersion() throws Exception {
        Path old = compile("int sterna_abi_version(void) { return 9999; }");
        withProperty(old).expect(REFUSED, old.toString(), "ABI version 9999");
    }

    @Test
    void aNamedLibraryMustHaveEveryKernel() throws Exception {
        Path part = compile("int sterna_abi_version(void) { return " + sterna_h.STERNA_ABI_VERSION() + "; }");
        Ended ended = end(start(Map.of(), "-Dsterna.library.path=" + part, "-cp", CLASS_PATH, LoadProbe.class.getName(), "tier"));
        ended.expect(REFUSED, "cannot load", part + " has no sterna_best_tier; use the library of the same release");
    }

    /** A server may mend what is missing and try again, so no use may leave a broken class behind. */
    @Test
    void everyUseSaysAgainWhatIsMissing() throws Exception {
        cache = Files.writeString(temp.resolve("file"), "");
        options.add("-Djava.io.tmpdir=" + cache);
        Ended ended = end(start(Map.of(), "-cp", CLASS_PATH, LoadProbe.class.getName(), "tier", "tier", "blas", "blas"));
        ended.expect(REFUSED);
        assertEquals(4, ended.output.lines().filter(line -> line.startsWith("cannot load")).count(), ended.output);
    }

    // --- the tier

    @Test
    void theVariableLowersTheTierAndNeverRaisesIt() throws Exception {
        withTier("reference").expect(LOADED, "tier reference");
        withTier("amx").expect(LOADED, "tier " + Tier.granted());
        withTier("").expect(LOADED, "tier " + Tier.granted());
        withTier("avx1024").expect(1, "STERNA_TIER: tier \"avx1024\": expected one of reference, avx2,");
    }

    // --- ways to run

    @Test
    void loadsOnTheModulePath() throws Exception {
        // OpenBLAS's own descriptor asks for JavaCPP, so its jar stays on the class path.
        end(start(Map.of(), "--module-path", onClassPath("classes"), "--class-path", onClassPath("openblas.*jar"),
                "--patch-module", "io.sterna=" + onClassPath("test-classes"),
                "--illegal-native-access=deny", "--enable-native-access=io.sterna",
                "--module", "io.sterna/" + LoadProbe.class.getName(), "sterna", "openblas"))
                .expect(LOADED, "module io.sterna", "libsterna", "libopenblas");
    }

    /** The class path's one entry whose file name matches. */
    private static String onClassPath(String pattern) {
        return Arrays.stream(CLASS_PATH.split(File.pathSeparator))
                .filter(entry -> Path.of(entry).getFileName().toString().matches(pattern)).findFirst().orElseThrow();
    }

    @Test
    void saysWhichOptionIsMissingWhenNativeAccessIsDenied() throws Exception {
        options.add("--illegal-native-access=deny");
        Ended ended = end(start(Map.of(), "-cp", CLASS_PATH, LoadProbe.class.getName(), "slices", "kernels", "sterna", "openblas", "adamw",
                "sgd", "adafactor", "attention", "heap"));
        ended.expect(REFUSED);
        assertEquals(9, ended.output.lines().filter(line -> line.endsWith("start it with --enable-native-access=ALL-UNNAMED")).count(), ended.output);
    }

    @Test
    void twoClassLoadersLoadItAtOnce() throws Exception {
        URL[] path = Arrays.stream(CLASS_PATH.split(File.pathSeparator)).map(NativeLibraryTest::url).toArray(URL[]::new);
        try (URLClassLoader one = new URLClassLoader(path, null); URLClassLoader two = new URLClassLoader(path, null)) {
            Class<?> first = one.loadClass(NativeLibrary.class.getName());
            Class<?> second = two.loadClass(NativeLibrary.class.getName());
            assertNotSame(first, second);
            assertEquals(first.getMethod("load").invoke(null), second.getMethod("load").invoke(null));
            assertEquals(abiVersion(one), abiVersion(two));
        }
    }

    private static Object abiVersion(ClassLoader loader) throws ReflectiveOperationException {
        Method call = loader.loadClass("io.sterna.kernel.ffm.sterna_h").getMethod("sterna_abi_version");
        return call.invoke(null);
    }

    // --- help

    private Ended run() throws Exception {
        return end(start(Map.of(), "-cp", CLASS_PATH, LoadProbe.class.getName(), "sterna"));
    }

    private Ended withProperty(Path path) throws Exception {
        return end(start(Map.of(), "-Dsterna.library.path=" + path, "-cp", CLASS_PATH, LoadProbe.class.getName(), "sterna"));
    }

    private Ended withVariable(Path path) throws Exception {
        return end(start(Map.of("STERNA_LIBRARY_PATH", path.toString()), "-cp", CLASS_PATH, LoadProbe.class.getName(), "sterna"));
    }

    private Ended withTier(String name) throws Exception {
        return end(start(Map.of(Tier.VARIABLE, name), "-cp", CLASS_PATH, LoadProbe.class.getName(), "tier"));
    }

    private Process start(Map<String, String> environment, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(prefix);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        if (options.stream().noneMatch(o -> o.startsWith("-Djava.io.tmpdir"))) {
            command.add("-Djava.io.tmpdir=" + temp);
        }
        command.addAll(options);
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().remove("STERNA_LIBRARY_PATH");
        builder.environment().put("XDG_CACHE_HOME", cache.toString());
        builder.environment().putAll(environment);
        return builder.start();
    }

    private static Ended end(Process process) throws Exception {
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Ended(process.waitFor(), output);
    }

    private Path cached() {
        return cache.resolve("sterna").resolve(packedHash()).resolve(System.mapLibraryName("sterna"));
    }

    private static String packedHash() {
        String resource = "/io/sterna/native/" + LibraryCache.platform() + "/" + System.mapLibraryName("sterna");
        try {
            return LibraryCache.sha256(NativeLibrary.class.getResource(resource));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private Path compile(String source) throws Exception {
        Path file = Files.writeString(temp.resolve("other.c"), source);
        Path library = temp.resolve("libother.so");
        Process cc = new ProcessBuilder("cc", "-shared", "-fPIC", "-o", library.toString(), file.toString()).inheritIO().start();
        assertEquals(0, cc.waitFor());
        return library;
    }

    private static URL url(String path) {
        try {
            return Path.of(path).toUri().toURL();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
