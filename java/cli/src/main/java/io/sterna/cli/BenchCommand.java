package io.sterna.cli;

import io.sterna.train.ConfigException;
import picocli.CommandLine.Command;

/** Measurements. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        description = "Measures kernels, training and generation beside the machine's ceilings.",
        subcommands = {BenchKernelsCommand.class, BenchTrainCommand.class, BenchGenerateCommand.class})
final class BenchCommand {
    /** A day: in nanoseconds, and times the few that a measurement takes of it, it is far from the end of a long. */
    private static final int MOST_SECONDS = 86_400;

    /** Refuses what is no time to measure. */
    static void requireSeconds(double seconds) {
        if (!(seconds > 0 && seconds <= MOST_SECONDS)) {
            throw new ConfigException(Units.format("seconds %s: must be above 0 and at most %,d", seconds, MOST_SECONDS));
        }
    }
}
