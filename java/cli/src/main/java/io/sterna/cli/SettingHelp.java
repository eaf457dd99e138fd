package io.sterna.cli;

import picocli.CommandLine.Help;
import picocli.CommandLine.Model.CommandSpec;

/** The usual help, with the defaults of settings. */
final class SettingHelp extends Help {
    SettingHelp(CommandSpec spec, ColorScheme colors) {
        super(spec, colors);
    }

    @Override
    public IOptionRenderer createDefaultOptionRenderer() {
        IOptionRenderer usual = super.createDefaultOptionRenderer();
        return (option, label, colors) -> usual.render(SettingOptions.withDefault(option), label, colors);
    }
}
