package io.sterna.cli;

import io.sterna.data.ShardManifest;
import io.sterna.data.Shards;
import io.sterna.train.PreparedData;
import io.sterna.train.Setting;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Tokenizes a corpus into shards; training does it by itself and finds them again. */
@Command(
        name = "prepare",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        customSynopsis = "sterna data prepare [OPTION...]",
        description = "Trains a tokenizer and writes token shards, which train finds again.")
final class DataPrepareCommand implements Callable<Integer> {
    private static final Set<String> MORE = Set.of("end-token", "threads");

    @Option(names = "--quiet", description = "Print nothing but the result and errors.")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    /** The settings about data as options, and what else decides the shards. */
    static void addOptions(CommandSpec spec) {
        SettingOptions.addTo(spec, setting -> setting.group() == Setting.Group.DATA || MORE.contains(setting.key()));
    }

    @Override
    public Integer call() throws IOException {
        TrainConfig config = new TrainConfig();
        SettingOptions.apply(spec.commandLine().getParseResult(), config);
        PreparedData data;
        try (ConsoleProgress progress = ConsoleProgress.on(System.err, quiet);
                Shutdown.Hook hook = Shutdown.onSignal(progress::cancel)) {
            data = PreparedData.prepare(config.resolved(), Tokenizers::load, progress);
            if (data.result().reused()) {
                Shards.open(data.folder(), true).close(); // whole, to the last byte
            }
            hook.remove();
        }
        print(data);
        return 0;
    }

    private void print(PreparedData data) {
        PrintWriter out = spec.commandLine().getOut();
        Shards.Prepared result = data.result();
        ShardManifest m = result.manifest();
        out.println(Units.format("train     %,d documents, %,d bytes, %,d tokens", m.train().documents(), m.train().bytes(), m.train().tokens()));
        out.println(Units.format("held out  %,d documents, %,d bytes, %,d tokens, unigram entropy %.4f nats a token",
                m.dev().documents(), m.dev().bytes(), m.dev().tokens(), m.devUnigramEntropy()));
        out.println(result.reused()
                ? "found prepared in " + data.folder()
                : Units.format("tokenized at %.1f MB/s into %s", result.megabytesPerSecond(), data.folder()));
        out.flush();
    }
}
