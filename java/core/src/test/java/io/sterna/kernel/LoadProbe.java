package io.sterna.kernel;

import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;

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
            case "adamw" -> new AdamWStep(section());
            case "sgd" -> new SgdStep(section());
            case "adafactor" -> new AdafactorStep(section());
            case "attention" -> attention(section());
            case "heap" -> trim();
            default -> throw new IllegalArgumentException(use);
        };
    }

    /** Its memory goes with the JVM. */
    private static Workspace.Section section() {
        return new Workspace().section(MemoryKind.SCRATCH);
    }

    private static AttentionCall attention(Workspace.Section section) {
        FloatMatrix x = FloatMatrix.allocate(section, FloatType.F32, 1, 2);
        FloatMatrix lse = FloatMatrix.allocate(section, FloatType.F32, 1, 1);
        return new AttentionCall(section, new AttentionCall.Shape(1, 1, 1, 1, 2), x, x, x, x, lse);
    }

    private static String trim() {
        NativeHeap.trim();
        return "trimmed";
    }
}
