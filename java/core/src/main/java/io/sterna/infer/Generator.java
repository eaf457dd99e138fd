package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/**
 * Continues texts in a session. Each call goes on where the last one ended, so a conversation costs its new
 * tokens only; {@link Session#truncate} to 0 begins anew. After that and any other change that its caller makes to the
 * session, what the session holds is all that the next text follows. Belongs to one thread at a time.
 */
public final class Generator {
    private final Session session;
    private final Tokenizer tokenizer;
    private final float[] logits;
    private final Tokens unseen = new Tokens(); // the last text's last token
    private long changes; // of the session when that token was chosen

    /** A generator for a session of the tokenizer's model. */
    public Generator(Session session, Tokenizer tokenizer) {
        this.session = session;
        this.tokenizer = tokenizer;
        this.logits = new float[tokenizer.vocabSize()];
    }

    /**
     * Appends the prompt, and then what the model makes of it. A sink that throws ends the text as a limit of tokens
     * would: its exception comes out here, and the next call goes on behind the token whose text it was given.
     *
     * @param prompt an empty one at the beginning of a session lets the model start a document, later it adds nothing
     * @param sink   is given the text as it comes, in whole characters
     * @throws ContextException       for a prompt that the rest of the context does not hold
     * @throws IllegalStateException  for an empty one behind a session that was truncated, unless to 0: there are no logits to go on from
     * @throws SessionClosedException when the session is closed, perhaps meanwhile by another thread
     */
    public Generation generate(String prompt, GenerationOptions options, Consumer<String> sink) {
        long start = System.nanoTime();
        int promptTokens = appendPrompt(prompt, options.parseSpecial());
        Continuation text = new Continuation(tokenizer, options, sink, promptTokens, start);
        while (true) {
            session.logits(logits);
            int[] history = session.tokens();
            int token = text.next(logits, history, history.length == session.context());
            unseen.add(token); // until the session has it, which is when there is more to say
            changes = session.changes();
            text.send();
            if (text.hasEnded()) {
                return text.result();
            }
            session.append(token);
            unseen.clear();
        }
    }

    /** Whether the last text's last token, which the session sees before the next prompt, ends with {@code text}. */
    public boolean endsWith(String text) {
        dropStale();
        return unseen.size() > 0 && new String(tokenizer.bytes(unseen.get(unseen.size() - 1)), StandardCharsets.UTF_8).endsWith(text);
    }

    /** The session is not to see the last text's last token. */
    public void dropEnd() {
        unseen.clear();
    }

    /** A token chosen behind other tokens than the session now holds belongs to another text. */
    private void dropStale() {
        if (unseen.size() > 0 && changes != session.changes()) {
            dropEnd();
        }
    }

    private int appendPrompt(String prompt, boolean parseSpecial) {
        dropStale();
        Tokens tokens = session.length() == 0 ? tokenizer.encodeFromBeginning(prompt, parseSpecial) : following(prompt, parseSpecial);
        if (tokens.size() > session.context() - session.length()) {
            throw ContextException.ofPrompt(tokens.size(), session.length(), session.context());
        }
        if (tokens.size() > 0) {
            session.append(tokens.toArray());
        }
        dropEnd();
        return tokens.size();
    }

    private Tokens following(String prompt, boolean parseSpecial) {
        Tokens tokens = new Tokens();
        tokens.add(unseen.toArray(), 0, unseen.size());
        byte[] utf8 = prompt.getBytes(StandardCharsets.UTF_8);
        tokenizer.encoder(parseSpecial).encode(utf8, 0, utf8.length, tokens);
        return tokens;
    }
}
