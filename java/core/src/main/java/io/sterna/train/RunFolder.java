package io.sterna.train;

import io.sterna.data.FolderLock;
import io.sterna.data.MadeFolder;
import io.sterna.io.CheckpointFolder;
import io.sterna.io.DurableFiles;
import io.sterna.io.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** The files of a run; see the package documentation. */
public final class RunFolder {
    private static final String SECONDS = ".wall-seconds";
    private static final String THREADS = "threads: "; // the line in config.yaml

    private final Path path;
    private final boolean made;

    /** @param made whether this run made the folder */
    private RunFolder(Path path, boolean made) {
        this.path = path;
        this.made = made;
    }

    /**
     * The folder {@code path} of a run that exists; what it holds is not checked.
     *
     * @throws ConfigException when there is no such folder
     */
    public static RunFolder of(Path path) {
        if (!Files.isDirectory(path)) {
            throw new ConfigException("run folder " + path + ": no such folder");
        }
        return new RunFolder(path, false);
    }

    /**
     * Where a new run goes: {@code out}, or else {@code runs/<name>}, with a number behind it when that is
     * taken. Nothing is made yet.
     *
     * @throws ConfigException where a folder holds something already, or none can be made
     */
    static Path choose(String out, String name) throws IOException {
        checkFree(out);
        Path path = out == null ? free(Path.of("runs").resolve(name)) : Path.of(out);
        requireWritable(path);
        return path;
    }

    /** Refuses a folder that the closest one above it that exists would not take. */
    private static void requireWritable(Path path) {
        Path parent = path.toAbsolutePath();
        while (!Files.exists(parent, LinkOption.NOFOLLOW_LINKS)) {
            parent = parent.getParent();
        }
        if (!Files.isDirectory(parent)) {
            throw new ConfigException("out " + path + ": " + parent + " is no folder; choose another folder");
        }
        if (!Files.isWritable(parent)) {
            throw new ConfigException("out " + path + ": " + parent + " cannot be written to; choose another folder");
        }
    }

    /** Chooses a folder and makes it; of runs that begin at once, each gets its own. */
    static RunFolder claim(String out, String name) throws IOException {
        while (true) {
            Path path = choose(out, name);
            boolean made = make(path);
            try {
                Files.createFile(path.resolve(MadeFolder.LOCK));
                return new RunFolder(path, made);
            } catch (FileAlreadyExistsException anotherRun) {
                continue; // a given folder is refused, another name is found
            }
        }
    }

    /** Makes a folder unless it is there, and says whether it did. */
    private static boolean make(Path path) throws IOException {
        try {
            Files.createDirectories(path.toAbsolutePath().getParent());
            Files.createDirectory(path);
            return true;
        } catch (FileAlreadyExistsException e) {
            if (Files.isDirectory(path)) {
                return false;
            }
            throw new ConfigException("out " + path + ": " + e.getFile() + " is no folder; choose another folder", e);
        } catch (FileSystemException e) {
            String reason = e.getReason() == null ? "" : ": " + e.getReason();
            throw new ConfigException("out " + path + ": cannot be made" + reason + "; choose another folder", e);
        }
    }

    /** Removes what {@link #claim} made for a run that could not begin; a folder that was there before stays. */
    void abandon() throws IOException {
        Files.deleteIfExists(path.resolve(MadeFolder.LOCK));
        if (!made) {
            return;
        }
        try {
            Files.deleteIfExists(path);
        } catch (DirectoryNotEmptyException e) {
            return; // not ours alone
        }
    }

    /** Keeps other processes from training this run until it is closed. */
    FolderLock lock() throws IOException {
        return FolderLock.tryTake(path, MadeFolder.LOCK).orElseThrow(() -> new ConfigException(
                "run " + path + ": another process trains it; wait until it has ended, or stop it"));
    }

    /** Whether it has been a run's: its lock stays when the process ends. */
    boolean hasLock() {
        return Files.exists(path.resolve(MadeFolder.LOCK));
    }

    /**
     * Refuses what no new folder can be made of; null is none.
     *
     * @throws ConfigException for a folder that holds something, a file, and a link that leads nowhere
     * @throws IOException when the folder cannot be listed
     */
    public static void checkFree(String out) throws IOException {
        if (out == null || !isTaken(Path.of(out))) {
            return;
        }
        RunFolder taken = new RunFolder(Path.of(out), false);
        String resume = taken.checkpoints().list().isEmpty() ? "" : ", or go on with " + taken.resumeOption();
        throw new ConfigException("out " + out + ": " + taken.contents() + "; choose another folder" + resume);
    }

    private String contents() {
        if (Files.isDirectory(path)) {
            return "holds files already";
        }
        return Files.exists(path) ? "is a file" : "is a link to what is not there";
    }

    private static Path free(Path wanted) throws IOException {
        Path path = wanted;
        for (int i = 2; isTaken(path); i++) {
            path = wanted.resolveSibling(wanted.getFileName() + "-" + i);
        }
        return path;
    }

    private static boolean isTaken(Path path) throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) { // no folder can be made in the place of a link that leads nowhere
            return false;
        }
        if (!Files.isDirectory(path)) {
            return true;
        }
        try (var files = Files.list(path)) {
            return files.findAny().isPresent();
        }
    }

    /** The folder, as it was given or chosen. */
    public Path path() {
        return path;
    }

    /** The option that goes on with this run, as a shell takes it. */
    public String resumeOption() {
        String name = path.toString();
        boolean plain = name.matches("[\\p{L}\\p{N}/._+-]+");
        return "--resume " + (plain ? name : "'" + name.replace("'", "'\\''") + "'");
    }

    /** The folder's own name. */
    public String name() {
        return path.toAbsolutePath().normalize().getFileName().toString();
    }

    /** The resolved configuration. */
    public Path config() {
        return path.resolve(MadeFolder.RUN_CONFIG);
    }

    /** One JSON object for each logged step. */
    public Path metrics() {
        return path.resolve("metrics.jsonl");
    }

    /** What came of it; only a finished run has one. */
    public Path summary() {
        return path.resolve("summary.json");
    }

    /** The run on one page. */
    public Path report() {
        return path.resolve("report.html");
    }

    /** The final weights, their configuration and the tokenizer. */
    public Path model() {
        return path.resolve("model");
    }

    /** Its checkpoints; their folder is made with the first one. */
    public CheckpointFolder checkpoints() {
        return new CheckpointFolder(path.resolve("checkpoints"));
    }

    /** Writes {@code config.yaml}: a key a line; JSON scalars and lists are YAML too. */
    void writeConfig(TrainConfig config) throws IOException {
        StringBuilder yaml = new StringBuilder();
        Map<String, Object> settings = config.toMap();
        settings.remove("stop-after"); // of this process: another run with the file is to go on to its end
        settings.forEach((key, value) -> yaml.append(key).append(": ").append(scalar(value)).append('\n'));
        DurableFiles.replace(config(), yaml.toString());
    }

    /**
     * Refuses a {@code config.yaml} that was edited: a resumed run would not follow it.
     *
     * @param settings that the run began with
     */
    void requireConfig(Map<String, Object> settings) throws IOException {
        for (String line : configLines()) {
            int colon = Math.max(0, line.indexOf(": "));
            Object began = settings.get(line.substring(0, colon));
            if (began != null && !line.substring(colon + 2).strip().equals(scalar(began))) {
                throw new ConfigException(config() + ": " + line.strip() + ": the run began with " + scalar(began)
                        + ", and a resumed run keeps its settings; restore the line, or start a new run");
            }
        }
    }

    /**
     * The threads that {@code config.yaml} says, as the run had them or as they were edited since, but no more than there are
     * processors here; null when it says none.
     *
     * @throws ConfigException when they are no number
     */
    Integer threads() throws IOException {
        for (String line : configLines()) {
            if (line.startsWith(THREADS)) {
                try {
                    return Math.min(Integer.parseInt(line.substring(THREADS.length()).strip()), Runtime.getRuntime().availableProcessors());
                } catch (NumberFormatException e) {
                    throw new ConfigException(config() + ": " + line.strip() + ": expected a whole number", e);
                }
            }
        }
        return null;
    }

    private List<String> configLines() throws IOException {
        return Files.isRegularFile(config()) ? new String(Files.readAllBytes(config()), StandardCharsets.UTF_8).lines().toList() : List.of();
    }

    /** YAML takes some words for truth values, and so does not get them bare. */
    private static String scalar(Object value) {
        return value instanceof List<?> || value instanceof String s && !s.matches("(?!(y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9/._-]*")
                ? Json.write(value)
                : String.valueOf(value);
    }

    /** Keeps the wall-clock seconds of the run up to its last checkpoint, which is the same for every run and so cannot hold them. */
    void writeSeconds(double seconds) throws IOException {
        DurableFiles.replace(path.resolve(SECONDS), seconds + "\n");
    }

    /** What {@link #writeSeconds} kept; 0 without it. */
    double seconds() throws IOException {
        Path file = path.resolve(SECONDS);
        if (!Files.isRegularFile(file)) {
            return 0;
        }
        try {
            return Double.parseDouble(new String(Files.readAllBytes(file), StandardCharsets.UTF_8).strip());
        } catch (NumberFormatException e) {
            throw new ConfigException(file + ": expected the run's seconds so far; delete it", e);
        }
    }

    void writeSummary(Map<String, Object> summary) throws IOException {
        DurableFiles.replace(summary(), Json.writePretty(summary));
    }
}
