package io.sterna.cli;

import io.sterna.infer.ContextException;
import io.sterna.infer.Generation;
import io.sterna.infer.GenerationOptions;
import io.sterna.infer.Generator;
import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.nn.CacheType;
import io.sterna.train.ConfigException;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** A conversation with a trained model. */
@Command(
        name = "chat",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "A conversation with a trained model, line by line.",
            "The model sees a transcript: each line behind the user's label, each answer behind its own. An answer ends with its line, or where --stop says.",
            "/new forgets the conversation, /quit or the end of input leaves."
        })
final class ChatCommand implements Callable<Integer> {
    @Mixin
    private ModelOptions model;

    @Option(names = "--user-label", paramLabel = "TEXT", defaultValue = "User:", description = "Before each line. Default: ${DEFAULT-VALUE}")
    private String userLabel;

    @Option(names = "--model-label", paramLabel = "TEXT", defaultValue = "Model:", description = "Before each answer. Default: ${DEFAULT-VALUE}")
    private String modelLabel;

    @Mixin
    private SamplingOptions sampling;

    @Option(names = "--quiet", description = "Print the answers alone, no speeds.")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        GenerationOptions options = sampling.read("\n");
        PrintWriter out = spec.commandLine().getOut();
        try (Model loaded = model.load();
                Session session = model.session(loaded, CacheType.BF16);
                InputStream in = new BufferedInputStream(System.in)) {
            Generator generator = new Generator(session, loaded.tokenizer());
            for (String line = ask(in, out); line != null && !line.equals("/quit"); line = ask(in, out)) {
                if (line.equals("/new")) {
                    session.truncate(0);
                } else {
                    answer(line, session, generator, options, out);
                }
            }
        }
        return 0;
    }

    /** The next line that is a text; null behind the last. */
    private String ask(InputStream in, PrintWriter out) throws IOException {
        while (true) {
            if (!quiet) {
                GenerateCommand.print(out, userLabel + " ");
            }
            try {
                return Inputs.line(in, "line");
            } catch (ConfigException e) {
                out.println("(" + e.getMessage() + "; it is no part of the conversation)");
            }
        }
    }

    private void answer(String line, Session session, Generator generator, GenerationOptions options, PrintWriter out) {
        boolean first = session.length() == 0;
        boolean newLine = generator.endsWith("\n");
        String turn = (first || newLine ? "" : "\n") + userLabel + " " + line + "\n" + modelLabel;
        if (!quiet) {
            GenerateCommand.print(out, modelLabel);
        }
        try {
            Generation result = generator.generate(turn, options, piece -> GenerateCommand.print(out, piece));
            out.println();
            tellSpeeds(result, out);
            if (!keepsEnd(result, generator)) {
                generator.dropEnd();
            }
            if (result.end() == Generation.End.CONTEXT_FULL) {
                forget(session, out, "the context of " + session.context() + " tokens is full");
            }
        } catch (ContextException e) {
            out.println();
            if (first) {
                out.println("(" + e.getMessage() + ")");
            } else {
                forget(session, out, "the context of " + session.context() + " tokens has no room for this line");
                answer(line, session, generator, options, out);
            }
        }
    }

    private void tellSpeeds(Generation answer, PrintWriter out) {
        Output.flush(out); // the answer first: they go another way
        if (!quiet) {
            spec.commandLine().getErr().println(GenerateCommand.speeds(answer));
        }
    }

    /** Of an answer's last token, an end of text is none of the transcript, nor a stop string and what the model would say next. */
    private static boolean keepsEnd(Generation answer, Generator generator) {
        return switch (answer.end()) {
            case END_OF_TEXT -> false;
            case STOP_STRING -> generator.endsWith("\n");
            default -> true;
        };
    }

    private static void forget(Session session, PrintWriter out, String reason) {
        out.println("(" + reason + "; the conversation begins anew)");
        session.truncate(0);
    }
}
