package io.sterna.data;

import java.nio.file.Files;
import java.nio.file.Path;

/** A folder that training makes, of a run or of prepared data: the names of the files that tell it from others. */
public final class MadeFolder {
    /** Both have a lock of this name. */
    public static final String LOCK = ".lock";

    /** Beside it a run has its settings. */
    public static final String RUN_CONFIG = "config.yaml";

    /** And prepared data says what it is. */
    static final String MANIFEST = "manifest.json";

    private MadeFolder() {}

    /** Whether {@code folder} is one: a lock beside what it guards. */
    static boolean is(Path folder) {
        return Files.exists(folder.resolve(LOCK))
                && (Files.exists(folder.resolve(RUN_CONFIG)) || Files.exists(folder.resolve(MANIFEST)));
    }
}
