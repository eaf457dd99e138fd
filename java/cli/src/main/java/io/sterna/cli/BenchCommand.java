package io.sterna.cli;

import picocli.CommandLine.Command;

/** Measurements. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        description = "Measures kernels and training beside the machine's ceilings.",
        subcommands = {BenchKernelsCommand.class, BenchTrainCommand.class})
final class BenchCommand {}
