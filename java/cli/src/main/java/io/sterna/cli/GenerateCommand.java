package io.sterna.cli;

import io.sterna.infer.BatchGenerator;
import io.sterna.infer.ContextException;
import io.sterna.infer.Generation;
import io.sterna.infer.GenerationOptions;
import io.sterna.infer.Generator;
import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.infer.SessionGroup;
import io.sterna.nn.CacheType;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Continues a text with a trained model. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Continues a text with a trained model; prints both as the text comes.",
            "With --prompts many texts at once, --batch of them side by side, each as it would be alone; prints a line of JSON"
                + " for each, in the order of the prompts. One whose logits are not finite ends there and says so; the others go on."
        })
final class GenerateCommand implements Callable<Integer> {
    private static final int BATCH = 8;

    @Mixin
    private ModelOptions model;

    @Option(names = "--prompt", paramLabel = "TEXT",
            description = "The text to continue; default standard input, without the end of its last line. \"\" starts a document.")
    private String prompt;

    @Option(names = "--prompts", paramLabel = "FILE", description = "A text to continue on every line.")
    private Path prompts;

    @Option(names = "--batch", paramLabel = "N", description = "Texts side by side, with --prompts. Default: " + BATCH)
    private Integer batch;

    @Mixin
    private SamplingOptions sampling;

    @Option(names = "--quiet", description = "Print the text alone, no speeds.")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        GenerationOptions options = sampling.read();
        if (prompts != null) {
            return generateMany(options);
        }
        if (batch != null) {
            throw new ConfigException("batch " + batch + ": is about the texts of --prompts; give them, or leave it out");
        }
        PrintWriter out = spec.commandLine().getOut();
        try (Model loaded = model.load()) {
            String text = prompt == null ? Inputs.withoutLineEnd(Inputs.text(System.in, "standard input")) : prompt;
            try (Session session = model.session(loaded, CacheType.BF16, needed(List.of(text), options, loaded))) {
                out.print(text);
                Generation result = new Generator(session, loaded.tokenizer()).generate(text, options, piece -> print(out, piece));
                out.println();
                Output.flush(out);
                if (!quiet) {
                    spec.commandLine().getErr().println(speeds(result));
                }
            }
        }
        return 0;
    }

    /** Tokens of context that the longest of texts needs: its own, as the model reads it, and those to add. */
    private static int needed(List<String> texts, GenerationOptions options, Model loaded) {
        int longest = 0;
        for (String text : texts) {
            longest = Math.max(longest, loaded.tokenizer().encodeFromBeginning(text, options.parseSpecial()).size());
        }
        return (int) Math.min(Integer.MAX_VALUE, (long) longest + options.maxTokens());
    }

    private int generateMany(GenerationOptions options) throws IOException {
        if (prompt != null) {
            throw new ConfigException("prompt and prompts: give one of them");
        }
        int side = batch == null ? BATCH : batch;
        if (side < 1) {
            throw new ConfigException("batch " + batch + ": must be at least 1");
        }
        List<String> lines = Inputs.text(prompts).lines().toList();
        try (Model loaded = model.load();
                SessionGroup group = model.group(loaded, CacheType.BF16, needed(lines, options, loaded), Math.clamp(lines.size(), 1, side))) {
            BatchGenerator generator = new BatchGenerator(group, loaded.tokenizer());
            check(generator, lines, options);
            Speeds speeds = generateMany(lines, generator, options);
            if (!quiet) {
                spec.commandLine().getErr().println(lines.size() + " texts; " + speeds);
            }
        }
        return 0;
    }

    /** Prompts go through the model one by one; the rest of the time is all texts' together. */
    private Speeds generateMany(List<String> lines, BatchGenerator generator, GenerationOptions options) throws IOException {
        long start = System.nanoTime();
        Map<Integer, Integer> lineOf = new HashMap<>(); // of a place
        Map<Integer, Generation> finished = new HashMap<>(); // by line
        List<String> failures = new ArrayList<>();
        long promptTokens = 0;
        double promptSeconds = 0;
        long tokens = 0;
        int next = 0;
        int printed = 0;
        while (printed < lines.size()) {
            while (next < lines.size() && !generator.isFull()) {
                lineOf.put(generator.add(lines.get(next), options, piece -> { }), next);
                next++;
            }
            generator.step().forEach((place, generation) -> finished.put(lineOf.get(place), generation));
            for (Generation g = finished.remove(printed); g != null; g = finished.remove(printed)) {
                print(lines.get(printed), printed, g);
                promptTokens += g.promptTokens();
                promptSeconds += g.promptSeconds();
                tokens += g.tokens();
                printed++;
                if (g.failure() != null) {
                    failures.add(prompts + " line " + printed + ": " + g.failure().getMessage());
                }
            }
        }
        if (!failures.isEmpty()) {
            throw new IllegalStateException(failures.getFirst() + "; " + failures.size() + " of " + printed + " texts ended so");
        }
        return new Speeds(promptTokens, promptSeconds, tokens, (System.nanoTime() - start) * 1e-9 - promptSeconds);
    }

    /** All before the first, so that a prompt too long does not end the work on others. */
    private void check(BatchGenerator generator, List<String> lines, GenerationOptions options) {
        for (int line = 0; line < lines.size(); line++) {
            try {
                generator.check(lines.get(line), options);
            } catch (ContextException e) {
                throw new ConfigException(prompts + " line " + (line + 1) + ": " + e.getMessage(), e);
            }
        }
    }

    private void print(String text, int index, Generation g) throws IOException {
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("index", index);
        result.put("prompt", text);
        result.put("text", g.text());
        result.put("end", end(g));
        result.put("prompt_tokens", g.promptTokens());
        result.put("tokens", g.tokens());
        if (g.failure() != null) {
            result.put("error", g.failure().getMessage());
        }
        PrintWriter out = spec.commandLine().getOut();
        out.println(JsonText.line(result));
        Output.flush(out);
    }

    private static String end(Generation g) {
        return g.end().name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }

    static void print(PrintWriter out, String piece) {
        out.print(piece);
        Output.flush(out);
    }

    /** Tokens per second of prompt and generation, and why it ended. */
    static String speeds(Generation g) {
        return Speeds.of(g) + "; " + end(g);
    }
}
