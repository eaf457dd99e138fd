package io.sterna.cli;

import picocli.CommandLine.Command;

/** Work on data. */
@Command(
        name = "data",
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        description = "Prepares training data.",
        subcommands = {DataPrepareCommand.class})
final class DataCommand {}
