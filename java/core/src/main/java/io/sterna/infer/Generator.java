package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/**
 * Continues texts in a session. Each call goes on where the last one ended, so a conversation costs its new
 * tokens only; {@link Session#truncate} to 0 begins anew. Belongs to one thread at a time.
 */
public final class Generator {
    private final Session session;
    private final Tokenizer tokenizer;
    private final float[] logits;
    private final Tokens unseen = new Tokens();

    /** A generator for a session of the tokenizer's model. */
    public Generator(Session session, Tokenizer tokenizer) {
        this.session = session;
        this.tokenizer = tokenizer;
        this.logits = new float[tokenizer.vocabSize()];
    }

    /**
     * Appends the prompt, and then what the model makes of it.
     *
     * @param prompt an empty one at the beginning of a session lets the model start a document
     * @param sink   is given the text as it comes, in whole characters
     * @throws ContextException       for a prompt that the rest of the context does not hold
     * @throws SessionClosedException when the session is closed, perhaps meanwhile by another thread
     */
    public Generation generate(String prompt, GenerationOptions options, Consumer<String> sink) {
        long start = System.nanoTime();
        int promptTokens = appendPrompt(prompt);
        long ready = System.nanoTime();
        TextStream text = new TextStream(options.stops(), sink);
        Sampler sampler = new Sampler(options.sampling(), tokenizer.vocabSize());
        Generation.End end = null;
        int count = 0;
        while (end == null) {
            int token = next(sampler);
            count++;
            end = accept(token, count, text, options);
        }
        text.finish();
        long done = System.nanoTime();
        return new Generation(text.text(), end, promptTokens, count, (ready - start) * 1e-9, (done - ready) * 1e-9);
    }

    private int appendPrompt(String prompt) {
        Tokens tokens = new Tokens();
        if (session.length() == 0) {
            unseen.clear();
            tokens.add(tokenizer.endToken()); // documents begin behind the end of another one
        }
        tokens.add(unseen.toArray(), 0, unseen.size());
        byte[] utf8 = prompt.getBytes(StandardCharsets.UTF_8);
        tokenizer.encoder(false).encode(utf8, 0, utf8.length, tokens);
        if (tokens.size() > session.context() - session.length()) {
            throw new ContextException("prompt of " + tokens.size() + " tokens behind " + session.length()
                    + ": the context holds " + session.context() + "; shorten the prompt");
        }
        session.append(tokens.toArray());
        unseen.clear();
        return tokens.size();
    }

    private int next(Sampler sampler) {
        session.logits(logits);
        return sampler.choose(logits, session.tokens(), session.length());
    }

    /** Takes a token into text and session; why the text ends with it, or null. */
    private Generation.End accept(int token, int count, TextStream text, GenerationOptions options) {
        boolean ended = token == tokenizer.endToken();
        boolean stopped = !ended && text.append(tokenizer.bytes(token));
        boolean enough = count == options.maxTokens();
        boolean full = session.length() == session.context();
        if (ended || stopped || enough || full) {
            unseen.add(token); // the session sees it when there is more to say
            return ended ? Generation.End.END_OF_TEXT : stopped ? Generation.End.STOP_STRING
                    : enough ? Generation.End.MAX_TOKENS : Generation.End.CONTEXT_FULL;
        }
        session.append(token);
        return null;
    }
}
