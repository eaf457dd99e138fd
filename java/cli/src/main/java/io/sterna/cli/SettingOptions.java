package io.sterna.cli;

import io.sterna.train.Setting;
import io.sterna.train.TrainConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import picocli.CommandLine.Model.ArgGroupSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** The settings of {@link TrainConfig} as options of a command, by group. */
final class SettingOptions {
    private static final TrainConfig FIRST = new TrainConfig().resolved();
    private static final TrainConfig OTHER = new TrainConfig().set("preset", "1b").resolved();

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

    /** What the setting is when nobody sets it, unless its text says so; the first preset is asked, and another whether it differs. */
    private static String defaultOf(Setting setting) {
        Object value = setting.get(FIRST);
        if (value == null || value.equals(List.of()) || setting.text().contains("default")) {
            return "";
        }
        boolean same = setting.key().equals("preset") || value.equals(setting.get(OTHER));
        return same ? " Default: " + value + "." : " Default by preset; " + FIRST.preset + ": " + value + ".";
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
