package io.sterna.cli;

import picocli.CommandLine.Command;

/** Measurements. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        description = "Measures kernels, training and generation beside the machine's ceilings.",
        subcommands = {BenchKernelsCommand.class, BenchTrainCommand.class, BenchGenerateCommand.class})
final class BenchCommand {}
