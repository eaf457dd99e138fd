package io.sterna.cli;

import io.sterna.data.ShardManifest;
import io.sterna.data.Shards;
import io.sterna.train.PreparedData;
import io.sterna.train.Setting;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
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
        description = "Trains a tokenizer and writes token shards, which train finds again when it is told the same of data and model.")
final class DataPrepareCommand implements Callable<Integer> {
    /** Settings of the model that decide its tokenizer or what ends its documents, and those that go with them. */
    private static final Set<String> OF_MODEL = Set.of("preset", "init", "begin-token", "add-begin-token", "end-token");

    @Option(names = "--config", paramLabel = "FILE", description = "Settings in YAML, as for train; options override them.")
    private Path config;

    @Option(names = "--quiet", description = "Print nothing but the result and errors.")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    /** The settings that decide what is prepared as options. */
    static void addOptions(CommandSpec spec) {
        SettingOptions.addTo(spec, setting ->
                setting.group() == Setting.Group.DATA || OF_MODEL.contains(setting.key()) || setting.key().equals("threads"));
    }

    @Override
    public Integer call() throws IOException {
        TrainConfig settings = new TrainConfig();
        if (config != null) {
            YamlConfig.apply(config, settings);
        }
        SettingOptions.apply(spec.commandLine().getParseResult(), settings);
        PreparedData data;
        try (ConsoleProgress progress = ConsoleProgress.on(System.err, quiet);
                Shutdown.Hook hook = Shutdown.onSignal(progress::cancel)) {
            data = PreparedData.prepare(settings.resolved(), Tokenizers::load, progress);
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
