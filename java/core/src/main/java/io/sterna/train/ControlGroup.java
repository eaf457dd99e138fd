package io.sterna.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;

/**
 * What Linux's control groups leave of their memory, in bytes (cgroups(7)). Of version 2 there is one tree of groups; of
 * version 1 there may be one for memory. A group within another one is bounded by both.
 *
 * @param limit  file with the most that the group may take
 * @param used   file with what it takes
 * @param cached line of memory.stat with what it takes for files that it may drop
 */
record ControlGroup(String limit, String used, String cached) {
    private static final ControlGroup VERSION_1 =
            new ControlGroup("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
    private static final ControlGroup VERSION_2 = new ControlGroup("memory.max", "memory.current", "inactive_file");

    /**
     * The least that is left in any of the groups that a process is in; empty when none has a limit.
     *
     * @param membership the process's groups: lines of "number:controllers:group"
     * @param root       where the trees are mounted
     */
    static OptionalLong left(Path membership, Path root) throws IOException {
        OptionalLong least = OptionalLong.empty();
        for (String line : Files.isReadable(membership) ? Files.readAllLines(membership) : List.<String>of()) {
            String[] fields = line.split(":", 3);
            if (fields.length == 3 && fields[1].isEmpty()) {
                least = least(least, VERSION_2.leftAbove(fields[2], root));
            } else if (fields.length == 3 && List.of(fields[1].split(",")).contains("memory")) {
                least = least(least, VERSION_1.leftAbove(fields[2], root.resolve("memory")));
            }
        }
        return least;
    }

    /** The smaller of what is known. */
    static OptionalLong least(OptionalLong a, OptionalLong b) {
        return a.isEmpty() || b.isPresent() && b.getAsLong() < a.getAsLong() ? b : a;
    }

    /** From the group up to the top of the tree, all of which a container may see of it. */
    private OptionalLong leftAbove(String name, Path top) throws IOException {
        OptionalLong least = leftIn(top);
        for (Path group = top.resolve("." + name).normalize(); group.startsWith(top) && !group.equals(top); group = group.getParent()) {
            least = least(least, leftIn(group));
        }
        return least;
    }

    private OptionalLong leftIn(Path group) throws IOException {
        OptionalLong most = number(group.resolve(limit));
        OptionalLong taken = number(group.resolve(used));
        if (most.isEmpty() || taken.isEmpty()) {
            return OptionalLong.empty();
        }
        long files = ProcessMemory.find(group.resolve("memory.stat"), cached + " (\\d{1,18})").orElse(0);
        return OptionalLong.of(Math.max(0, most.getAsLong() - taken.getAsLong() + files));
    }

    /** The number in a file; empty without the file, or for the words and numbers that mean no limit. */
    private static OptionalLong number(Path file) throws IOException {
        if (!Files.isReadable(file)) {
            return OptionalLong.empty();
        }
        String text = Files.readString(file).strip();
        return text.matches("\\d{1,18}") ? OptionalLong.of(Long.parseLong(text)) : OptionalLong.empty();
    }
}
