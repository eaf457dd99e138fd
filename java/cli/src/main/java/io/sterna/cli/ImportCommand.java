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
        description = "Reads a float LLaMA model from a folder of Hugging Face's transformers.")
final class ImportCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "Holds config.json, model.safetensors and tokenizer.json.")
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
