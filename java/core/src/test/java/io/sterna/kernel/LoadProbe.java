package io.sterna.kernel;

import java.nio.file.Path;

/** Loads the libraries in a JVM of its own and prints where from, or the error. */
final class LoadProbe {
    private LoadProbe() {}

    public static void main(String[] libraries) {
        try {
            for (String library : libraries) {
                Path path = switch (library) {
                    case "sterna" -> NativeLibrary.load();
                    case "openblas" -> OpenBlas.load();
                    default -> throw new IllegalArgumentException(library);
                };
                System.out.println(NativeLibrary.class.getModule() + " " + path);
            }
        } catch (NativeLibraryException e) {
            System.out.println(e.getMessage());
            System.exit(3);
        }
    }
}
