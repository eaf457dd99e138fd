package io.sterna.cli;

import io.sterna.infer.GgufImport;
import io.sterna.infer.HuggingFaceImport;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Reads a model that others made. */
@Command(
        name = "import",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Reads a model of Hugging Face's transformers or of llama.cpp.",
            "A folder of transformers holds a LLaMA or BitNet model, in floats or packed ternary weights; a GGUF file of llama.cpp one in"
                + " f32, f16, bf16, q8_0, q5_0, q5_1, q4_0, q4_1, q2_k to q6_k, iq4_nl, iq4_xs, tq1_0 or tq2_0, mixed or not; ternary blocks stay"
                + " ternary, others become floats. Use the result with generate, eval and export, or start a training from it: train --init DIR."
        })
final class ImportCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR|FILE", description = "A folder that holds config.json, tokenizer.json or tokenizer.model, and"
            + " model.safetensors or several with an index; or a GGUF file.")
    private Path source;

    @Option(names = "--tokenizer", paramLabel = "FILE", description = "A tokenizer.json or tokenizer.model to use instead of the model's"
            + " own, or where it has none.")
    private Path tokenizer;

    @Option(names = "--end-token", paramLabel = "ID",
            description = "A token that ends a text; may be repeated, the first one ends documents. Default: those that the model's files name.")
    private List<Integer> endTokens = List.of();

    @Option(names = "--out", paramLabel = "DIR", required = true, description = "A new folder: the model.")
    private Path out;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        if (!Files.exists(source)) {
            throw new ConfigException(source + ": no such folder or file");
        }
        Shutdown.wholly(out, this::read);
        spec.commandLine().getOut().println("model " + out);
        return 0;
    }

    private void read() throws IOException {
        if (!Files.isRegularFile(source)) {
            HuggingFaceImport.read(source, Optional.ofNullable(tokenizer), Tokenizers::load, endTokens, out);
        } else {
            GgufImport.read(source, Optional.ofNullable(tokenizer), Tokenizers::load, endTokens, out);
        }
    }
}
