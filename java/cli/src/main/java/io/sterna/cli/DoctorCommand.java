package io.sterna.cli;

import io.sterna.kernel.Machine;
import io.sterna.kernel.NativeLibrary;
import io.sterna.kernel.NativeLibraryException;
import io.sterna.kernel.OpenBlas;
import io.sterna.kernel.SelfTest;
import io.sterna.kernel.Tier;
import io.sterna.train.ProcessMemory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Says what the machine offers, what Sterna makes of it, and whether its kernels are right. */
@Command(
        name = "doctor",
        mixinStandardHelpOptions = true,
        description = "Shows the CPU, the tier chosen and why, libraries and memory, and tests the kernels.")
final class DoctorCommand implements Callable<Integer> {
    /** Key of the reason why a library cannot be loaded. */
    private static final String MISSING = "missing";
    /** Key of what is wrong with a setting. */
    private static final String REFUSED = "refused";
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");
    private static final Path HUGE_PAGES = Path.of("/sys/kernel/mm/transparent_hugepage/enabled");

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        Map<String, Object> findings = new LinkedHashMap<>();
        Map<String, Object> sterna = sterna();
        boolean loaded = !sterna.containsKey(MISSING);
        findings.put("system", system(loaded));
        findings.put("jdk", jdk());
        findings.put("memory", memory());
        findings.put("sterna", sterna);
        findings.put("openblas", openBlas());
        Map<String, Object> tests = loaded ? selfTests() : Map.of();
        findings.put("self_test", tests);
        boolean well = loaded && !sterna.containsKey(REFUSED) && tests.values().stream().allMatch(failures -> ((List<?>) failures).isEmpty());
        findings.put("well", well);
        if (json) {
            spec.commandLine().getOut().println(JsonText.pretty(findings));
        } else {
            print(findings, "");
        }
        return well ? 0 : 1;
    }

    private static Map<String, Object> system(boolean loaded) throws IOException {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("cpu", cpuName());
        m.put("processors", Runtime.getRuntime().availableProcessors());
        m.put("os", System.getProperty("os.name") + " " + System.getProperty("os.version"));
        m.put("architecture", System.getProperty("os.arch"));
        m.put("granted", loaded ? Machine.features() : "unknown"); // the library asks CPU and OS
        return m;
    }

    private static String cpuName() throws IOException {
        if (!Files.isReadable(CPU_INFO)) {
            return System.getProperty("os.arch");
        }
        try (var lines = Files.lines(CPU_INFO)) {
            return lines.filter(l -> l.startsWith("model name"))
                    .map(l -> l.substring(l.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse(System.getProperty("os.arch"));
        }
    }

    private static Map<String, Object> jdk() {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("version", Runtime.version().toString());
        m.put("vendor", System.getProperty("java.vendor"));
        m.put("home", System.getProperty("java.home"));
        m.put("max_heap", Runtime.getRuntime().maxMemory());
        return m;
    }

    private static Map<String, Object> memory() throws IOException {
        Map<String, Object> m = new LinkedHashMap<>();
        put(m, "total", ProcessMemory.total());
        put(m, "available", ProcessMemory.available());
        put(m, "resident", ProcessMemory.rss());
        m.put("transparent_huge_pages", Files.isReadable(HUGE_PAGES) ? Files.readString(HUGE_PAGES).strip() : "unknown");
        return m;
    }

    private static void put(Map<String, Object> m, String key, OptionalLong value) {
        m.put(key, value.isPresent() ? value.getAsLong() : "unknown");
    }

    private static Map<String, Object> sterna() {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("version", new Main.Version().getVersion()[0]);
        try {
            m.put("library", NativeLibrary.load().toString());
            m.put("tier", Tier.best().toString());
            m.put("reason", reason());
        } catch (NativeLibraryException e) {
            m.put(MISSING, e.getMessage());
        } catch (IllegalArgumentException e) { // the variable names no tier
            m.put(REFUSED, e.getMessage());
        }
        return m;
    }

    /** Why the tier is what it is. */
    private static String reason() {
        Tier granted = Tier.granted();
        if (Tier.best() != granted) {
            return Tier.VARIABLE + "=" + System.getenv(Tier.VARIABLE) + " lowers it from " + granted;
        }
        if (granted == Tier.values()[Tier.values().length - 1]) {
            return "the highest there is; CPU and OS grant all it needs";
        }
        Tier next = Tier.values()[granted.ordinal() + 1];
        return refusal(next, Machine.missing(next));
    }

    /** Why a tier that needs what is missing is not granted. */
    static String refusal(Tier tier, List<String> missing) {
        String reason = tier + " needs " + String.join(", ", missing) + ", which CPU or OS does not grant";
        return missing.equals(List.of("os-amx")) // the CPU has it
                ? reason + ": Linux 5.16 or later does, unless a sandbox or a thread's small alternate signal stack forbids it"
                : reason;
    }

    private static Map<String, Object> openBlas() {
        Map<String, Object> m = new LinkedHashMap<>();
        try {
            m.put("library", OpenBlas.load().toString());
            m.put("version", OpenBlas.config().strip());
            m.put("core", OpenBlas.coreName());
        } catch (NativeLibraryException e) {
            m.put(MISSING, e.getMessage());
        }
        return m;
    }

    /** Failed checks by granted tier. */
    private static Map<String, Object> selfTests() {
        Map<String, Object> m = new LinkedHashMap<>();
        Arrays.stream(Tier.values())
                .filter(tier -> tier.compareTo(Tier.granted()) <= 0)
                .forEach(tier -> m.put(tier.toString(), SelfTest.failures(tier)));
        return m;
    }

    private void print(Map<?, ?> map, String indent) {
        map.forEach((key, value) -> {
            if (value instanceof Map<?, ?> inner) {
                line(indent + key);
                print(inner, indent + "  ");
            } else {
                line(Units.format("%s%-24s %s", indent, key, text(String.valueOf(key), value)));
            }
        });
    }

    private static String text(String key, Object value) {
        List<String> sizes = List.of("max_heap", "total", "available", "resident");
        return switch (value) {
            case Long bytes when sizes.contains(key) -> Units.bytes(bytes);
            case List<?> list when list.isEmpty() -> key.equals("granted") ? "nothing that a tier needs" : "passed";
            case List<?> list -> String.join(" ", new ArrayList<>(list).stream().map(String::valueOf).toList());
            case Boolean well when key.equals("well") -> well ? "yes"
                    : "no: the library is missing, a setting is refused, or some tiers failed, whose results are not to be trusted";
            default -> String.valueOf(value);
        };
    }

    private void line(String line) {
        spec.commandLine().getOut().println(line);
    }
}
