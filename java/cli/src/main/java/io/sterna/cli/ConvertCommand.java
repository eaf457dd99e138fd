package io.sterna.cli;

import io.sterna.data.DataException;
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
import io.sterna.train.TrainingException;
import java.io.IOException;
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
                + " multiple of a scale. It says what that costs in perplexity: of a text, or of what the model's run held out of its data.",
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

    @Option(names = "--data", paramLabel = "FILE", description = "A text file in UTF-8 to measure perplexity on, before and after."
            + " Default: what the run held out, where its data are still in its cache.")
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
        if (text == null) {
            convertOnHeldOut(converter);
        } else {
            convert(converter, data.toString(), (session, loaded, progress) -> perplexity(session, loaded, text, progress));
        }
        return 0;
    }

    /** How perplexity is measured. */
    @FunctionalInterface
    private interface Measure {
        double perplexity(Session session, Model loaded, DoubleConsumer progress);
    }

    private void convertOnHeldOut(ModelConverter converter) throws IOException {
        HeldOutSet heldOut;
        try {
            heldOut = HeldOutSet.of(model);
        } catch (DataException | TrainingException e) { // the model is there all the same
            convert(converter);
            print("token perplexity  not measured: " + e.getMessage() + "; --data FILE measures it on a text");
            return;
        }
        try (heldOut) {
            convert(converter, heldOut.toString(), (session, _, progress) -> heldOut.perplexity(session, progress));
        }
    }

    private void convert(ModelConverter converter, String on, Measure measure) throws IOException {
        double before = perplexity(model, measure, "before"); // first: a text that cannot be measured leaves no model
        convert(converter);
        double after = perplexity(out, measure, "after");
        print(Units.format("token perplexity  %.4f before, %.4f after (%+.2f %%), on %s", before, after, 100 * (after / before - 1), on));
    }

    private void convert(ModelConverter converter) throws IOException {
        Shutdown.wholly(out, () -> converter.convert(model, out));
        print("model " + out);
    }

    private void print(String line) {
        spec.commandLine().getOut().println(line);
    }

    private ModelConverter converter() {
        Grid grid = Grid.ofWidth(bits);
        ScaleRule rule = scaleRule == null ? ScaleRule.usual(grid) : ScaleRule.parse(scaleRule);
        return new ModelConverter(grid, Scaling.parse(scale), rule, floatType == null ? null : FloatType.parse(floatType));
    }

    /** In windows as eval's. */
    private double perplexity(Path folder, Measure measure, String phase) throws IOException {
        try (ConsoleProgress progress = ConsoleProgress.on(System.err, quiet);
                Model loaded = Model.load(folder, Tokenizers::load, null, threads.count());
                Session session = session(loaded)) {
            return measure.perplexity(session, loaded, share -> progress.update("predicting, " + phase, share, 0));
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
            return loaded.session(SessionOptions.of(loaded).withContext(ModelOptions.usualContext(loaded.config()))
                    .withCacheType(FloatType.F32).withThreads(threads.count()));
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage() + "; or measure with sterna eval --context N", e);
        }
    }
}
