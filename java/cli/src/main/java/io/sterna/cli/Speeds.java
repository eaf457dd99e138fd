package io.sterna.cli;

import io.sterna.infer.Generation;

/** Tokens and seconds of prompts and of what was generated behind them. */
record Speeds(long promptTokens, double promptSeconds, long tokens, double generationSeconds) {
    static Speeds of(Generation g) {
        return new Speeds(g.promptTokens(), g.promptSeconds(), g.tokens(), g.generationSeconds());
    }

    @Override
    public String toString() {
        return Units.format("prompt %d tokens, %.1f tokens/s; generation %d tokens, %.1f tokens/s",
                promptTokens, rate(promptTokens, promptSeconds), tokens, rate(tokens, generationSeconds));
    }

    private static double rate(long tokens, double seconds) {
        return tokens == 0 ? 0 : tokens / seconds;
    }
}
