package io.sterna.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code sterna} command. */
@Command(
        name = "sterna",
        version = "sterna 0.1.0",
        mixinStandardHelpOptions = true,
        description = "Trains and runs language models on CPUs in packed low-bit weights.")
public final class Main {
    private Main() {}

    public static void main(String[] args) {
        System.exit(new CommandLine(new Main()).execute(args));
    }
}
