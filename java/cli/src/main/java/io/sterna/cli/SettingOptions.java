package io.sterna.cli;

import io.sterna.train.ConfigException;
import io.sterna.train.Setting;
import io.sterna.train.TrainConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import picocli.CommandLine.Model.ArgGroupSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** The settings of {@link TrainConfig} as options of a command, by group. */
final class SettingOptions {
    private static final String SETTING = "setting.";
    /** Settings of the model that matter to texts alone, which random tokens are not. */
    private static final Set<String> OF_TEXT = Set.of("begin-token", "add-begin-token", "end-token");

    /** Only the help needs them, and they take a tenth of the time that a command starts in. */
    private static final class Defaults {
        static final TrainConfig FIRST = new TrainConfig().resolved();
        static final TrainConfig OTHER = new TrainConfig().set("preset", "1b").resolved();
    }

    private SettingOptions() {}

    /** Adds what a bench takes: the settings of some groups but those that matter to texts alone, and some more. */
    static void addShape(CommandSpec spec, Set<Setting.Group> groups, Set<String> more) {
        addTo(spec, setting -> groups.contains(setting.group()) && !OF_TEXT.contains(setting.key()) || more.contains(setting.key()));
    }

    /** Puts what a model has its shape from among a bench's figures: "preset", or "init" and its folder. */
    static void putModel(Map<String, Object> figures, TrainConfig config) {
        figures.put(config.init == null ? "preset" : "init", config.init == null ? config.preset : config.init);
    }

    /** What {@link #putModel} put. */
    static Object model(Map<String, Object> figures) {
        return figures.getOrDefault("preset", figures.get("init"));
    }

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
        String text = setting.text() + (choice ? " One of " + setting.form().replace("|", ", ") + "." : "");
        OptionSpec.Builder option = OptionSpec.builder("--" + setting.key())
                .paramLabel(choice ? "NAME" : setting.form())
                .descriptionKey(SETTING + setting.key())
                .description(text.replace("%", "%%"));
        if (setting.isList()) {
            return option.type(List.class).auxiliaryTypes(String.class).arity("1..*").build();
        }
        if (setting.isFlag()) {
            return option.paramLabel("true|false").type(String.class).arity("0..1").fallbackValue("true").build();
        }
        return option.type(String.class).arity("1").build();
    }

    /** The option of a setting with its default behind its description; any other as it is. */
    static OptionSpec withDefault(OptionSpec option) {
        String key = option.descriptionKey();
        if (key == null || !key.startsWith(SETTING)) {
            return option;
        }
        String said = defaultOf(Setting.of(key.substring(SETTING.length())));
        return OptionSpec.builder(option).description(option.description()[0] + said.replace("%", "%%")).build();
    }

    /** What the setting is when nobody sets it, unless its text says so; the first preset is asked, and another whether it differs. */
    private static String defaultOf(Setting setting) {
        Object value = setting.get(Defaults.FIRST);
        if (value == null || value.equals(List.of()) || setting.text().contains("default")) {
            return "";
        }
        boolean same = setting.key().equals("preset") || value.equals(setting.get(Defaults.OTHER));
        return same ? " Default: " + value + "." : " Default by preset; " + Defaults.FIRST.preset + ": " + value + ".";
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

    /** As an option alone: configurations of earlier runs have it whatever their schedule. */
    static void requireSecondStage(ParseResult result, TrainConfig config) {
        if (result.hasMatchedOption("--lr-second")) {
            String schedule = config.resolved().schedule;
            if (!schedule.equals("two-stage")) {
                throw new ConfigException("lr-second " + config.lrSecond + ": only two-stage has it; leave it out for " + schedule);
            }
        }
    }
}
