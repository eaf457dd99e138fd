package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The launcher in a folder that is built already, with a JDK that says how it was called. */
class LauncherTest {
    private static final Path LAUNCHER = Path.of(System.getProperty("basedir", ""), "../../sterna");
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
        assertEquals("locale " + expected + "\n<generate><caf\u00e9 \u65e5\u672c>", run(Map.of(variable, value)));
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

    private void script(String name, String text) throws IOException {
        Path file = Files.writeString(folder.resolve(name), text);
        assertTrue(file.toFile().setExecutable(true));
    }

    /** What the JDK says, with these variables alone. */
    private String run(Map<String, String> variables) throws Exception {
        Files.writeString(folder.resolve("prompt"), "caf\u00e9 \u65e5\u672c"); // arguments of this process may be ASCII
        ProcessBuilder builder = new ProcessBuilder("/bin/bash", "-c", "./sterna generate \"$(<prompt)\"").directory(folder.toFile());
        builder.environment().clear();
        builder.environment().put("PATH", folder.resolve("path") + ":/usr/bin:/bin");
        builder.environment().put("JAVA_HOME", folder.resolve("jdk").toString());
        builder.environment().putAll(variables);
        Process process = builder.redirectError(ProcessBuilder.Redirect.DISCARD).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the launcher ended");
        return said;
    }
}
