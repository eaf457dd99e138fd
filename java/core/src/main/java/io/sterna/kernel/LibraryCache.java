package io.sterna.kernel;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.net.URL;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * Unpacks libraries that travel in a jar into a folder named after their content, and opens them.
 *
 * <p>The folder is {@code <cache>/<SHA-256>}. The cache is the first of these where the library can be
 * written and executed: {@code $XDG_CACHE_HOME/sterna} (without that variable {@code ~/.cache/sterna}),
 * then {@code <java.io.tmpdir>/sterna-<user>}. A file that is there already is used only when its
 * SHA-256 is right, and replaced otherwise. Files appear by atomic rename, so any number of processes
 * may share a cache.
 */
final class LibraryCache {
    /** A file in a jar and the SHA-256, in 64 hex digits, that its content must have. */
    record Packed(String name, URL content, String sha256) {}

    /** An open library: its file and its symbols. */
    record Opened(Path path, SymbolLookup symbols) {}

    private static final Set<PosixFilePermission> OWNER_ONLY = PosixFilePermissions.fromString("rwx------");
    private static final Set<PosixFilePermission> OTHERS_WRITE = PosixFilePermissions.fromString("----w--w-");

    private LibraryCache() {}

    /** {@code <os>-<cpu>} as the jars name their folders, for example {@code linux-x86_64}. */
    static String platform() {
        String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String cpu = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        return (os.startsWith("mac") ? "macos" : os) + "-" + (cpu.equals("amd64") ? "x86_64" : cpu);
    }

    /**
     * Unpacks and opens files in order, each of which may need the ones before it.
     *
     * @return the last file
     * @throws NativeLibraryException naming each folder that was tried, what failed there, and the remedy
     */
    static Opened open(List<Packed> files, String remedy) {
        Packed library = files.getLast();
        List<String> failures = new ArrayList<>();
        for (Path cache : caches(failures)) {
            Path folder = cache.resolve(library.sha256());
            try {
                makeFolder(folder);
                for (Packed file : files) {
                    install(file, folder);
                }
                Opened opened = null;
                for (Packed file : files) {
                    Path path = folder.resolve(file.name());
                    opened = new Opened(path, open(path));
                }
                return opened;
            } catch (IOException e) {
                failures.add(folder + ": " + describe(e));
            }
        }
        throw new NativeLibraryException(String.format(Locale.ROOT,
                "cannot load %s for %s from %s; %s", library.name(), platform(), String.join(", nor from ",
                failures), remedy), null);
    }

    /**
     * Opens one library file.
     *
     * @throws IOException with the dynamic linker's reason when it refuses the file
     * @throws NativeLibraryException when the JVM was told to deny native access to Sterna
     */
    static SymbolLookup open(Path file) throws IOException {
        try {
            // An automatic arena lets the library go with the class loader that asked for it.
            return SymbolLookup.libraryLookup(file, Arena.ofAuto());
        } catch (IllegalCallerException e) {
            throw denied(file.toString(), e);
        } catch (IllegalArgumentException e) {
            throw new IOException(linkerReason(file), e);
        }
    }

    /**
     * For initializers of classes that use the bindings' constants and structs, and before other native access: what these
     * throw would hide the option that is missing.
     *
     * @throws NativeLibraryException when the JVM was told to deny native access to Sterna
     */
    static void requireAccess() {
        try {
            AddressLayout unused = ValueLayout.ADDRESS.withTargetLayout(ValueLayout.JAVA_BYTE); // restricted, as the bindings' own
        } catch (IllegalCallerException e) {
            throw denied("Sterna's kernels", e);
        }
    }

    private static NativeLibraryException denied(String what, IllegalCallerException e) {
        Module module = LibraryCache.class.getModule();
        String caller = module.isNamed() ? module.getName() : "ALL-UNNAMED";
        return new NativeLibraryException("cannot load " + what
                + ": this JVM denies native access; start it with --enable-native-access=" + caller, e);
    }

    /** libraryLookup keeps the dynamic linker's words to itself; System.load fails alike and tells them. */
    private static String linkerReason(Path file) {
        try {
            System.load(file.toAbsolutePath().toString());
            return "the dynamic linker refused it once and then took it";
        } catch (UnsatisfiedLinkError e) {
            return e.getMessage().replaceFirst("^(.+): \\1: ", "$1: "); // the JVM and the linker both name the file
        }
    }

    /** The folders to try, best first; what is no path goes to the failures. */
    private static List<Path> caches(List<String> failures) {
        String xdg = System.getenv("XDG_CACHE_HOME");
        String home = xdg == null || xdg.isEmpty() ? System.getProperty("user.home") + "/.cache" : xdg;
        List<Path> caches = new ArrayList<>();
        // A user without home has "?" for one, and a relative XDG_CACHE_HOME has no meaning.
        path(home + "/sterna", failures).filter(Path::isAbsolute).ifPresent(caches::add);
        path(temporary() + "/sterna-" + System.getProperty("user.name"), failures).ifPresent(caches::add);
        return caches;
    }

    private static Optional<Path> path(String name, List<String> failures) {
        try {
            return Optional.of(Path.of(name));
        } catch (InvalidPathException e) {
            failures.add(describe(e));
            return Optional.empty();
        }
    }

    private static String temporary() {
        return System.getProperty("java.io.tmpdir");
    }

    /** Under a locale without UTF-8 a JVM cannot name every folder that there is. */
    static String describe(InvalidPathException e) {
        return e.getMessage() + " (file names are in " + System.getProperty("sun.jnu.encoding") + " here, as the locale says)";
    }

    private static void makeFolder(Path folder) throws IOException {
        Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(OWNER_ONLY));
        Path cache = folder.getParent();
        if (path(temporary(), new ArrayList<>()).filter(cache::startsWith).isPresent()) {
            refuseForeign(cache);
        }
    }

    /** Anyone may have made this folder before us in a shared place; what is in it will be executed. */
    private static void refuseForeign(Path cache) throws IOException {
        Path ours = Files.createTempFile(cache, "owner", null);
        try {
            if (!Files.getOwner(ours).equals(Files.getOwner(cache))) {
                throw new IOException(cache + " belongs to another user, " + Files.getOwner(cache));
            }
            if (!Collections.disjoint(Files.getPosixFilePermissions(cache), OTHERS_WRITE)) {
                throw new IOException("other users may write to " + cache);
            }
        } finally {
            Files.delete(ours);
        }
    }

    private static void install(Packed file, Path folder) throws IOException {
        Path target = folder.resolve(file.name());
        if (Files.exists(target) && sha256(target).equals(file.sha256())) {
            return;
        }
        Path part = Files.createTempFile(folder, file.name(), ".part");
        try {
            try (InputStream in = file.content().openStream()) {
                Files.copy(in, part, StandardCopyOption.REPLACE_EXISTING);
            }
            String written = sha256(part);
            if (!written.equals(file.sha256())) {
                throw new IOException(String.format(Locale.ROOT,
                        "the jar's %s has SHA-256 %s instead of %s", file.name(), written, file.sha256()));
            }
            Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    /** The SHA-256 of what a URL holds, in 64 hex digits. */
    static String sha256(URL content) throws IOException {
        return sha256(content.openStream());
    }

    /** That of a file: as a URL, its name would have to be UTF-8. */
    private static String sha256(Path file) throws IOException {
        return sha256(Files.newInputStream(file));
    }

    private static String sha256(InputStream content) throws IOException {
        MessageDigest digest = newDigest();
        try (InputStream in = new DigestInputStream(content, digest)) {
            in.transferTo(OutputStream.nullOutputStream());
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static MessageDigest newDigest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }

    /** File-system exceptions say only the path, or the path and a reason: name the kind as well. */
    private static String describe(IOException e) {
        return e instanceof FileSystemException f && f.getReason() == null
                ? e.getClass().getSimpleName() + " " + e.getMessage()
                : e.getMessage();
    }
}
