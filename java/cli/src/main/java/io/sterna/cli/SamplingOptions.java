package io.sterna.cli;

import io.sterna.infer.GenerationOptions;
import io.sterna.infer.Sampling;
import java.util.List;
import picocli.CommandLine.Option;

/** Options of the commands that generate text. */
final class SamplingOptions {
    @Option(names = "--max-tokens", paramLabel = "N", defaultValue = "200", description = "Tokens to add at most. Default: ${DEFAULT-VALUE}")
    private int maxTokens;

    @Option(names = "--temperature", paramLabel = "X", defaultValue = "0.8", description = "0 takes the most likely token. Default: ${DEFAULT-VALUE}")
    private double temperature;

    @Option(names = "--top-k", paramLabel = "N", defaultValue = "40",
            description = "Only the N most likely tokens; 0 for all. Default: ${DEFAULT-VALUE}")
    private int topK;

    @Option(names = "--top-p", paramLabel = "X", defaultValue = "1",
            description = "Only the most likely tokens that reach this probability. Default: ${DEFAULT-VALUE}")
    private double topP;

    @Option(names = "--min-p", paramLabel = "X", defaultValue = "0",
            description = "Only tokens of this share of the best one's probability. Default: ${DEFAULT-VALUE}")
    private double minP;

    @Option(names = "--repetition-penalty", paramLabel = "X", defaultValue = "1",
            description = "Above 1 makes tokens that occurred less likely. Default: ${DEFAULT-VALUE}")
    private double repetitionPenalty;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "42", description = "The same seed gives the same text. Default: ${DEFAULT-VALUE}")
    private long seed;

    @Option(names = "--stop", paramLabel = "TEXT", description = "A text that ends the answer before it; may be repeated.")
    private List<String> stops = List.of();

    @Option(names = "--special",
            description = "Special tokens written in a prompt, such as <|im_start|>, are those tokens; otherwise they are plain text.")
    private boolean special;

    /** The options; {@code usualStops} end the text where the user names no strings, and give way to those that are named. */
    GenerationOptions read(String... usualStops) {
        GenerationOptions options = Errors.usage(() ->
                new GenerationOptions(maxTokens, stops, new Sampling(repetitionPenalty, temperature, topK, topP, minP, seed), special));
        return stops.isEmpty() ? options.withStops(usualStops) : options;
    }
}
