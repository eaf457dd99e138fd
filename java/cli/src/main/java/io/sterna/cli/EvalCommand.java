package io.sterna.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.sterna.eval.Perplexity;
import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.tensor.FloatType;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures how well a model predicts a text. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Measures how well a model predicts a text: perplexity of tokens and words, bits per byte.",
            "The file is one document, taken as it is; WikiText-2 comes raw or with <unk> for rare words,",
            "and the two give different figures, so say which one was measured."
        })
final class EvalCommand implements Callable<Integer> {
    @Mixin
    private ModelOptions model;

    @Option(names = "--data", paramLabel = "FILE", required = true, description = "A text file in UTF-8.")
    private Path data;

    @Option(names = "--stride", paramLabel = "N", description = "Tokens from one window to the next; default half the context. Fewer see more before them and take longer.")
    private Integer stride;

    @Option(names = "--json", description = "Print the figures as JSON.")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        byte[] text = Files.readAllBytes(data);
        long start = System.nanoTime();
        try (Model loaded = model.load(); Session session = model.session(loaded, FloatType.F32)) {
            int step = stride == null ? Math.max(1, session.context() / 2) : stride;
            print(measure(loaded, session, text, step), (System.nanoTime() - start) * 1e-9);
        }
        return 0;
    }

    private Perplexity measure(Model loaded, Session session, byte[] text, int step) {
        try {
            return Perplexity.of(session, loaded.tokenizer(), text, step, share -> { });
        } catch (IllegalArgumentException e) {
            throw new ConfigException(data + ": " + e.getMessage(), e);
        }
    }

    private void print(Perplexity p, double seconds) throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        if (json) {
            out.println(new ObjectMapper().writeValueAsString(figures(p, seconds)));
        } else {
            out.println(Units.format("token perplexity  %.4f", p.tokenPerplexity()));
            out.println(Units.format("word perplexity   %.4f", p.wordPerplexity()));
            out.println(Units.format("bits per byte     %.4f", p.bitsPerByte()));
            out.println(Units.format("%d tokens, %d words, %d bytes; windows of %d tokens, %d apart; %.1f tokens/s",
                    p.tokens(), p.words(), p.bytes(), p.context(), p.stride(), p.tokens() / seconds));
        }
        out.flush();
    }

    private Map<String, Object> figures(Perplexity p, double seconds) {
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("data", data.toString());
        figures.put("token_perplexity", p.tokenPerplexity());
        figures.put("word_perplexity", p.wordPerplexity());
        figures.put("bits_per_byte", p.bitsPerByte());
        figures.put("nats_per_token", p.nats() / p.tokens());
        figures.put("tokens", p.tokens());
        figures.put("words", p.words());
        figures.put("bytes", p.bytes());
        figures.put("context", p.context());
        figures.put("stride", p.stride());
        figures.put("seconds", seconds);
        return figures;
    }
}
