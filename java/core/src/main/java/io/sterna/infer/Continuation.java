package io.sterna.infer;

import io.sterna.data.Tokenizer;
import java.util.function.Consumer;

/** A text that is being continued: how its next token is chosen, what it came to, when it ends. */
final class Continuation {
    private final Tokenizer tokenizer;
    private final GenerationOptions options;
    private final TextStream text;
    private final Sampler sampler;
    private final int promptTokens;
    private final long start;
    private final long ready;
    private int count;
    private Generation.End end;
    private Throwable failure;

    /**
     * A text whose prompt the model has seen.
     *
     * @param sink  is given the text by {@link #send}
     * @param start {@link System#nanoTime} before the prompt
     */
    Continuation(Tokenizer tokenizer, GenerationOptions options, Consumer<String> sink, int promptTokens, long start) {
        this.tokenizer = tokenizer;
        this.options = options;
        this.text = new TextStream(options.stops(), sink);
        this.sampler = new Sampler(options.sampling(), tokenizer.vocabSize());
        this.promptTokens = promptTokens;
        this.start = start;
        this.ready = System.nanoTime();
    }

    /**
     * Chooses the next token and takes it into the text.
     *
     * @param logits  (vocab)
     * @param history tokens of the sequence so far
     * @param full    whether the sequence can hold no more
     * @throws IllegalArgumentException for a logit that is not finite
     */
    int next(float[] logits, int[] history, boolean full) {
        int token = sampler.choose(logits, history, history.length);
        count++;
        boolean ended = tokenizer.endTokens().contains(token);
        boolean stopped = !ended && text.append(tokenizer.bytes(token));
        end = ended ? Generation.End.END_OF_TEXT : stopped ? Generation.End.STOP_STRING
                : count == options.maxTokens() ? Generation.End.MAX_TOKENS : full ? Generation.End.CONTEXT_FULL : null;
        if (end != null) {
            text.finish();
        }
        return token;
    }

    /** Gives the sink what was added since; throws what it throws. */
    void send() {
        text.send();
    }

    /** It ends here, because its sink threw. */
    void failSink(Throwable thrown) {
        fail(Generation.End.SINK_FAILED, thrown);
    }

    /** It ends here, because no token could be chosen; what was held back is text. */
    void failChoice(IllegalArgumentException thrown) {
        text.finish();
        fail(Generation.End.NOT_FINITE, thrown);
    }

    private void fail(Generation.End why, Throwable thrown) {
        end = why;
        failure = thrown;
    }

    /** Whether the token chosen last, its sink or a failed choice ended it. */
    boolean hasEnded() {
        return end != null;
    }

    /** What it came to, once it has ended. */
    Generation result() {
        return new Generation(text.text(), end, promptTokens, count, (ready - start) * 1e-9, (System.nanoTime() - ready) * 1e-9, failure);
    }
}
