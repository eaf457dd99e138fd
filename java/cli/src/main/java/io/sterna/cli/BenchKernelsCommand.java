package io.sterna.cli;

import io.sterna.io.Json;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Machine.Probe;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Tier;
import io.sterna.nn.LlamaConfig;
import io.sterna.tensor.Grid;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Times kernels beside the ceilings of the same run and OpenBLAS's sgemm. */
@Command(
        name = "kernels",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Times kernels by grid, shape and tier beside the ceilings measured in the same run.")
final class BenchKernelsCommand implements Callable<Integer> {
    /** For products alone; the gradients of many tokens have OUT columns, as many as IN at most. */
    private static final long MOST_OUT = 1 << 20;

    @Mixin
    private JsonFile json;

    @Option(names = "--tier", split = EvalCommand.LIST, splitSynopsisLabel = ",", paramLabel = "NAME",
            description = "Tiers; default all that are granted, or up to STERNA_TIER where it is set, the reference only where it is alone.")
    private List<String> tiers;

    @Option(names = "--bits", split = EvalCommand.LIST, splitSynopsisLabel = ",", paramLabel = "N", defaultValue = "1.58,8", description = "Grids. Default: ${DEFAULT-VALUE}")
    private List<String> bits;

    @Option(names = "--shape", split = EvalCommand.LIST, splitSynopsisLabel = ",", paramLabel = "OUTxIN", defaultValue = "768x768,2048x768,2048x2048,5632x2048",
            description = "Weight matrices. Default: ${DEFAULT-VALUE}")
    private List<String> shapes;

    @Option(names = "--tokens", split = EvalCommand.LIST, splitSynopsisLabel = ",", paramLabel = "T", defaultValue = "1,512,2048",
            description = "Tokens; up to 8 measure memory speed. Default: ${DEFAULT-VALUE}")
    private List<Integer> tokens;

    @Mixin
    private ThreadsOption threads;

    @Option(names = "--seconds", paramLabel = "X", defaultValue = "0.25", description = "Time for each figure. Default: ${DEFAULT-VALUE}")
    private double seconds;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        json.check();
        BenchCommand.requireSeconds(seconds);
        int workers = threads.count();
        List<KernelBench.Case> cases = cases();
        List<Map<String, Object>> rows = new ArrayList<>();
        Map<String, Map<String, Double>> ceilings = new LinkedHashMap<>();
        try (Slices slices = new Slices(workers)) {
            for (Tier tier : chosenTiers()) {
                Ceilings reached = new Ceilings(tier, slices, EnumSet.allOf(Probe.class));
                List<KernelBench.Row> measured = measure(tier, cases, new KernelBench(tier, slices, seconds, reached), reached);
                ceilings.put(tier.toString(), reached.toMap());
                measured.forEach(row -> rows.add(row.toMap(reached)));
                print(tier, workers, measured, reached);
            }
        }
        json.write(Json.ordered("threads", workers, "ceilings", ceilings, "rows", rows));
        return 0;
    }

    /** The rows of all cases; the ceilings are measured between them again, so that both meet the same neighbours. */
    private List<KernelBench.Row> measure(Tier tier, List<KernelBench.Case> cases, KernelBench bench, Ceilings ceilings) {
        List<KernelBench.Row> rows = new ArrayList<>();
        PrintWriter progress = spec.commandLine().getErr();
        for (KernelBench.Case c : cases) {
            progress.println(tier + ": measuring " + c + " ...");
            progress.flush();
            rows.addAll(bench.run(c));
            ceilings.measure();
        }
        return rows;
    }

    private List<KernelBench.Case> cases() {
        List<KernelBench.Case> cases = new ArrayList<>();
        for (int t : tokens) {
            if (t < 1) {
                throw new ConfigException("tokens " + t + ": must be at least 1");
            }
            for (String shape : shapes) {
                int x = shape.indexOf('x');
                long out = features(shape, "OUT", shape.substring(0, Math.max(x, 0)), t <= KernelBench.FEW_TOKENS ? MOST_OUT : LlamaConfig.MAX_WIDTH);
                long in = features(shape, "IN", shape.substring(x + 1), LlamaConfig.MAX_WIDTH);
                for (String width : bits) {
                    cases.add(new KernelBench.Case(Errors.usage(() -> Grid.ofWidth(width)), t, out, in));
                }
            }
        }
        return cases;
    }

    private static long features(String shape, String name, String side, long most) {
        if (!side.matches("\\d{1,9}")) {
            throw new ConfigException("shape \"" + shape + "\": expected OUTxIN, such as 2048x768");
        }
        long features = Long.parseLong(side);
        if (features < 1 || features > most) {
            throw new ConfigException(Units.format("shape \"%s\": %s must lie between 1 and %,d", shape, name, most));
        }
        return features;
    }

    private List<Tier> chosenTiers() {
        if (tiers != null) {
            return tiers.stream().map(name -> Errors.usage(() -> Kernels.of(Tier.parse(name)).tier())).toList();
        }
        int best = Errors.usage(Tier::best).ordinal();
        return List.of(Tier.values()).subList(Math.min(best, 1), best + 1);
    }

    private void print(Tier tier, int workers, List<KernelBench.Row> rows, Ceilings ceilings) {
        PrintWriter out = spec.commandLine().getOut();
        out.println();
        out.println(tier + ", " + workers + " threads; ceilings: " + ceilings);
        out.println(KernelBench.Row.HEADER);
        rows.forEach(row -> out.println(row.toString(ceilings)));
        out.flush();
    }
}
