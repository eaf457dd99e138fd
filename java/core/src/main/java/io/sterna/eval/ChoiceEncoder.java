package io.sterna.eval;

import io.sterna.data.Tokenizer;
import io.sterna.data.Tokens;
import io.sterna.eval.Question.Choice;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * Answers behind their contexts as tokens, as lm-evaluation-harness makes them: white space at the end of a context
 * counts to the continuation, whose tokens are those of both texts together behind as many as the context alone has. The
 * begin token stands before a text where the tokenizer adds it, and before the answer to an empty context.
 */
final class ChoiceEncoder {
    private final Tokenizer tokenizer;
    private final Tokenizer.Encoder encoder;

    ChoiceEncoder(Tokenizer tokenizer) {
        this.tokenizer = tokenizer;
        this.encoder = tokenizer.encoder(false);
    }

    /**
     * Tokens of a text, and which of them are scored.
     *
     * @param tokens all
     * @param scored the first that is; at least 1
     */
    record Encoded(int[] tokens, int scored) {
        /** Tokens that a model is given for it: the last one is only predicted. */
        int given() {
            return tokens.length - 1;
        }

        /** Without tokens in front that a context of so many does not hold, as far as none of them is scored. */
        Encoded within(int context) {
            int cut = Math.clamp((long) given() - context, 0, scored - 1);
            return new Encoded(Arrays.copyOfRange(tokens, cut, tokens.length), scored - cut);
        }
    }

    /**
     * A question's answers.
     *
     * @throws TaskException for one that adds no token to its context
     */
    Encoded[] encode(Question question) throws TaskException {
        List<Choice> choices = question.choices();
        Encoded[] texts = new Encoded[choices.size()];
        for (int i = 0; i < texts.length; i++) {
            texts[i] = encode(choices.get(i), question.source() + " answer " + i);
        }
        return texts;
    }

    private Encoded encode(Choice choice, String source) throws TaskException {
        String context = choice.context().stripTrailing();
        boolean begins = tokenizer.addsBeginToken() || tokens(false, context).size() == 0;
        Tokens whole = tokens(begins, choice.context() + choice.continuation());
        Tokens tokens = tokens(begins, context);
        int scored = tokens.size();
        for (int i = scored; i < whole.size(); i++) {
            tokens.add(whole.get(i));
        }
        if (tokens.size() == scored) {
            throw new TaskException(source + ": adds no token to its context; the answer cannot be scored");
        }
        return new Encoded(tokens.toArray(), scored);
    }

    private Tokens tokens(boolean begins, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        Tokens tokens = new Tokens();
        if (begins) {
            tokens.add(tokenizer.beginToken());
        }
        encoder.encode(utf8, 0, utf8.length, tokens);
        return tokens;
    }
}
