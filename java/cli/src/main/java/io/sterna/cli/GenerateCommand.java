package io.sterna.cli;

import io.sterna.infer.Generator;
import io.sterna.infer.Sampling;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Continues a text with a trained model. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Continues a text with a trained model.")
final class GenerateCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "MODEL", description = "A run folder or its model folder.")
    private Path model;

    @Option(names = "--prompt", paramLabel = "TEXT", defaultValue = "", description = "The text to continue; default starts a document.")
    private String prompt;

    @Option(names = "--tokens", paramLabel = "N", defaultValue = "200", description = "Tokens to add at most. Default: ${DEFAULT-VALUE}")
    private int tokens;

    @Option(names = "--temperature", paramLabel = "X", defaultValue = "0.8", description = "0 takes the most likely token. Default: ${DEFAULT-VALUE}")
    private double temperature;

    @Option(names = "--top-k", paramLabel = "N", defaultValue = "40", description = "Only the N most likely tokens; 0 for all. Default: ${DEFAULT-VALUE}")
    private int topK;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "42", description = "The same seed gives the same text. Default: ${DEFAULT-VALUE}")
    private long seed;

    @Option(names = "--threads", paramLabel = "N", description = "Threads; default all processors.")
    private Integer threads;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        int workers = threads == null ? Runtime.getRuntime().availableProcessors() : threads;
        Sampling sampling = sampling();
        try (Generator generator = Generator.open(model, workers, Tokenizers::load)) {
            spec.commandLine().getOut().println(generator.continueText(prompt, tokens, sampling));
        }
        return 0;
    }

    private Sampling sampling() {
        try {
            return new Sampling(temperature, topK, seed);
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage(), e);
        }
    }
}
