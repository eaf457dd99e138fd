package io.sterna.kernel;

/** Uses the libraries in a JVM of its own and prints what comes of each use, or the error. */
final class LoadProbe {
    private static final int REFUSED = 3;

    private LoadProbe() {}

    public static void main(String[] uses) {
        boolean refused = false;
        for (String use : uses) {
            try {
                System.out.println(NativeLibrary.class.getModule() + " " + result(use));
            } catch (NativeLibraryException e) {
                System.out.println(e.getMessage());
                refused = true;
            }
        }
        System.exit(refused ? REFUSED : 0);
    }

    private static Object result(String use) {
        return switch (use) {
            case "sterna" -> NativeLibrary.load();
            case "openblas" -> OpenBlas.load();
            case "tier" -> "tier " + Tier.best();
            case "slices" -> Slices.SCRATCH_BYTES;
            case "kernels" -> Kernels.ACCUMULATE;
            case "blas" -> OpenBlas.coreName();
            default -> throw new IllegalArgumentException(use);
        };
    }
}
