package io.sterna.train;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.Batch;
import io.sterna.nn.Engine;
import io.sterna.nn.LayerKind;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.LlamaPass;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.optim.Optimizer;
import io.sterna.optim.OptimizerConfig;
import io.sterna.optim.Schedule;
import io.sterna.tensor.Workspace;
import java.util.List;

/**
 * The parts of a training in a workspace: built for real by {@link Trainer}, and in a planning workspace,
 * without kernels, threads and schedule, by {@link MemoryPlan}.
 */
record Machinery(Llama model, LlamaPass pass, Updater updater, TernaryFlips ternaryFlips, MemoryPlan plan) {
    static Machinery of(LlamaConfig config, Method method, OptimizerConfig optimizerConfig, TrainSettings settings,
                        Kernels kernels, Slices slices, int workers, Workspace workspace) {
        return of(config, method, optimizerConfig, null, settings, kernels, slices, workers, workspace);
    }

    static Machinery of(LlamaConfig config, Method method, OptimizerConfig optimizerConfig, Schedule schedule,
                        TrainSettings settings, Kernels kernels, Slices slices, int workers, Workspace workspace) {
        long widest = config.widest();
        Engine engine = new Engine(method.kernels(kernels), slices, workers, workspace, widest);
        Llama model = new Llama(config, method, engine, workspace);
        Batch batch = new Batch(settings.batch(), config.seqLen(), settings.activations(), settings.gradients());
        LlamaPass pass = new LlamaPass(model, engine, batch, settings.recompute(), workspace);
        List<Parameter> parameters = model.parameters();
        Optimizer optimizer = Optimizer.of(optimizerConfig, kernels, workspace, parameters.stream().map(Updater::sizeOf).toList());
        Updater updater = new Updater(engine, optimizer, settings, rates(schedule, optimizerConfig), parameters,
                pass::addsUp, workspace, workers);
        TernaryFlips ternaryFlips = new TernaryFlips(engine, method, parameters, workspace);
        return new Machinery(model, pass, updater, ternaryFlips, MemoryPlan.of(model, pass, settings, optimizerConfig, workspace, workers));
    }

    private static Updater.Rates rates(Schedule schedule, OptimizerConfig optimizer) {
        return new Updater.Rates() {
            @Override
            public float rate(long step) {
                return (float) schedule.rate(step);
            }

            @Override
            public float keep(long step, LayerKind kind) {
                double decay = kind == LayerKind.NORM ? 0 : schedule.weightDecay(step, optimizer.weightDecay());
                return (float) (1 - schedule.rate(step) * decay);
            }
        };
    }
}
