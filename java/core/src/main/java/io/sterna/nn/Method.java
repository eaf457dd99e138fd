package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import java.util.Locale;
import java.util.Objects;

/**
 * How the weights are represented and used in training.
 *
 * @param kind           the family
 * @param grid           codes of the packed weights for {@link Kind#DQT}; {@link Grid#TERNARY} for
 *                       {@link Kind#BITNET}; null for the float methods
 * @param ternaryForward {@link Kind#DQT} only: the forward pass uses the absmean-ternarised weights, while
 *                       the stored codes take the update
 * @param scaling        weights that share a scale; {@link Scaling#TENSOR} unless {@link Kind#DQT}
 * @param scaleRule      how scales follow from the initial weights
 * @param floatType      type of embeddings, norms and head; for {@link Kind#FP32} and {@link Kind#BF16} of
 *                       every weight. BF16 weights are written by stochastic rounding
 */
public record Method(Kind kind, Grid grid, boolean ternaryForward, Scaling scaling, ScaleRule scaleRule,
                     FloatType floatType) {
    /** Families of methods. */
    public enum Kind {
        /** Direct Quantized Training (Zhao et al., arXiv 2412.04787): packed low-bit weights from the first step to the last. */
        DQT,
        /** BitNet b1.58 (Ma et al., arXiv 2402.17764): FP32 master weights, ternary forward, straight-through gradient. */
        BITNET,
        /** Plain FP32 weights. */
        FP32,
        /** BF16 weights with stochastic rounding. */
        BF16
    }

    /** @throws IllegalArgumentException for fields that contradict each other; the message names them */
    public Method {
        Objects.requireNonNull(kind, "method kind");
        Objects.requireNonNull(scaling, "method scaling");
        Objects.requireNonNull(scaleRule, "method scale rule");
        Objects.requireNonNull(floatType, "method float type");
        require(kind == Kind.DQT ? grid != null : kind != Kind.BITNET || grid == Grid.TERNARY,
                "bits " + (grid == null ? "none" : grid.width()) + ": not a width for method " + name(kind));
        require(kind == Kind.DQT || kind == Kind.BITNET || grid == null,
                "bits: method " + name(kind) + " has no packed weights");
        require(!ternaryForward || kind == Kind.DQT && grid.bits() > 2,
                "ternary forward: needs method dqt with 3 to 8 bits");
        require(kind == Kind.DQT || scaling.equals(Scaling.TENSOR),
                "scale " + scaling + ": method " + name(kind) + " has a fixed scaling; leave it at tensor");
        require(kind != Kind.FP32 || floatType == FloatType.F32, "float type " + floatType + ": method fp32 needs f32");
        require(kind != Kind.BF16 || floatType == FloatType.BF16, "float type " + floatType + ": method bf16 needs bf16");
    }

    /** The paper's reference mode: one absmean scale a tensor, fixed; embeddings, norms and head in F32. */
    public static Method dqt(Grid grid) {
        return new Method(Kind.DQT, grid, false, Scaling.TENSOR, ScaleRule.ABSMEAN, FloatType.F32);
    }

    /** The paper's ternary-inference variant: 8-bit stored weights, ternary in the forward pass. */
    public static Method dqtTernaryForward() {
        return new Method(Kind.DQT, Grid.INT8, true, Scaling.TENSOR, ScaleRule.ABSMEAN, FloatType.F32);
    }

    /** BitNet b1.58. */
    public static Method bitnet() {
        return new Method(Kind.BITNET, Grid.TERNARY, false, Scaling.TENSOR, ScaleRule.ABSMEAN, FloatType.F32);
    }

    /** Plain FP32. */
    public static Method fp32() {
        return new Method(Kind.FP32, null, false, Scaling.TENSOR, ScaleRule.ABSMEAN, FloatType.F32);
    }

    /** BF16 weights with stochastic rounding. */
    public static Method bf16() {
        return new Method(Kind.BF16, null, false, Scaling.TENSOR, ScaleRule.ABSMEAN, FloatType.BF16);
    }

    /** The same with another scaling and rule. */
    public Method withScale(Scaling scaling, ScaleRule rule) {
        return new Method(kind, grid, ternaryForward, scaling, rule, floatType);
    }

    /** The same with embeddings, norms and head in another type. */
    public Method withFloatType(FloatType type) {
        return new Method(kind, grid, ternaryForward, scaling, scaleRule, type);
    }

    /** Whether linear layers multiply int8 activations by packed weights. */
    public boolean quantized() {
        return grid != null;
    }

    /** Whether gradients of linear layers can be computed from int8: not with scales along the sum. */
    public boolean int8Gradients() {
        return quantized() && (scaling.equals(Scaling.TENSOR) || scaling.equals(Scaling.ROW));
    }

    /** Whether the forward pass uses a ternary copy made from other weights. */
    public boolean ternarised() {
        return kind == Kind.BITNET || ternaryForward;
    }

    /** How a trained model's weights are represented when it is used: ternarised once and for all. */
    public Method deployed() {
        return ternarised() ? dqt(Grid.TERNARY).withFloatType(floatType) : this;
    }

    /**
     * A parameter as this method stores it, all zero.
     *
     * @param id   position in the model's list
     * @param name its Hugging Face name
     */
    public Parameter parameter(int id, String name, LayerKind kind, long rows, long cols, Workspace workspace) {
        if (kind.linear() && this.kind == Kind.DQT) {
            return new Parameter.Packed(id, name, kind,
                    PackedMatrix.allocate(workspace.section(MemoryKind.PACKED_WEIGHTS), grid, scaling, rows, cols));
        }
        FloatType type = kind.linear() && this.kind == Kind.BITNET ? FloatType.F32 : floatType;
        return new Parameter.Plain(id, name, kind,
                FloatMatrix.allocate(workspace.section(MemoryKind.FLOAT_WEIGHTS), type, rows, cols));
    }

    /** Those of the kernels that the method computes with: plain fp32 rounds nothing to bf16, in attention neither. */
    public Kernels kernels(Kernels kernels) {
        return kind == Kind.FP32 && kernels != null ? kernels.inF32() : kernels; // a plan has none
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new IllegalArgumentException(message);
        }
    }

    private static String name(Kind kind) {
        return kind.name().toLowerCase(Locale.ROOT);
    }
}
