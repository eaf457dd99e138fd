package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The launcher in a folder that is built already, with a JDK that says how it was called; it builds with programs of the test's own. */
class LauncherTest {
    private static final Path LAUNCHER = Path.of(System.getProperty("basedir", ""), "../../sterna");
    /** What the launcher itself calls where it is there, and what a test's Maven does. */
    private static final List<String> TOOLS = List.of("bash", "dirname", "find", "flock", "grep", "locale", "mkdir", "readlink", "rm",
            "sed", "sleep", "tail", "touch");
    private static final String JAVA = "#!/bin/bash\necho \"locale ${LC_ALL-none}\"\nprintf '<%s>' \"${@: -2}\"\n";

    @TempDir
    private Path folder;

    @BeforeEach
    void aBuiltFolderAndAJdk() throws IOException {
        assumeTrue(Files.isExecutable(Path.of("/bin/bash")), "no bash here");
        Files.copy(LAUNCHER, folder.resolve("sterna"));
        Files.createFile(folder.resolve("pom.xml"));
        for (String part : List.of("native", "cmake", "java/cli/target", "jdk/bin", "path")) {
            Files.createDirectories(folder.resolve(part));
        }
        Files.createFile(folder.resolve("java/cli/target/sterna-cli.jar"));
        Files.writeString(folder.resolve("jdk/release"), "JAVA_VERSION=\"25\"\n");
        script("jdk/bin/java", JAVA);
        script("jdk/bin/javac", JAVA);
    }

    /** The machine that runs this test has no locale of that name, a container none but C, POSIX and C.UTF-8. */
    @ParameterizedTest
    @CsvSource({"LC_ALL, xx_XX.UTF-8, C.UTF-8", "LC_CTYPE, xx_XX.UTF-8, C.UTF-8", "LANG, xx_XX.UTF-8, C.UTF-8", "LANG, '', C.UTF-8",
        "LC_ALL, C, C.UTF-8", "LC_ALL, POSIX, C.UTF-8", "LANG, C.UTF-8, none", "LC_CTYPE, C.UTF-8, none", "LC_ALL, C.UTF-8, C.UTF-8"})
    void whatIsNoLocaleHereBecomesUtf8(String variable, String value, String expected) throws Exception {
        assumeTrue(Files.isExecutable(Path.of("/usr/bin/locale")), "no locale here");
        String said = run(Map.of(variable, value)); // after what bash says of the locale
        assertTrue(said.endsWith("locale " + expected + "\n<generate><caf\u00e9 \u65e5\u672c>"), said);
    }

    @Test
    void anEncodingThatIsInstalledStays() throws Exception {
        script("path/locale", "#!/bin/bash\necho ISO-8859-1\n");
        String said = run(Map.of("LC_ALL", "xx_XX.ISO-8859-1"));
        assertTrue(said.contains("locale xx_XX.ISO-8859-1\n"), said);
    }

    @Test
    void withoutTheProgramThatTellsItIsUtf8() throws Exception {
        script("path/locale", "#!/bin/bash\nexit 127\n");
        String said = run(Map.of("LANG", "xx_XX.UTF-8"));
        assertTrue(said.contains("locale C.UTF-8\n"), said);
    }

    @Test
    void onlyPreparingDataIsCompiledToTheLastStage() throws Exception {
        script("jdk/bin/java", "#!/bin/bash\necho \"$@\"\n");
        assertTrue(run("./sterna generate data", Map.of()).contains(" -XX:TieredStopAtLevel=1 "));
        assertTrue(run("./sterna data prepare", Map.of()).contains(" -XX:TieredStopAtLevel=4 "));
    }

    @Test
    void aSearchPathOfCdIsNotTheFolder() throws Exception {
        Files.createDirectories(folder.resolve("elsewhere/nested"));
        Files.createDirectory(folder.resolve("nested"));
        Files.createSymbolicLink(folder.resolve("nested/sterna"), Path.of("../sterna"));
        String said = run("nested/sterna generate", Map.of("CDPATH", folder.resolve("elsewhere") + ":."));
        assertTrue(said.endsWith("<" + folder.toRealPath().resolve("java/cli/target/sterna-cli.jar") + "><generate>"), said);
    }

    // --- a folder that cannot be written

    @Test
    void withoutAnArchiveItStartsWhereNoneCanBeWritten() throws Exception {
        assumeTrue(run("true", Map.of(), readOnly()).isEmpty(), "this machine does not let a user mount a folder in a namespace of his own");
        script("jdk/bin/java", "#!/bin/bash\necho \"$@\"\n");
        String writable = run("./sterna doctor", Map.of());
        assertTrue(writable.contains("-XX:+AutoCreateSharedArchive -XX:SharedArchiveFile="), writable);
        String said = run("./sterna doctor", Map.of(), readOnly());
        assertFalse(said.contains("SharedArchive"), said);
        assertTrue(said.endsWith("sterna-cli.jar doctor\n"), said);
    }

    @Test
    void anArchiveOfThereIsUsedUnlessItIsOld() throws Exception {
        assumeTrue(run("true", Map.of(), readOnly()).isEmpty(), "this machine does not let a user mount a folder in a namespace of his own");
        script("jdk/bin/java", "#!/bin/bash\necho \"$@\"\n");
        Path archive = Files.createFile(folder.resolve("java/cli/target/sterna-cli.jsa"));
        Files.setLastModifiedTime(archive, FileTime.from(Instant.now().plusSeconds(60)));
        String said = run("./sterna doctor", Map.of(), readOnly());
        assertTrue(said.contains("-XX:SharedArchiveFile=" + archive.toRealPath()) && !said.contains("AutoCreate"), said);
        Files.setLastModifiedTime(archive, FileTime.from(Instant.now().minusSeconds(60)));
        assertFalse(run("./sterna doctor", Map.of(), readOnly()).contains("SharedArchive"));
    }

    /** The start of a command line whose rest runs where the folder is mounted read-only. */
    private List<String> readOnly() {
        return List.of("sh", "-c", "exec unshare --map-root-user --mount sh -c "
                + "'mount --bind . . && mount -o remount,bind,ro . && cd / && cd \"$0\" && exec \"$@\"' \"$0\" \"$@\"", folder.toString());
    }

    @Test
    void saysWhatCannotBeWrittenWhenItMustBuild() throws Exception {
        Files.delete(folder.resolve("java/cli/target/sterna-cli.jar"));
        Files.delete(folder.resolve("java/cli/target"));
        Files.createFile(folder.resolve("java/cli/target"));
        assertEquals("sterna: must be built, and " + folder.toRealPath() + "/java/cli/target cannot be written: run it once where it can.\n",
                run("./sterna doctor", Map.of()));
    }

    // --- the build

    @Test
    void anyCompilerThatCMakeFindsWillDo() throws Exception {
        mustBuild("touch java/cli/target/sterna-cli.jar");
        assertEquals("sterna: the build needs a C compiler on the PATH; install Maven 3.8+, CMake 3.20+, make, and gcc 12+ or clang.\n", build());
        script("path/clang", "");
        String said = build();
        assertTrue(said.contains("sterna: building, once") && said.endsWith("<doctor>"), said);
    }

    @Test
    void aBuildThatFailsSaysSoWhateverItsLogHolds() throws Exception {
        script("path/clang", "");
        for (String failing : List.of("echo Killed; exit 137", "for i in {1..9000}; do echo \"[ERROR] it is no good at all $i\"; done; exit 1")) {
            mustBuild(failing);
            String said = build();
            assertTrue(said.contains(failing.startsWith("echo") ? "Killed\n" : "no good at all 20\n"), said);
            assertFalse(said.contains("no good at all 21"), said);
            assertTrue(said.endsWith("sterna: the build failed; the log is " + folder.toRealPath() + "/java/cli/target/build.log\n"), said);
        }
    }

    @Test
    void whatIsEditedDuringTheBuildIsBuiltNext() throws Exception {
        script("path/clang", "");
        mustBuild("sleep 0.1; touch native/edited.c java/cli/target/sterna-cli.jar");
        assertTrue(build().contains("sterna: building"));
        script("path/mvn", "#!/bin/bash\ntouch java/cli/target/sterna-cli.jar\n");
        assertTrue(build().contains("sterna: building"));
        assertFalse(build().contains("sterna: building"));
    }

    /** Maven's JVM would not find a checkout whose path is not ASCII; a process that runs keeps the jar that it began with. */
    @Test
    void aBuildHasALocaleAndMakesItsJarAnew() throws Exception {
        script("path/clang", "");
        mustBuild("ls java/cli/target/*.jar; echo \"locale $LC_ALL\"; touch java/cli/target/sterna-cli.jar");
        Path jar = folder.resolve("java/cli/target/sterna-cli.jar");
        Files.setLastModifiedTime(Files.createFile(jar), FileTime.fromMillis(0));
        Files.createFile(folder.resolve("native/newer.c"));
        run("./sterna doctor", Map.of("LC_ALL", "C", "PATH", folder.resolve("path") + ":" + folder.resolve("tools")));
        String log = Files.readString(folder.resolve("java/cli/target/build.log"));
        assertTrue(log.endsWith("locale C.UTF-8\n"), log);
        assertFalse(log.contains(jar.getFileName().toString() + "\n"), log);
    }

    @Test
    void whatAKilledBuildLeftIsMadeAnew() throws Exception {
        script("path/clang", "");
        mustBuild("false");
        Path library = Files.createDirectories(folder.resolve("java/cli/target/lib")).resolve("part.jar");
        Files.createFile(library);
        build();
        assertFalse(Files.exists(library), "there was no jar");
        Files.createDirectories(library.getParent());
        Files.createFile(library);
        Files.setLastModifiedTime(Files.createFile(folder.resolve("java/cli/target/sterna-cli.jar")), FileTime.fromMillis(0));
        build();
        assertTrue(Files.exists(library), "there was one");
    }

    @Test
    void buildsWithoutFlock() throws Exception {
        script("path/clang", "");
        mustBuild("touch java/cli/target/sterna-cli.jar");
        Files.deleteIfExists(folder.resolve("tools/flock"));
        assertTrue(build().endsWith("<doctor>"));
    }

    @Test
    void aCheckoutThatWasMovedIsConfiguredAnew() throws Exception {
        script("path/clang", "");
        mustBuild("touch java/cli/target/sterna-cli.jar");
        Path cache = Files.createDirectories(folder.resolve("java/core/target/native")).resolve("CMakeCache.txt");
        Files.writeString(cache, "CMAKE_HOME_DIRECTORY:INTERNAL=" + folder.resolve("native") + "\n");
        build();
        assertTrue(Files.exists(cache));
        Files.writeString(cache, "CMAKE_HOME_DIRECTORY:INTERNAL=" + folder.resolve("before/native") + "\n");
        Files.delete(folder.resolve("java/cli/target/sterna-cli.jar"));
        build();
        assertFalse(Files.exists(cache));
    }

    @Test
    void aBuildLeavesStandardInputToTheProgram() throws Exception {
        script("path/clang", "");
        mustBuild("cat; touch java/cli/target/sterna-cli.jar");
        script("jdk/bin/java", "#!/bin/bash\ncat\n");
        assertTrue(run("./sterna generate <prompt", Map.of()).endsWith("caf\u00e9 \u65e5\u672c"));
    }

    /** There is no jar, and this is what Maven does; the PATH has Maven, CMake, make and nothing that compiles C. */
    private void mustBuild(String maven) throws IOException {
        Files.deleteIfExists(folder.resolve("java/cli/target/sterna-cli.jar"));
        script("path/mvn", "#!/bin/bash\n" + maven + "\n");
        script("path/cmake", "");
        script("path/make", "");
        Files.createDirectories(folder.resolve("tools"));
        for (String tool : TOOLS) {
            if (Files.isExecutable(Path.of("/usr/bin", tool)) || Files.isExecutable(Path.of("/bin", tool))) {
                script("tools/" + tool, "#!/bin/bash\nexec \"$(PATH=/usr/bin:/bin command -v " + tool + ")\" \"$@\"\n");
            }
        }
    }

    private String build() throws Exception {
        return run("./sterna doctor", Map.of("PATH", folder.resolve("path") + ":" + folder.resolve("tools")));
    }

    // --- help

    private void script(String name, String text) throws IOException {
        Path file = Files.writeString(folder.resolve(name), text);
        assertTrue(file.toFile().setExecutable(true));
    }

    /** What the JDK says of an argument, with these variables alone. */
    private String run(Map<String, String> variables) throws Exception {
        return run("./sterna generate \"$(<prompt)\"", variables);
    }

    private String run(String command, Map<String, String> variables) throws Exception {
        return run(command, variables, List.of());
    }

    /** What launcher and JDK say. */
    private String run(String command, Map<String, String> variables, List<String> prefix) throws Exception {
        Files.writeString(folder.resolve("prompt"), "caf\u00e9 \u65e5\u672c"); // arguments of this process may be ASCII
        List<String> line = new ArrayList<>(prefix);
        line.addAll(List.of("/bin/bash", "-c", command));
        ProcessBuilder builder = new ProcessBuilder(line).directory(folder.toFile());
        builder.environment().clear();
        builder.environment().put("PATH", folder.resolve("path") + ":/usr/bin:/bin");
        builder.environment().put("JAVA_HOME", folder.resolve("jdk").toString());
        builder.environment().putAll(variables);
        Process process = builder.redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the launcher ended");
        return said;
    }
}
