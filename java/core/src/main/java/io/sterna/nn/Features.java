package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Team;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * The output features of a float weight (N, K) in parts: what threads share where a token's sums must not depend on how
 * many others there are. The parts are windows of the weight's own workspace, so all engines may use them.
 */
final class Features {
    /** Rows of a part: enough to keep a kernel busy, few enough to even out among threads. */
    static final long PART = 256;
    /** Tokens of a product whose sums the kernels compute one by one, in the order of a single token's. */
    private static final long GEMV_TOKENS = 8;

    private final List<FloatMatrix> parts;

    Features(Workspace.Section section, FloatMatrix weight) {
        this.parts = FloatMatrix.windows(section, weight, PART);
    }

    List<FloatMatrix> parts() {
        return parts;
    }

    /**
     * y (T, N) = x (T, K) times the weight transposed; flags as those of gemm, which may add. A token's numbers do
     * not depend on the others.
     */
    Team.Work product(Engine engine, FloatMatrix x, FloatMatrix y, int flags) {
        return new Team.Work(parts.size(), (i, worker) -> {
            FloatMatrix part = parts.get((int) i);
            for (long t0 = 0; t0 < y.rows(); t0 += GEMV_TOKENS) {
                long t1 = Math.min(y.rows(), t0 + GEMV_TOKENS);
                FloatMatrix tokens = engine.rows(worker, x, t0, t1);
                FloatMatrix columns = engine.part(worker, y, t0, t1, i * PART, i * PART + part.rows());
                engine.kernels().gemm(tokens, part, columns, flags | Kernels.TRANSPOSE_B, 0, t1 - t0, worker.scratch());
            }
        });
    }
}
