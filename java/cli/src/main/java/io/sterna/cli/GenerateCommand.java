package io.sterna.cli;

import io.sterna.infer.Generation;
import io.sterna.infer.GenerationOptions;
import io.sterna.infer.Generator;
import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.tensor.FloatType;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Continues a text with a trained model. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Continues a text with a trained model; prints both as the text comes.")
final class GenerateCommand implements Callable<Integer> {
    @Mixin
    private ModelOptions model;

    @Option(names = "--prompt", paramLabel = "TEXT", description = "The text to continue; default standard input. \"\" starts a document.")
    private String prompt;

    @Mixin
    private SamplingOptions sampling;

    @Option(names = "--quiet", description = "Print the text alone, no speeds.")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        GenerationOptions options = sampling.read();
        PrintWriter out = spec.commandLine().getOut();
        try (Model loaded = model.load(); Session session = model.session(loaded, FloatType.BF16)) {
            String text = prompt == null ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8) : prompt;
            out.print(text);
            Generation result = new Generator(session, loaded.tokenizer()).generate(text, options, piece -> print(out, piece));
            out.println();
            out.flush();
            if (!quiet) {
                spec.commandLine().getErr().println(speeds(result));
            }
        }
        return 0;
    }

    static void print(PrintWriter out, String piece) {
        out.print(piece);
        out.flush();
    }

    /** Tokens per second of prompt and generation, and why it ended. */
    static String speeds(Generation g) {
        return Units.format("prompt %d tokens, %.1f tokens/s; generation %d tokens, %.1f tokens/s; %s",
                g.promptTokens(), g.promptTokens() / g.promptSeconds(), g.tokens(), g.tokens() / g.generationSeconds(),
                g.end().name().toLowerCase(Locale.ROOT).replace('_', ' '));
    }
}
