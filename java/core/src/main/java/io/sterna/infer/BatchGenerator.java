package io.sterna.infer;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import java.util.Arrays;
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
    private static final int[] NOTHING = {};

    private final SessionGroup group;
    private final Tokenizer tokenizer;
    private final Continuation[] places;
    private final float[][] logits;
    private final int[][] unseen; // the token that each text chose last, until the model has it

    /** A generator for a group of the tokenizer's model; the group's sequences are used up. */
    public BatchGenerator(SessionGroup group, Tokenizer tokenizer) {
        this.group = group;
        this.tokenizer = tokenizer;
        this.places = new Continuation[group.size()];
        this.logits = new float[group.size()][tokenizer.vocabSize()];
        this.unseen = new int[group.size()][];
        Arrays.fill(unseen, NOTHING);
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
     * @param sink   is given what is added, as it comes, in whole characters; what it throws ends the text, see {@link #step}
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
        int[] tokens = prompt(prompt, options);
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
    public void check(String prompt, GenerationOptions options) {
        prompt(prompt, options);
    }

    private int[] prompt(String text, GenerationOptions options) {
        Tokens tokens = tokenizer.encodeFromBeginning(text, options.parseSpecial());
        if (tokens.size() > group.context()) {
            throw ContextException.ofPrompt(tokens.size(), 0, group.context());
        }
        return tokens.toArray();
    }

    /**
     * Adds a token to every text under way. A sink that throws, whatever it is, ends its own text alone, with {@link
     * Generation.End#SINK_FAILED}; it may give up any text by {@link #cancel}. So does a logit that is not finite, with
     * {@link Generation.End#NOT_FINITE}: the weights are damaged, at least those that this text meets.
     *
     * @return those that ended, by their places, which are free now
     * @throws SessionClosedException when the group is closed, perhaps meanwhile by another thread
     */
    public Map<Integer, Generation> step() {
        int[] active = activePlaces();
        if (active.length > 0) {
            appendUnseen();
            choose(active);
        }
        return send(active);
    }

    /** Takes the tokens of the last step through the model; when that fails, the next step finds them again. */
    private void appendUnseen() {
        if (Arrays.stream(unseen).anyMatch(token -> token.length > 0)) {
            group.append(unseen);
            Arrays.fill(unseen, NOTHING);
        }
    }

    private void choose(int[] active) {
        group.logits(active, logits);
        for (int i = 0; i < active.length; i++) {
            choose(active[i], logits[i]);
        }
    }

    private void choose(int place, float[] ofPlace) {
        int[] history = group.tokens(place);
        try {
            unseen[place] = new int[] {places[place].next(ofPlace, history, history.length == group.context())};
        } catch (IllegalArgumentException e) {
            places[place].failChoice(e);
        }
    }

    /** Gives all sinks their text, ahead of the next pass: none waits for it, and a text whose sink threw takes no part in it. */
    private Map<Integer, Generation> send(int[] active) {
        Map<Integer, Generation> ended = new LinkedHashMap<>();
        for (int place : active) {
            Continuation text = places[place];
            if (text == null) {
                continue; // the sink of one before it gave it up
            }
            send(text);
            if (text.hasEnded() && text == places[place]) {
                ended.put(place, text.result());
                cancel(place);
            }
        }
        return ended;
    }

    private static void send(Continuation text) {
        try {
            text.send();
        } catch (Throwable e) {
            text.failSink(e);
        }
    }

    /**
     * Gives up a text under way; its place is free then. Does nothing for a place that is free.
     *
     * @throws IndexOutOfBoundsException when there is no such place
     */
    public void cancel(int place) {
        if (place < 0 || place >= places.length) {
            throw new IndexOutOfBoundsException("place " + place + ": the group has " + places.length + ", from 0 on");
        }
        places[place] = null;
        unseen[place] = NOTHING;
    }
}
