package io.sterna.data;

import java.io.IOException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.FileSystems;
import java.nio.file.FileVisitOption;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.PatternSyntaxException;

/**
 * The documents of a list of files, folders, globs and zips, in a fixed order: specs as given, files of a
 * folder, glob or zip sorted by path. Only the list of files is held; text is streamed by
 * {@link #read}. Immutable and thread-safe.
 *
 * <p>Kinds of file, by name: {@code .jsonl} and {@code .ndjson} are JSON lines, and so is {@code .json} whose first
 * line is a whole object with the text field, if another object follows; {@code .gz} is what its inner name says,
 * unpacked; {@code .zip} is a folder of its entries; everything else is text. In folders and zips,
 * hidden files, known binary extensions and files with a NUL in the first 8 KiB are skipped and counted.
 *
 * <p>Folders that training made below a given one, runs and prepared data, are passed over, so that the folder
 * is the same corpus before and after, unless it is itself the cache; a spec that names such a folder itself reads it.
 */
public final class Corpus {
    private static final Set<String> BINARY = Set.of(
            "7z", "a", "avi", "bin", "bmp", "bz2", "class", "dat", "db", "dll", "dylib", "eot", "exe", "gif", "ico",
            "jar", "jks", "jmod", "jpeg", "jpg", "mov", "mp3", "mp4", "o", "ogg", "otf", "parquet", "pdf", "png",
            "pyc", "safetensors", "so", "tar", "tgz", "tif", "tiff", "ttf", "war", "wav", "webm", "webp", "woff",
            "woff2", "xz", "zst");

    /** Raised when the same files are read as other documents than before. */
    private static final int READING = 2;

    /** @param named whether the user named this very file: then it is never skipped */
    record Source(Path path, long bytes, long modifiedMillis, boolean named) {}

    private final List<String> specs;
    private final CorpusOptions options;
    private final List<Source> sources;
    private final int skipped;

    private Corpus(List<String> specs, CorpusOptions options, List<Source> sources, int skipped) {
        this.specs = specs;
        this.options = options;
        this.sources = sources;
        this.skipped = skipped;
    }

    /**
     * Finds the files of {@code specs} (paths of files, folders or zips, or globs with * ? [ ] { }).
     *
     * @throws CorpusException if a spec names nothing, or no file remains
     */
    public static Corpus open(List<String> specs, CorpusOptions options) throws CorpusException {
        return open(specs, options, null);
    }

    /**
     * Finds the files of {@code specs}, but not those in {@code cache} where that lies below a folder of them.
     *
     * @param cache where prepared data is kept, or will be; null for nowhere
     * @throws CorpusException if a spec names nothing, or no file remains
     */
    public static Corpus open(List<String> specs, CorpusOptions options, Path cache) throws CorpusException {
        if (specs.isEmpty()) {
            throw new CorpusException("no data given: name files, folders, globs or zips");
        }
        Finder finder = new Finder(options, cache);
        for (String spec : specs) {
            finder.add(spec);
        }
        if (finder.found.isEmpty()) {
            throw new CorpusException("no text files in " + String.join(", ", specs) + " (" + finder.skipped
                    + " skipped): check the path and the include filter " + options.include());
        }
        return new Corpus(List.copyOf(specs), options, List.copyOf(finder.found.values()), finder.skipped);
    }

    /**
     * The Java sources of a JDK, streamed from its lib/src.zip; of them those that {@code options} include, if these say any.
     *
     * @throws CorpusException if the JDK has no src.zip
     */
    public static Corpus jdkSources(Path javaHome, CorpusOptions options) throws CorpusException {
        Path zip = javaHome.resolve("lib").resolve("src.zip");
        if (!Files.isReadable(zip)) {
            throw new CorpusException(
                    zip + " is missing: this JDK came without its sources; name a corpus, or use a JDK with src.zip");
        }
        return open(List.of(zip.toString()), options.include().isEmpty() ? options.withInclude("*.java") : options);
    }

    /** Starts reading from the first document. The reader belongs to one thread; a corpus may have many. */
    public DocumentReader read() {
        return new DocumentReader(this);
    }

    /** The specs this corpus was opened with. */
    public List<String> specs() {
        return specs;
    }

    /** How its text is read. */
    public CorpusOptions options() {
        return options;
    }

    /** Number of files; a zip counts as one. */
    public int fileCount() {
        return sources.size();
    }

    /** Size of all files as they lie on disk, compressed or not. */
    public long sourceBytes() {
        return sources.stream().mapToLong(Source::bytes).sum();
    }

    /**
     * SHA-256 in hex over the options and each file's path, size and time of change: equal for two corpora
     * only if they read the same documents, as long as nobody changes a file behind its time stamp. (A file of text with
     * NUL bytes is one that is read when it is named, and left out of its folder; the two count as equal.)
     */
    public String fingerprint() {
        StringBuilder text = new StringBuilder("reading " + READING + ", " + options);
        for (Source source : sources) {
            text.append('\n').append(source.path.toAbsolutePath().normalize());
            text.append('\t').append(source.bytes).append('\t').append(source.modifiedMillis);
        }
        return Digests.hex(text.toString());
    }

    List<Source> sources() {
        return sources;
    }

    int skipped() {
        return skipped;
    }

    static String extension(String name) {
        int dot = name.lastIndexOf('.');
        return dot < 0 ? "" : name.substring(dot + 1).toLowerCase(Locale.ROOT);
    }

    static boolean isBinary(String name) {
        return BINARY.contains(extension(name));
    }

    /** Whether a file of a folder or zip passes the include filter. */
    static boolean included(List<PathMatcher> include, List<String> globs, Path relative) {
        for (int i = 0; i < globs.size(); i++) {
            boolean byPath = globs.get(i).indexOf('/') >= 0;
            if (include.get(i).matches(byPath ? relative : relative.getFileName())) {
                return true;
            }
        }
        return globs.isEmpty();
    }

    static List<PathMatcher> matchers(List<String> globs) throws CorpusException {
        List<PathMatcher> matchers = new ArrayList<>();
        for (String glob : globs) {
            matchers.add(matcher(glob));
        }
        return matchers;
    }

    private static PathMatcher matcher(String glob) throws CorpusException {
        try {
            return FileSystems.getDefault().getPathMatcher("glob:" + withNoFolders(glob));
        } catch (PatternSyntaxException e) {
            throw new CorpusException("glob " + glob + " is malformed: " + e.getDescription(), e);
        }
    }

    /** The glob where {@code **}{@code /} stands for no folder too, as it does in a shell; within braces it may not. */
    private static String withNoFolders(String glob) {
        StringBuilder all = new StringBuilder();
        boolean braces = false;
        for (int i = 0; i < glob.length(); i++) {
            char c = glob.charAt(i);
            boolean begins = i == 0 || glob.charAt(i - 1) == '/';
            if (begins && !braces && glob.startsWith("**/", i)) {
                all.append("{**/,}");
                i += 2;
                continue;
            }
            braces = c == '{' || braces && c != '}';
            all.append(c);
        }
        return all.toString();
    }

    /** Expands specs; the first mention of a file wins. */
    private static final class Finder {
        final Map<Path, Source> found = new LinkedHashMap<>();
        final CorpusOptions options;
        final List<PathMatcher> include;
        final Path cache; // may be null
        int skipped;

        Finder(CorpusOptions options, Path cache) throws CorpusException {
            this.options = options;
            this.include = matchers(options.include());
            this.cache = cache;
        }

        void add(String spec) throws CorpusException {
            if (spec.isBlank()) {
                throw new CorpusException("\"" + spec + "\" is empty: name a file, a folder, a glob or a zip");
            }
            try {
                Path path = path(spec);
                if (path != null && Files.isDirectory(path)) {
                    addAll(path, null, Integer.MAX_VALUE);
                } else if (path != null && Files.exists(path)) {
                    addFile(path, true, Files.readAttributes(path, BasicFileAttributes.class));
                } else if (isGlob(spec)) {
                    addGlob(spec);
                } else {
                    throw new CorpusException("no such file or folder: " + spec);
                }
            } catch (CorpusException e) {
                throw e;
            } catch (IOException e) {
                throw new CorpusException("cannot list " + spec + ": " + DataException.reason(e), e);
            }
        }

        private static Path path(String spec) {
            try {
                return Path.of(spec);
            } catch (InvalidPathException e) {
                return null; // a glob need not be a path
            }
        }

        private static boolean isGlob(String spec) {
            return spec.chars().anyMatch(c -> "*?[{".indexOf(c) >= 0);
        }

        private void addGlob(String spec) throws IOException {
            int wild = 0;
            while ("*?[{".indexOf(spec.charAt(wild)) < 0) {
                wild++;
            }
            String base = spec.substring(0, spec.lastIndexOf('/', wild) + 1);
            Path folder = Path.of(base.isEmpty() ? "." : base);
            String pattern = spec.substring(base.length());
            int depth = pattern.contains("**") ? Integer.MAX_VALUE : 1 + (int) pattern.chars().filter(c -> c == '/').count();
            if (!Files.isDirectory(folder) || !addAll(folder, matcher(pattern), depth)) {
                throw new CorpusException("no file matches " + spec);
            }
        }

        /**
         * All files below a folder, in order of path; links are followed.
         *
         * @param only  matches the files that are meant, or a folder of which all are; null for all
         * @param depth folders deep
         * @return whether there are any, wanted or not
         */
        private boolean addAll(Path folder, PathMatcher only, int depth) throws IOException {
            Listing listing = new Listing(folder, only, cache);
            Files.walkFileTree(folder, EnumSet.of(FileVisitOption.FOLLOW_LINKS), depth, listing);
            listing.entries.sort(Comparator.comparing(e -> name(e.relative)));
            for (Entry entry : listing.entries) {
                addEntry(entry);
            }
            boolean any = !listing.entries.isEmpty();
            listing.folders.sort(Comparator.comparing(Finder::name));
            for (Path dir : listing.folders) {
                any |= addAll(dir, null, Integer.MAX_VALUE);
            }
            return any;
        }

        private void addEntry(Entry entry) throws IOException {
            boolean archive = extension(entry.path.toString()).equals("zip");
            if (!archive && !included(include, options.include(), entry.relative)) {
                return; // what the user filters out is not worth counting
            }
            if (isHidden(entry.path) || isBinary(entry.path.toString())) {
                skipped++;
            } else {
                addFile(entry.path, false, entry.attributes);
            }
        }

        /** The same on every system. */
        private static String name(Path path) {
            return path.toString().replace('\\', '/');
        }

        static boolean isHidden(Path path) {
            return path.getFileName() != null && path.getFileName().toString().startsWith(".");
        }

        private void addFile(Path path, boolean named, BasicFileAttributes attributes) throws IOException {
            if (!Files.isReadable(path)) {
                throw new CorpusException("cannot read " + path + ": check its permissions");
            }
            if (attributes.isOther()) {
                throw new CorpusException(path + " is no file but a pipe or a device, and data is read several times: write it to a file");
            }
            Source source = new Source(path, attributes.size(), attributes.lastModifiedTime().toMillis(), named);
            found.putIfAbsent(path.toRealPath(), source);
        }
    }

    /** A file below a folder. */
    private record Entry(Path path, Path relative, BasicFileAttributes attributes) {}

    /** What is meant below a folder: files, and folders of which all files are. */
    private static final class Listing extends SimpleFileVisitor<Path> {
        final List<Entry> entries = new ArrayList<>();
        final List<Path> folders = new ArrayList<>();
        private final Path folder;
        private final PathMatcher only; // null for all
        private final Path cache; // null for none

        Listing(Path folder, PathMatcher only, Path cache) {
            this.folder = folder;
            this.only = only;
            this.cache = cache;
        }

        @Override
        public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes) throws IOException {
            if (dir.equals(folder)) {
                return FileVisitResult.CONTINUE;
            }
            return isPassedOver(dir) || takes(dir) ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
        }

        private boolean isPassedOver(Path dir) throws IOException {
            return Finder.isHidden(dir) || MadeFolder.is(dir) || cache != null && Files.exists(cache) && Files.isSameFile(dir, cache);
        }

        private boolean takes(Path dir) {
            return only != null && only.matches(folder.relativize(dir)) && folders.add(dir);
        }

        @Override
        public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
            Path relative = folder.relativize(file);
            if (attributes.isRegularFile() && (only == null || only.matches(relative))) {
                entries.add(new Entry(file, relative, attributes));
            } else if (attributes.isDirectory() && !isPassedOver(file)) { // as deep as is asked for
                takes(file);
            }
            return FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
            if (e instanceof FileSystemLoopException) {
                return FileVisitResult.CONTINUE; // its files are met where they lie
            }
            throw e;
        }
    }
}
