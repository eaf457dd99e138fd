package io.sterna.cli;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Machine.Probe;
import io.sterna.kernel.Meter;
import io.sterna.kernel.Slices;
import io.sterna.nn.CacheType;
import io.sterna.nn.Engine;
import io.sterna.nn.LayerKind;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.LlamaDecoder;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.PackedMatrix;
import io.sterna.tensor.QuantizedMatrix;
import io.sterna.tensor.Workspace;
import io.sterna.train.ConfigException;
import io.sterna.train.ModelFolder;
import io.sterna.train.ProcessMemory;
import io.sterna.train.Setting.Group;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.function.DoubleConsumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Times generation with random weights: prompts, one sequence, several side by side. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        customSynopsis = "sterna bench generate [OPTION...]",
        description = {
            "Times generation with random weights: a prompt, one sequence, several side by side, in turns; the median of each.",
            "Shares are those of what the machine does by turns with it: of the read bandwidth for the bytes that a token"
                + " touches (weights, head, cached keys and values), of the int8 product of the feed-forward layer for a prompt.",
            "With --init the weights are random too: the model gives its shape alone."
        })
final class BenchGenerateCommand implements Callable<Integer> {
    private static final Set<String> RUN_SETTINGS = Set.of("seed", "threads", "vocab");
    private static final int STEPS = 4; // tokens of a turn
    private static final int PROMPT_TOKENS = 256;

    @Option(names = "--prompt-tokens", paramLabel = "N", description = "Tokens of the prompt; default 256, or what the context holds.")
    private Integer promptTokens;

    @Option(names = "--batch", paramLabel = "N", defaultValue = "8", description = "Sequences side by side. Default: ${DEFAULT-VALUE}")
    private int batch;

    @Option(names = "--cache", paramLabel = "f32|bf16|int8", defaultValue = "bf16",
            description = "Type of cached keys and values. Default: ${DEFAULT-VALUE}")
    private String cache;

    @Option(names = "--seconds", paramLabel = "X", defaultValue = "20", description = "Time to measure. Default: ${DEFAULT-VALUE}")
    private double seconds;

    @Mixin
    private JsonFile json;

    @Spec
    private CommandSpec spec;

    /** The settings of model and method as options. */
    static void addOptions(CommandSpec spec) {
        SettingOptions.addShape(spec, Set.of(Group.MODEL, Group.METHOD), RUN_SETTINGS);
    }

    @Override
    public Integer call() throws IOException {
        json.check();
        TrainConfig config = new TrainConfig();
        SettingOptions.apply(spec.commandLine().getParseResult(), config);
        config = config.resolved();
        if (promptTokens == null) {
            promptTokens = Math.min(PROMPT_TOKENS, config.seqLen - STEPS);
        }
        BenchCommand.requireSeconds(seconds);
        if (batch < 1) {
            throw new ConfigException("batch " + batch + ": must be at least 1");
        }
        if (promptTokens < 1 || promptTokens > config.seqLen - STEPS) {
            throw new ConfigException("prompt-tokens " + promptTokens + ": must be at least 1 and leave " + STEPS + " of the context of "
                    + config.seqLen + " to generate");
        }
        Map<String, Object> figures = measure(config);
        print(figures);
        json.write(figures);
        return 0;
    }

    /** Before it is taken: as many sequences as one likes can need more than the machine has. */
    private void requireMemory(LlamaConfig model, Method method, Kernels kernels, Slices slices) throws IOException {
        try (Workspace plan = Workspace.planning()) {
            Engine engine = new Engine(kernels, slices, slices.workers(), plan, model.widest());
            Llama llama = new Llama(model, method, engine, plan);
            new LlamaDecoder(llama, engine, size(1), plan);
            new LlamaDecoder(llama, engine, size(batch), plan);
            Optional<String> shortage = ProcessMemory.shortage(plan.totalBytes());
            if (shortage.isPresent()) {
                throw new ConfigException("memory: the bench " + shortage.get() + "; lower batch or prompt-tokens, or choose a smaller model");
            }
        }
    }

    private Map<String, Object> measure(TrainConfig config) throws IOException {
        ModelFolder shape = ModelFolder.of(Path.of("."), config);
        Method method = shape.method().deployed();
        Kernels kernels = method.kernels(Kernels.best());
        try (Slices slices = new Slices(config.threads); Workspace workspace = new Workspace()) {
            LlamaConfig model = shape.model();
            requireMemory(model, method, kernels, slices);
            Engine engine = new Engine(kernels, slices, slices.workers(), workspace, model.widest());
            Llama llama = new Llama(model, method, engine, workspace);
            llama.initialize(config.seed);
            Runner one = new Runner(new LlamaDecoder(llama, engine, size(1), workspace), config);
            Runner many = new Runner(new LlamaDecoder(llama, engine, size(batch), workspace), config);
            Product product = method.quantized() ? new Product(llama, engine, workspace) : null;
            Samples shares = new Samples();
            long bytes = bytesOfToken(llama);
            try (Meter meter = Meter.of(kernels.tier(), Probe.READ, slices).orElseThrow()) {
                long end = System.nanoTime() + (long) (seconds * 1e9);
                do {
                    one.turn(seconds -> shares.add(bytes / seconds / meter.sample()));
                    many.turn(seconds -> { });
                    if (product != null) {
                        product.turn();
                    }
                } while (System.nanoTime() < end);
            }
            return report(config, llama, one, many, product, shares.median(), kernels.tier().toString());
        }
    }

    /** The int8 product of the prompt's tokens and the first feed-forward layer, and its times. */
    private final class Product {
        private final Engine engine;
        private final PackedMatrix w;
        private final QuantizedMatrix x;
        private final FloatMatrix y;
        private final Samples times = new Samples();

        Product(Llama llama, Engine engine, Workspace workspace) {
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            this.engine = engine;
            this.w = llama.parameters().stream().filter(p -> p.kind() == LayerKind.GATE)
                    .map(p -> ((Parameter.Packed) p).weight()).findFirst().orElseThrow();
            this.x = QuantizedMatrix.allocate(section, promptTokens, w.cols());
            this.y = FloatMatrix.allocate(section, FloatType.F32, promptTokens, w.rows());
        }

        void turn() {
            for (int i = 0; i < STEPS; i++) {
                times.time(() -> engine.slices().rows(w.rows(), 64, (r0, r1, worker) ->
                        engine.kernels().linear(x, w, y, null, r0, r1, worker.scratch())));
            }
        }

        double operationsPerSecond() {
            return 2.0 * promptTokens * w.rows() * w.cols() / times.median();
        }
    }

    private LlamaDecoder.Size size(int sequences) {
        return new LlamaDecoder.Size(sequences, promptTokens + STEPS, Errors.usage(() -> CacheType.parse(cache)), Math.max(promptTokens, sequences));
    }

    /** A decoder and the times of its prompt and its steps. */
    private final class Runner {
        private final LlamaDecoder decoder;
        private final int[] sequences;
        private final SplittableRandom random;
        private final int vocab;
        private final Samples prompt = new Samples();
        private final Samples step = new Samples();

        Runner(LlamaDecoder decoder, TrainConfig config) {
            this.decoder = decoder;
            this.sequences = new int[decoder.size().sequences()];
            this.random = new SplittableRandom(config.seed);
            this.vocab = config.vocab;
            Arrays.setAll(sequences, i -> i);
        }

        /** A prompt, which all sequences share, and some tokens behind it; {@code after} gets the seconds of each. */
        void turn(DoubleConsumer after) {
            decoder.cache(0).truncate(0);
            int[] lengths = new int[sequences.length];
            lengths[0] = promptTokens;
            prompt.time(() -> {
                decoder.forward(tokens(promptTokens), lengths);
                decoder.logits(0);
            });
            for (int sequence : sequences) {
                decoder.copy(0, sequence, promptTokens);
            }
            Arrays.fill(lengths, 1);
            for (int i = 0; i < STEPS; i++) {
                after.accept(step.time(() -> {
                    decoder.forward(tokens(sequences.length), lengths);
                    decoder.logits(sequences);
                }));
            }
        }

        private int[] tokens(int count) {
            return random.ints(count, 0, vocab).toArray();
        }
    }

    private Map<String, Object> report(TrainConfig config, Llama llama, Runner one, Runner many, Product product, double share, String tier) {
        long linear = llama.parameters().stream().filter(p -> p.kind().linear()).mapToLong(p -> p.rows() * p.cols()).sum();
        Map<String, Object> f = new LinkedHashMap<>();
        SettingOptions.putModel(f, config);
        f.put("method", config.method);
        f.put("bits", config.bits);
        f.put("float_type", llama.method().floatType().toString());
        f.put("cache", cache);
        f.put("threads", config.threads);
        f.put("tier", tier);
        f.put("prompt_tokens", promptTokens);
        f.put("batch", batch);
        f.put("bytes_weights", weightBytes(llama));
        f.put("bytes_head", headBytes(llama));
        f.put("bytes_cache", cacheBytes(llama));
        f.put("read_bytes_per_second", bytesOfToken(llama) / one.step.median() / share);
        f.put("one_tokens_per_second", 1 / one.step.median());
        f.put("one_tokens_per_second_best", 1 / one.step.least());
        f.put("one_share_of_bandwidth", share);
        f.put("batch_tokens_per_second", batch / many.step.median());
        f.put("batch_tokens_per_second_best", batch / many.step.least());
        f.put("batch_over_one", batch * one.step.median() / many.step.median());
        f.put("prompt_tokens_per_second", promptTokens / one.prompt.median());
        if (product != null) {
            f.put("int8_product_ops_per_second", product.operationsPerSecond());
            f.put("prompt_share_of_int8_product", 2.0 * linear * promptTokens / one.prompt.median() / product.operationsPerSecond());
        }
        return f;
    }

    /** What a token of one sequence reads. */
    private long bytesOfToken(Llama llama) {
        return weightBytes(llama) + headBytes(llama) + cacheBytes(llama);
    }

    private static long weightBytes(Llama llama) {
        return llama.parameters().stream().filter(p -> p.kind().linear()).mapToLong(BenchGenerateCommand::bytes).sum();
    }

    private static long headBytes(Llama llama) {
        return (long) llama.config().vocab() * llama.config().hidden() * llama.method().floatType().bytes();
    }

    private long cacheBytes(Llama llama) {
        LlamaConfig c = llama.config();
        return 2L * c.layers() * c.kvHeads() * (promptTokens + 1) * rowBytes(c.headDim());
    }

    /** Bytes of a key or value of a head. */
    private long rowBytes(int headDim) {
        return switch (CacheType.parse(cache)) {
            case F32 -> (long) headDim * Float.BYTES;
            case BF16 -> (long) headDim * Short.BYTES;
            case INT8 -> Grid.INT8.rowBytes(headDim) + Float.BYTES;
        };
    }

    private static long bytes(Parameter parameter) {
        return switch (parameter) {
            case Parameter.Packed p -> p.weight().codes().byteSize() + p.weight().scales().byteSize();
            case Parameter.Plain p -> p.weight().data().byteSize();
        };
    }

    private void print(Map<String, Object> f) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(Units.format("%s %s%s, floats %s, cache %s, tier %s, %d threads, %d tokens before",
                SettingOptions.model(f), f.get("method"),
                f.get("bits") == null ? "" : " " + f.get("bits"), f.get("float_type"), f.get("cache"), f.get("tier"), f.get("threads"),
                f.get("prompt_tokens")));
        out.println(Units.format("a token reads  %s of weights, %s of head, %s of cache", megabytes(f, "bytes_weights"),
                megabytes(f, "bytes_head"), megabytes(f, "bytes_cache")));
        out.println(Units.format("one sequence   %.1f tokens/s (best %.1f), %.0f %% of the read bandwidth of %.1f GB/s",
                f.get("one_tokens_per_second"), f.get("one_tokens_per_second_best"),
                100 * (double) f.get("one_share_of_bandwidth"), (double) f.get("read_bytes_per_second") / 1e9));
        out.println(Units.format("%-14s %.1f tokens/s (best %.1f), %.2f times one", f.get("batch") + " sequences",
                f.get("batch_tokens_per_second"), f.get("batch_tokens_per_second_best"), f.get("batch_over_one")));
        String share = f.containsKey("int8_product_ops_per_second") ? Units.format(", %.0f %% of the int8 product's %.0f GOP/s",
                100 * (double) f.get("prompt_share_of_int8_product"), (double) f.get("int8_product_ops_per_second") / 1e9) : "";
        out.println(Units.format("prompt         %.1f tokens/s%s", f.get("prompt_tokens_per_second"), share));
        out.flush();
    }

    private static String megabytes(Map<String, Object> f, String key) {
        return Units.format("%.1f MB", (long) f.get(key) / 1e6);
    }
}
