package io.sterna.cli;

import io.sterna.infer.HuggingFaceImport;
import java.io.IOException;
import java.nio.file.Path;
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
            "Reads a LLaMA or BitNet model from a folder of Hugging Face's transformers: floats, or packed ternary weights.",
            "Use the result with generate, eval and export, or start a training from it: train --init DIR."
        })
final class ImportCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "Holds config.json, tokenizer.json and model.safetensors, or several with an index.")
    private Path folder;

    @Option(names = "--out", paramLabel = "DIR", required = true, description = "A new folder: the model.")
    private Path out;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        HuggingFaceImport.read(folder, Tokenizers::load, out);
        spec.commandLine().getOut().println("model " + out);
        return 0;
    }
}
