package io.sterna.cli;

import io.sterna.train.TrainConfig;
import io.sterna.train.TrainListener;
import io.sterna.train.TrainingRun;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Run folders of tiny models with a tokenizer of one's own. */
final class TinyRun {
    private TinyRun() {}

    /**
     * One step over documents that blank lines separate.
     *
     * @param json the tokenizer.json
     */
    static Path train(Path folder, String text, String json) throws IOException {
        Path parent = Files.createTempDirectory(folder, "run");
        Path data = Files.writeString(parent.resolve("data.txt"), text);
        Path tokenizer = Files.writeString(parent.resolve("tokenizer.json"), json);
        Path out = parent.resolve("out");
        TrainConfig config = new TrainConfig().set("hidden", 32).set("intermediate", 64).set("layers", 1).set("heads", 2).set("seq-len", 16)
                .set("batch", 2).set("steps", 1).set("threads", 1).set("method", "fp32").set("split", "blank-lines").set("holdout", 0.2)
                .set("tokenizer", tokenizer).set("data", data).set("cache", parent.resolve("cache")).set("out", out);
        try (TrainingRun run = TrainingRun.open(config, TrainListener.NONE, Tokenizers::load)) {
            run.train();
        }
        return out;
    }
}
