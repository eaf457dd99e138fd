package io.sterna.cli;

import io.sterna.train.Setting;
import io.sterna.train.TrainConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import picocli.CommandLine.Model.ArgGroupSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** The settings of {@link TrainConfig} as options of a command, by group. */
final class SettingOptions {
    private static final TrainConfig FIRST = new TrainConfig().resolved();
    private static final List<TrainConfig> OTHERS = Stream.of("preset 1b", "method bitnet", "method fp32", "method bf16", "forward ternary",
            "optimizer adafactor", "optimizer sgd").map(other -> new TrainConfig().set(other.split(" ")[0], other.split(" ")[1]).resolved()).toList();

    private SettingOptions() {}

    /** Adds an option for each setting that is wanted. */
    static void addTo(CommandSpec spec, Predicate<Setting> wanted) {
        Map<Setting.Group, List<Setting>> byGroup = new TreeMap<>();
        for (Setting setting : Setting.all()) {
            if (wanted.test(setting)) {
                byGroup.computeIfAbsent(setting.group(), g -> new ArrayList<>()).add(setting);
            }
        }
        int order = 0;
        for (Map.Entry<Setting.Group, List<Setting>> entry : byGroup.entrySet()) {
            ArgGroupSpec.Builder group = ArgGroupSpec.builder()
                    .heading("%n" + entry.getKey().title() + "%n")
                    .order(order++)
                    .multiplicity("0..1")
                    .exclusive(false)
                    .validate(false);
            entry.getValue().forEach(setting -> group.addArg(option(setting)));
            spec.addArgGroup(group.build());
        }
    }

    private static OptionSpec option(Setting setting) {
        boolean choice = setting.form().contains("|") && !setting.isFlag();
        String text = setting.text() + (choice ? " One of " + setting.form().replace("|", ", ") + "." : "") + defaultOf(setting);
        OptionSpec.Builder option = OptionSpec.builder("--" + setting.key())
                .paramLabel(choice ? "NAME" : setting.form())
                .description(text.replace("%", "%%"));
        if (setting.isList()) {
            return option.type(List.class).auxiliaryTypes(String.class).arity("1..*").build();
        }
        if (setting.isFlag()) {
            return option.paramLabel("true|false").type(String.class).arity("0..1").fallbackValue("true").build();
        }
        return option.type(String.class).arity("1").build();
    }

    /** What the setting is when nobody sets it, unless its text says so; the first of presets and methods is asked, and others whether they differ. */
    private static String defaultOf(Setting setting) {
        Object value = setting.get(FIRST);
        if (value == null || value.equals(List.of()) || setting.text().contains("default")) {
            return "";
        }
        for (TrainConfig other : OTHERS) {
            if (!value.equals(setting.get(other))) {
                return setting.key().equals("preset") ? " Default: " + value + "."
                        : " Default: " + value + " for " + FIRST.preset + " and " + FIRST.method + "; others differ.";
            }
        }
        return " Default: " + value + ".";
    }

    /** Sets in {@code config} what the options say. */
    static void apply(ParseResult result, TrainConfig config) {
        for (Setting setting : Setting.all()) {
            String name = "--" + setting.key();
            if (result.hasMatchedOption(name)) {
                setting.set(config, result.matchedOptionValue(name, null));
            }
        }
    }
}
