package io.sterna.infer;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.nn.Batch;
import io.sterna.nn.Engine;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.LlamaPass;
import io.sterna.nn.Parameter;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import io.sterna.train.ModelFolder;
import io.sterna.train.TrainConfig;
import io.sterna.train.TrainListener;
import io.sterna.train.TrainingRun;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;

/** A model that a few steps of training made: bytes as tokens, a context of 32, odd sizes, grouped-query heads. */
public final class TinyModel {
    public static final int CONTEXT = 32;

    private TinyModel() {}

    /** The logits (vocab) behind a few tokens of a model of more than 256. */
    static float[] logits(Model model) {
        try (Session session = model.session(SessionOptions.of(model))) {
            session.append(256, 1, 2, 3);
            float[] logits = new float[model.config().vocab()];
            session.logits(logits);
            return logits;
        }
    }

    /** Trains one in {@code folder}, once; settings are words in pairs: a key, a value. */
    public static Path train(Path folder, String... settings) throws IOException {
        Path data = folder.resolve("data");
        if (!Files.exists(data)) {
            Files.createDirectories(data);
            for (int i = 0; i < 8; i++) {
                Files.writeString(data.resolve(i + ".txt"), "the tern flies north over the sea and the ice. ".repeat(8 + i));
            }
        }
        Path out = folder.resolve("run-" + String.join("-", settings).replace(':', '-'));
        if (Files.exists(out.resolve("summary.json"))) {
            return out;
        }
        TrainConfig config = new TrainConfig().set("hidden", 48).set("intermediate", 112).set("layers", 2).set("heads", 4)
                .set("kv-heads", 2).set("seq-len", CONTEXT).set("batch", 4).set("steps", 8).set("threads", 1).set("lr", 1e-2)
                .set("tokenizer", "bytes").set("holdout", 0.2).set("data", data).set("cache", folder.resolve("cache")).set("out", out);
        for (int i = 0; i < settings.length; i += 2) {
            config.set(settings[i], settings[i + 1]);
        }
        try (TrainingRun run = TrainingRun.open(config, TrainListener.NONE)) {
            run.train();
        }
        return out;
    }

    /** Of a model of floats: behind the token '~' alone, logits are infinite. */
    public static void damage(Model model) {
        model.llama().parameters().forEach(TinyModel::damage);
    }

    /** The first feature of the residual is that token's own, and the head makes it infinite. */
    private static void damage(Parameter parameter) {
        FloatMatrix weight = ((Parameter.Plain) parameter).weight();
        switch (parameter.kind()) {
            case EMBEDDING -> {
                for (int token = 0; token < weight.rows(); token++) {
                    weight.set(token, 0, token == '~' ? 100 : 0);
                }
            }
            case O, DOWN -> {
                for (int column = 0; column < weight.cols(); column++) {
                    weight.set(0, column, 0);
                }
            }
            case HEAD -> {
                for (int token = 0; token < weight.rows(); token++) {
                    weight.set(token, 0, 3e38f);
                }
            }
            default -> { }
        }
    }

    /** Logits after each of the tokens, (tokens, vocab), by the training's own forward pass over a full window. */
    public static float[][] trainingLogits(Path folder, int[] tokens) throws IOException {
        ModelFolder files = ModelFolder.open(folder);
        LlamaConfig config = files.model();
        try (Workspace workspace = new Workspace(); Slices slices = new Slices(1)) {
            Engine engine = new Engine(Kernels.best(), slices, 1, workspace, config.widest());
            Llama model = new Llama(config, files.method(), engine, workspace);
            files.read(model.parameters());
            LlamaPass pass = new LlamaPass(model, engine, new Batch(1, config.seqLen()), true, workspace);
            Workspace.Section section = workspace.section(MemoryKind.SCRATCH);
            MemorySegment window = section.allocate((long) config.seqLen() * Integer.BYTES);
            MemorySegment.copy(tokens, 0, window, ValueLayout.JAVA_INT, 0, tokens.length);
            FloatMatrix out = FloatMatrix.allocate(section, FloatType.F32, 1, config.vocab());
            float[][] logits = new float[tokens.length][];
            for (int i = 0; i < tokens.length; i++) {
                pass.logits(window, i, out);
                logits[i] = out.data().toArray(ValueLayout.JAVA_FLOAT);
            }
            return logits;
        }
    }
}
