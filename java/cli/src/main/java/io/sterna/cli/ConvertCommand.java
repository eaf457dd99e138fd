package io.sterna.cli;

import io.sterna.eval.Perplexity;
import io.sterna.infer.Model;
import io.sterna.infer.ModelConverter;
import io.sterna.infer.Session;
import io.sterna.infer.SessionOptions;
import io.sterna.nn.ScaleRule;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.Grid;
import io.sterna.tensor.Scaling;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.function.DoubleConsumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes a model in another width. */
@Command(
        name = "convert",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Writes a model with its linear layers in another width, by default ternary: each weight becomes the nearest"
                + " multiple of a scale. With --data it says what that costs in perplexity.",
            "A model trained with a ternary forward pass stays the model that it was trained to be; others lose much in few"
                + " bits, and go on from there with train --init."
        })
final class ConvertCommand implements Callable<Integer> {
    @Option(names = "--model", paramLabel = "DIR", required = true, description = "A run folder or its model folder.")
    private Path model;

    @Option(names = "--bits", paramLabel = "1|1.58|2...8", defaultValue = "1.58", description = "Bits of a weight. Default: ${DEFAULT-VALUE}")
    private String bits;

    @Option(names = "--scale", paramLabel = "tensor|row|group:N", defaultValue = "tensor",
            description = "How many weights share a scale. Default: ${DEFAULT-VALUE}")
    private String scale;

    @Option(names = "--scale-rule", paramLabel = "absmean|absmax|sigma:K",
            description = "How a scale is chosen; default absmean up to 2 bits, absmax above.")
    private String scaleRule;

    @Option(names = "--float-type", paramLabel = "f32|bf16", description = "Type of embeddings, norms and head; default the model's.")
    private String floatType;

    @Option(names = "--out", paramLabel = "DIR", required = true, description = "A new folder: the model.")
    private Path out;

    @Option(names = "--data", paramLabel = "FILE", description = "A text file in UTF-8 to measure perplexity on, before and after.")
    private Path data;

    @Option(names = "--quiet", description = "Do not tell on standard error how far it is.")
    private boolean quiet;

    @Mixin
    private ThreadsOption threads;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        ModelConverter converter = Errors.usage(this::converter);
        byte[] text = data == null ? null : Inputs.utf8(data);
        converter.check(model, out);
        double before = text == null ? 0 : perplexity(model, text, "before"); // first: a text that cannot be measured leaves no model
        PrintWriter report = spec.commandLine().getOut();
        Shutdown.wholly(out, () -> converter.convert(model, out));
        report.println("model " + out);
        if (text != null) {
            double after = perplexity(out, text, "after");
            report.println(Units.format("token perplexity  %.4f before, %.4f after (%+.2f %%)", before, after, 100 * (after / before - 1)));
        } else if (!quiet) {
            spec.commandLine().getErr().println("what that costs in perplexity: sterna convert --data FILE tells, or sterna eval on both models");
        }
        return 0;
    }

    private ModelConverter converter() {
        Grid grid = Grid.ofWidth(bits);
        ScaleRule rule = scaleRule == null ? ScaleRule.usual(grid) : ScaleRule.parse(scaleRule);
        return new ModelConverter(grid, Scaling.parse(scale), rule, floatType == null ? null : FloatType.parse(floatType));
    }

    /** In windows as eval's. */
    private double perplexity(Path folder, byte[] text, String phase) throws IOException {
        try (ConsoleProgress progress = ConsoleProgress.on(System.err, quiet);
                Model loaded = Model.load(folder, Tokenizers::load, null, threads.count());
                Session session = session(loaded)) {
            return perplexity(session, loaded, text, share -> progress.update("predicting, " + phase, share, 0));
        }
    }

    private double perplexity(Session session, Model loaded, byte[] text, DoubleConsumer progress) {
        try {
            return Perplexity.of(session, loaded.tokenizer(), text, Math.max(1, session.context() / 2), progress).tokenPerplexity();
        } catch (IllegalArgumentException e) {
            throw new ConfigException(Inputs.fault(data, e), e);
        }
    }

    private Session session(Model loaded) {
        try {
            return loaded.session(SessionOptions.of(loaded).withContext(ModelOptions.usualContext(loaded))
                    .withCacheType(FloatType.F32).withThreads(threads.count()));
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage() + "; or leave out --data, and measure with sterna eval --context N", e);
        }
    }
}
