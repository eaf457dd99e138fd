package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.Batch;
import io.sterna.nn.Engine;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.LlamaPass;
import io.sterna.rng.Philox;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.ModelFolder;
import io.sterna.train.PreparedData;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Continues texts with a trained model. Each token costs a forward pass over the model's window. Belongs to
 * one thread at a time.
 */
public final class Generator implements AutoCloseable {
    private static final int DOMAIN = 0x53414d50; // "SAMP": apart from other uses of a seed

    private final Tokenizer tokenizer;
    private final LlamaConfig config;
    private final Workspace workspace = new Workspace();
    private final Slices slices;
    private final LlamaPass pass;
    private final MemorySegment window;
    private final FloatMatrix logits;

    /**
     * Opens the model of a run folder or model folder.
     *
     * @param loader reads its tokenizer.json
     */
    public static Generator open(Path folder, int threads, PreparedData.TokenizerLoader loader) throws IOException {
        ModelFolder model = ModelFolder.open(folder);
        return new Generator(model, model.tokenizer(loader), threads);
    }

    private Generator(ModelFolder folder, Tokenizer tokenizer, int threads) throws IOException {
        this.tokenizer = tokenizer;
        this.config = folder.model();
        this.slices = new Slices(threads);
        try {
            int widest = Math.max(config.hidden(), config.intermediate());
            Engine engine = new Engine(Kernels.best(), slices, threads, workspace, widest);
            Llama model = new Llama(config, folder.method(), engine, workspace);
            this.pass = new LlamaPass(model, engine, new Batch(1, config.seqLen()), true, workspace);
            Workspace.Section scratch = workspace.section(MemoryKind.SCRATCH);
            this.window = scratch.allocate((long) config.seqLen() * Integer.BYTES);
            this.logits = FloatMatrix.allocate(scratch, FloatType.F32, 1, config.vocab());
            model.initialize(0); // the rotary table; the weights are read next
            folder.read(model);
        } catch (IOException | RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /**
     * The prompt and what the model makes of it, until {@code maxTokens} more tokens or the end of a document.
     *
     * @param prompt empty: the model starts a document
     */
    public String continueText(String prompt, int maxTokens, Sampling sampling) {
        Tokens tokens = new Tokens();
        tokens.add(tokenizer.endToken()); // documents begin behind the end of another one
        byte[] utf8 = prompt.getBytes(StandardCharsets.UTF_8);
        tokenizer.encoder(false).encode(utf8, 0, utf8.length, tokens);
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        text.writeBytes(utf8);
        for (int i = 0; i < maxTokens; i++) {
            int next = next(tokens.toArray(), sampling, i);
            if (next == tokenizer.endToken()) {
                break;
            }
            tokens.add(next);
            text.writeBytes(tokenizer.bytes(next));
        }
        return text.toString(StandardCharsets.UTF_8);
    }

    /** Tokens beyond the context are forgotten from the front; places behind the last token are never seen. */
    private int next(int[] tokens, Sampling sampling, int position) {
        int length = Math.min(tokens.length, config.seqLen());
        MemorySegment.copy(tokens, tokens.length - length, window, ValueLayout.JAVA_INT, 0, length);
        pass.logits(window, length - 1, logits);
        return choose(sampling, position);
    }

    private int choose(Sampling sampling, int position) {
        int[] candidates = IntStream.range(0, config.vocab()).boxed()
                .sorted((a, b) -> Float.compare(logits.get(0, b), logits.get(0, a)))
                .limit(sampling.temperature() == 0 ? 1 : sampling.topK() == 0 ? config.vocab() : sampling.topK())
                .mapToInt(Integer::intValue)
                .toArray();
        double[] weights = Arrays.stream(candidates)
                .mapToDouble(t -> Math.exp((logits.get(0, t) - logits.get(0, candidates[0])) / Math.max(sampling.temperature(), 1e-6)))
                .toArray();
        double threshold = uniform(sampling.seed(), position) * Arrays.stream(weights).sum();
        int i = 0;
        for (double sum = weights[0]; sum < threshold && i < weights.length - 1; ) {
            sum += weights[++i];
        }
        return candidates[i];
    }

    /** In [0, 1), from the seed and the position alone. */
    private static double uniform(long seed, int position) {
        int[] random = new int[4];
        Philox.block(position, 0, 0, DOMAIN, (int) seed, (int) (seed >>> 32), random);
        return Integer.toUnsignedLong(random[0]) * 0x1p-32;
    }

    @Override
    public void close() {
        slices.close();
        workspace.close();
    }
}
