package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ControlGroupTest {
    private static final ControlGroup VERSION_1 =
            new ControlGroup("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
    private static final ControlGroup VERSION_2 = new ControlGroup("memory.max", "memory.current", "inactive_file");

    @TempDir
    Path root;
    private Path membership;

    @BeforeEach
    void nameTheMembership() {
        membership = root.resolve("self");
    }

    @Test
    void theTightestGroupOfVersion2Counts() throws IOException {
        Files.writeString(membership, "0::/user.slice/run.scope\n");
        group("", "max", "9000", 0, VERSION_2);
        group("user.slice", "5000", "1000", 500, VERSION_2);
        group("user.slice/run.scope", "8000", "1000", 0, VERSION_2);
        assertEquals(OptionalLong.of(4500), ControlGroup.left(membership, root));
        group("user.slice/run.scope", "3000", "2900", 0, VERSION_2);
        assertEquals(OptionalLong.of(100), ControlGroup.left(membership, root));
        group("user.slice/run.scope", "3000", "3100", 0, VERSION_2);
        assertEquals(OptionalLong.of(0), ControlGroup.left(membership, root));
    }

    @Test
    void version1HasATreeForMemory() throws IOException {
        Files.writeString(membership, "5:cpu,cpuacct:/other\n3:memory:/docker/a\n0::/\n");
        group("memory", "9223372036854771712", "77", 0, VERSION_1);
        assertTrue(ControlGroup.left(membership, root).isEmpty(), "that number means no limit");
        group("memory/docker/a", "7000", "1000", 10, VERSION_1);
        assertEquals(OptionalLong.of(6010), ControlGroup.left(membership, root));
    }

    @Test
    void aGroupThatAContainerDoesNotSeeLeavesItsTop() throws IOException {
        Files.writeString(membership, "0::/../elsewhere\n");
        group("", "600", "100", 0, VERSION_2);
        assertEquals(OptionalLong.of(500), ControlGroup.left(membership, root));
        Files.writeString(membership, "0::/not/mounted\n");
        assertEquals(OptionalLong.of(500), ControlGroup.left(membership, root));
    }

    @Test
    void withoutGroupsNothingIsKnown() throws IOException {
        assertTrue(ControlGroup.left(membership, root).isEmpty());
        Files.writeString(membership, "damaged\n0::/\n");
        assertTrue(ControlGroup.left(membership, root).isEmpty());
    }

    @Test
    void theMachineAndTheGroupsBoundWhatIsAvailable() throws IOException {
        assertEquals(OptionalLong.of(3), ControlGroup.least(OptionalLong.of(3), OptionalLong.of(4)));
        assertEquals(OptionalLong.of(3), ControlGroup.least(OptionalLong.of(4), OptionalLong.of(3)));
        assertEquals(OptionalLong.of(3), ControlGroup.least(OptionalLong.empty(), OptionalLong.of(3)));
        assertEquals(OptionalLong.of(3), ControlGroup.least(OptionalLong.of(3), OptionalLong.empty()));
        OptionalLong available = ProcessMemory.available();
        assertTrue(available.isEmpty() || available.getAsLong() <= ProcessMemory.total().orElseThrow(), available.toString());
    }

    private void group(String name, String limit, String used, long files, ControlGroup version) throws IOException {
        Path group = Files.createDirectories(root.resolve(name));
        Files.writeString(group.resolve(version.limit()), limit + "\n");
        Files.writeString(group.resolve(version.used()), used + "\n");
        Files.writeString(group.resolve("memory.stat"), "anon 5\n" + version.cached() + " " + files + "\n");
    }
}
