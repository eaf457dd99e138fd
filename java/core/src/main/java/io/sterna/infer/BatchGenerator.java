package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Continues many texts at once, each from a prompt and with a choice of tokens of its own; one may begin or end
 * while others go on. A step reads the weights once for all, so many texts together come several times as fast as
 * one after the other, and each is the same as alone. Belongs to one thread at a time.
 */
public final class BatchGenerator {
    private final SessionGroup group;
    private final Tokenizer tokenizer;
    private final Continuation[] places;
    private final float[][] logits;

    /** A generator for a group of the tokenizer's model; the group's sequences are used up. */
    public BatchGenerator(SessionGroup group, Tokenizer tokenizer) {
        this.group = group;
        this.tokenizer = tokenizer;
        this.places = new Continuation[group.size()];
        this.logits = new float[group.size()][tokenizer.vocabSize()];
    }

    /** Whether all places are taken. */
    public boolean isFull() {
        return free() < 0;
    }

    /** Texts under way. */
    public int active() {
        return activePlaces().length;
    }

    private int free() {
        return IntStream.range(0, places.length).filter(i -> places[i] == null).findFirst().orElse(-1);
    }

    private int[] activePlaces() {
        return IntStream.range(0, places.length).filter(i -> places[i] != null).toArray();
    }

    /**
     * Begins a text: its prompt goes through the model now.
     *
     * @param prompt an empty one lets the model start a document
     * @param sink   is given what is added, as it comes, in whole characters
     * @return its place, 0 ... size - 1, until it ends
     * @throws IllegalStateException when all places are taken
     * @throws ContextException      for a prompt that the context does not hold
     */
    public int add(String prompt, GenerationOptions options, Consumer<String> sink) {
        int place = free();
        if (place < 0) {
            throw new IllegalStateException("all " + places.length + " places are taken: step until one ends");
        }
        long start = System.nanoTime();
        int[] tokens = prompt(prompt);
        int[][] more = new int[places.length][0];
        more[place] = tokens;
        group.truncate(place, 0);
        group.append(more);
        places[place] = new Continuation(tokenizer, options, sink, tokens.length, start);
        return place;
    }

    /**
     * Checks a prompt before its turn comes.
     *
     * @throws ContextException when the context does not hold it
     */
    public void check(String prompt) {
        prompt(prompt);
    }

    private int[] prompt(String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        Tokens tokens = new Tokens();
        tokens.add(tokenizer.beginToken());
        tokenizer.encoder(false).encode(utf8, 0, utf8.length, tokens);
        if (tokens.size() > group.context()) {
            throw ContextException.ofPrompt(tokens.size(), 0, group.context());
        }
        return tokens.toArray();
    }

    /**
     * Adds a token to every text under way.
     *
     * @return those that ended, by their places, which are free now
     */
    public Map<Integer, Generation> step() {
        int[] active = activePlaces();
        Map<Integer, Generation> ended = new LinkedHashMap<>();
        if (active.length == 0) {
            return ended;
        }
        int[][] more = new int[places.length][0];
        group.logits(active, logits);
        for (int i = 0; i < active.length; i++) {
            int place = active[i];
            int[] history = group.tokens(place);
            int token = places[place].next(logits[i], history, history.length == group.context());
            if (places[place].hasEnded()) {
                ended.put(place, places[place].finish());
                places[place] = null;
            } else {
                more[place] = new int[] {token};
            }
        }
        if (ended.size() < active.length) {
            group.append(more);
        }
        return ended;
    }

    /** Gives up a text under way; its place is free then. */
    public void cancel(int place) {
        places[place] = null;
    }
}
