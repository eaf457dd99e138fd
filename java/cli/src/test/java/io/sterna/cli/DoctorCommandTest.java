package io.sterna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sterna.kernel.Tier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class DoctorCommandTest {
    /** In a JVM of its own: this one has its library. */
    @Test
    void aLibraryThatIsMissingIsAFindingAndNotTheEnd() throws Exception {
        Process doctor = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dsterna.library.path=absent.so", "-cp", System.getProperty("java.class.path"), Main.class.getName(), "doctor", "--json").start();
        JsonNode findings = new ObjectMapper().readTree(doctor.getInputStream());
        assertEquals(1, doctor.waitFor());
        assertTrue(findings.get("sterna").get("missing").asText().contains("absent.so"), findings.toString());
        assertTrue(findings.get("system").has("cpu") && findings.get("jdk").has("version"), findings.toString());
        assertFalse(findings.get("well").asBoolean());
    }

    @Test
    void aTierThatIsNoneIsAFindingToo() throws Exception {
        ProcessBuilder builder = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--enable-native-access=ALL-UNNAMED",
                "-cp", System.getProperty("java.class.path"), Main.class.getName(), "doctor", "--json");
        builder.environment().put(Tier.VARIABLE, "bogus");
        Process doctor = builder.start();
        JsonNode findings = new ObjectMapper().readTree(doctor.getInputStream());
        assertEquals(1, doctor.waitFor());
        assertTrue(findings.get("sterna").get("refused").asText().startsWith("STERNA_TIER: tier \"bogus\": expected one of"), findings.toString());
        assertTrue(findings.get("sterna").has("library") && findings.get("system").get("granted").isArray(), findings.toString());
        assertFalse(findings.get("well").asBoolean());
    }

    @Test
    void theKernelBenchTakesTheTierThatTheVariableNames() throws Exception {
        ProcessBuilder builder = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--enable-native-access=ALL-UNNAMED",
                "-cp", System.getProperty("java.class.path"), Main.class.getName(), "bench", "kernels", "--seconds", "0.01", "--shape", "64x64",
                "--tokens", "1", "--bits", "1", "--threads", "1");
        builder.environment().put(Tier.VARIABLE, "reference");
        Process lowered = builder.start();
        List<String> tables = new String(lowered.getInputStream().readAllBytes(), StandardCharsets.UTF_8).lines()
                .filter(line -> line.contains("ceilings:")).toList();
        assertEquals(1, tables.size(), tables.toString());
        assertTrue(tables.getFirst().startsWith("reference, "), tables.toString());
        builder.environment().put(Tier.VARIABLE, "bogus");
        Process refused = builder.start();
        String error = new String(refused.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(2, refused.waitFor(), error);
        assertTrue(error.startsWith("sterna: STERNA_TIER: tier \"bogus\": expected one of"), error);
    }

    @Test
    void whatTheSystemWithholdsHasItsRemedy() {
        assertEquals("amx needs amx-tile, os-amx, which CPU or OS does not grant",
                DoctorCommand.refusal(Tier.AMX, List.of("amx-tile", "os-amx")));
        assertEquals("amx needs os-amx, which CPU or OS does not grant: Linux 5.16 or later does, unless a sandbox or a thread's"
                + " small alternate signal stack forbids it", DoctorCommand.refusal(Tier.AMX, List.of("os-amx")));
    }
}
