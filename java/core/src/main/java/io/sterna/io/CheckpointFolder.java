package io.sterna.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The checkpoints of a run: {@code step-00000200.sterna} and so on, of which the last few are kept. */
public final class CheckpointFolder {
    private static final Pattern NAME = Pattern.compile("step-(\\d{8,18})\\.sterna");
    private final Path folder;

    /** The folder is made when the first checkpoint is. */
    public CheckpointFolder(Path folder) {
        this.folder = folder;
    }

    /**
     * Starts the checkpoint of {@code step}.
     *
     * @throws IOException when folder or file cannot be made
     */
    public CheckpointWriter write(long step) throws IOException {
        Files.createDirectories(folder);
        return new CheckpointWriter(file(step));
    }

    /** Where the checkpoint of {@code step} is. */
    public Path file(long step) {
        return folder.resolve(String.format(Locale.ROOT, "step-%08d.sterna", step));
    }

    /**
     * The checkpoints there are, oldest first; none without the folder.
     *
     * @throws IOException when the folder cannot be listed
     */
    public List<Path> list() throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(f -> step(f) >= 0)
                    .sorted((a, b) -> Long.compare(step(a), step(b)))
                    .toList();
        }
    }

    /**
     * Opens the last checkpoint; its tensors are not read yet.
     *
     * @throws CheckpointException if there is none, or if its header is damaged; then the message names the latest
     *     earlier one whose header and tensors are whole, if there is one
     */
    public CheckpointReader openLast() throws IOException {
        Path last = last();
        try {
            return new CheckpointReader(last);
        } catch (CheckpointException e) {
            throw offerEarlier(last, e);
        }
    }

    /**
     * The last checkpoint, unopened.
     *
     * @throws CheckpointException if there is none
     * @throws IOException when the folder cannot be listed
     */
    public Path last() throws IOException {
        List<Path> all = list();
        if (all.isEmpty()) {
            throw new CheckpointException(folder, "has no checkpoint",
                    "there is nothing to resume: delete the run folder, or start a new run in another one");
        }
        return all.getLast();
    }

    /**
     * {@code damage} of {@code file}, with the checkpoint to go on from in its place.
     *
     * @throws IOException when the folder cannot be listed, or the thread is interrupted
     */
    public CheckpointException offerEarlier(Path file, CheckpointException damage) throws IOException {
        List<Path> earlier =
                list().stream().filter(f -> step(f) < step(file)).toList();
        for (Path candidate : earlier.reversed()) {
            try (CheckpointReader reader = new CheckpointReader(candidate)) {
                reader.verify();
                return new CheckpointException(
                        file,
                        damage.fault(),
                        "delete it and resume again to go on from " + candidate.getFileName() + ", which is whole",
                        damage);
            } catch (CheckpointException e) {
                damage.addSuppressed(e);
            }
        }
        return new CheckpointException(
                file, damage.fault(), "no earlier checkpoint is whole; start a new run", damage);
    }

    /**
     * Removes all but the last {@code keep} checkpoints, and what a killed writer left.
     *
     * @throws IOException when there is no folder, or a file cannot be deleted
     */
    public void prune(int keep) throws IOException {
        List<Path> all = list();
        for (Path old : all.subList(0, Math.max(0, all.size() - keep))) {
            Files.delete(old);
        }
        try (Stream<Path> files = Files.list(folder)) {
            for (Path left : files.filter(f -> f.getFileName().toString().endsWith(".sterna.tmp")).toList()) {
                Files.delete(left);
            }
        }
    }

    /** The step of a checkpoint by its name, or -1 if it is no checkpoint's. */
    public static long step(Path file) {
        Matcher m = NAME.matcher(file.getFileName().toString());
        return m.matches() ? Long.parseLong(m.group(1)) : -1;
    }
}
