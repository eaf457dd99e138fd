package io.sterna.infer;

import java.util.List;

/**
 * How a text is continued, and until when.
 *
 * @param maxTokens    tokens to add at most, at least 1
 * @param stops        strings that end the text before them; none is empty
 * @param sampling     how tokens are chosen
 * @param parseSpecial whether special tokens written in the prompt ("&lt;|im_start|&gt;") become their ids; otherwise they
 *                     are plain text, as in a prompt nobody vouches for
 */
public record GenerationOptions(int maxTokens, List<String> stops, Sampling sampling, boolean parseSpecial) {
    /** @throws IllegalArgumentException for fewer than one token, or an empty stop string */
    public GenerationOptions {
        stops = List.copyOf(stops);
        if (maxTokens < 1) {
            throw new IllegalArgumentException("max-tokens " + maxTokens + ": must be at least 1");
        }
        if (stops.contains("")) {
            throw new IllegalArgumentException("stop \"\": must not be empty");
        }
    }

    /** Special tokens in the prompt are plain text. */
    public GenerationOptions(int maxTokens, List<String> stops, Sampling sampling) {
        this(maxTokens, stops, sampling, false);
    }

    /** Up to so many tokens, sampled with seed 42. */
    public static GenerationOptions of(int maxTokens) {
        return new GenerationOptions(maxTokens, List.of(), Sampling.of(42));
    }

    /** The same with stop strings. */
    public GenerationOptions withStops(String... strings) {
        return new GenerationOptions(maxTokens, List.of(strings), sampling, parseSpecial);
    }

    /** The same with another choice of tokens. */
    public GenerationOptions withSampling(Sampling other) {
        return new GenerationOptions(maxTokens, stops, other, parseSpecial);
    }

    /** The same with special tokens in the prompt as their ids, or as plain text. */
    public GenerationOptions withParseSpecial(boolean parse) {
        return new GenerationOptions(maxTokens, stops, sampling, parse);
    }
}
