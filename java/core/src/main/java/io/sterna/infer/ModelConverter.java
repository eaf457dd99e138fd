package io.sterna.infer;

import io.sterna.kernel.KernelException;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.Engine;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.nn.Requantizer;
import io.sterna.nn.ScaleRule;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import io.sterna.tensor.Workspace;
import io.sterna.train.ModelFolder;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/**
 * Writes a model with its linear layers on another grid: the codes nearest to its weights, with scales that
 * follow from them by a rule; for {@link Grid#TERNARY} and {@link ScaleRule#ABSMEAN} BitNet's ternary weights. Of a
 * model trained with a ternary forward pass, those with one scale a tensor are the ones it was trained with.
 */
public final class ModelConverter {
    private final Grid grid;
    private final Scaling scaling;
    private final ScaleRule rule;
    private final FloatType floatType;

    /**
     * A converter.
     *
     * @param grid      codes of the linear layers
     * @param scaling   which of their weights share a scale
     * @param rule      how scales follow from the weights
     * @param floatType type of embeddings, norms and head, or null for the model's
     */
    public ModelConverter(Grid grid, Scaling scaling, ScaleRule rule, FloatType floatType) {
        this.grid = Objects.requireNonNull(grid, "grid");
        this.scaling = Objects.requireNonNull(scaling, "scaling");
        this.rule = Objects.requireNonNull(rule, "rule");
        this.floatType = floatType;
    }

    /**
     * Converts a model; memory holds the new weights and one of the old tensors at a time.
     *
     * @param from a run folder or model folder
     * @param out  a folder that is not there, or empty: the model folder
     * @throws ModelException                   for weights that are not finite
     * @throws io.sterna.train.ConfigException  when there is no model, or {@code out} holds something
     * @throws io.sterna.io.CheckpointException when weights are missing or damaged
     */
    public void convert(Path from, Path out) throws IOException {
        ModelFolder source = ModelFolder.open(from);
        ModelFolder target = target(source, out);
        Method method = target.method();
        Requantizer requantizer = new Requantizer(Kernels.best(), rule);
        LlamaConfig shape = target.model();
        try (Workspace workspace = new Workspace(); Slices slices = new Slices(1)) {
            Engine engine = new Engine(Kernels.best(), slices, 1, workspace, shape.widest());
            Llama model = new Llama(shape, method, engine, workspace);
            for (Parameter parameter : model.parameters()) {
                write(source, parameter, requantizer);
            }
            target.write(model.parameters(), source);
        }
    }

    /**
     * Refuses what {@link #convert} would refuse of its folders, before long work on the model.
     *
     * @throws io.sterna.train.ConfigException as there
     */
    public void check(Path from, Path out) throws IOException {
        target(ModelFolder.open(from), out);
    }

    private ModelFolder target(ModelFolder source, Path out) throws IOException {
        ModelFolder target = ModelFolder.of(out, settings(source));
        target.requireFree();
        return target;
    }

    private TrainConfig settings(ModelFolder source) {
        LlamaConfig shape = source.model();
        FloatType floats = floatType == null ? source.method().floatType() : floatType;
        return new TrainConfig().set("begin-token", source.config().beginToken)
                .set("add-begin-token", source.config().addBeginToken).set("end-token", source.config().endToken)
                .set("method", "dqt").set("bits", grid.width()).set("forward", "stored")
                .set("scale", scaling.toString()).set("scale-rule", rule.toString()).set("float-type", floats.toString())
                .set("sub-ln", shape.subLn()).set("hidden", shape.hidden()).set("intermediate", shape.intermediate())
                .set("layers", shape.layers()).set("heads", shape.heads()).set("kv-heads", shape.kvHeads()).set("head-dim", shape.headDim())
                .set("vocab", shape.vocab()).set("seq-len", shape.seqLen()).set("rope-theta", shape.ropeTheta())
                .set("rope-scaling", shape.ropeScaling().toString()).set("rms-epsilon", shape.rmsEpsilon()).set("tie-embeddings", shape.tied());
    }

    private static void write(ModelFolder source, Parameter to, Requantizer requantizer) throws IOException {
        try (Workspace temporary = new Workspace()) {
            Parameter stored = source.method().parameter(to.id(), to.name(), to.kind(), to.rows(), to.cols(), temporary);
            source.read(List.of(stored));
            requantizer.write(stored, to);
        } catch (KernelException e) {
            throw new ModelException("model " + source.path() + ": tensor " + to.name() + ": " + e.getMessage(), e);
        }
    }
}
