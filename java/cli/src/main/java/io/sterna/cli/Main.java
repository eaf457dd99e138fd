package io.sterna.cli;

import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/** The {@code sterna} command. */
@Command(
        name = "sterna",
        versionProvider = Main.Version.class,
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        description = "Trains and runs language models on CPUs in packed low-bit weights.",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:done",
            "1:failed",
            "2:used wrongly, as with a file that is not there",
            "130:stopped with nothing to keep"
        },
        footer = {"", "Start with: sterna train"},
        subcommands = {
            TrainCommand.class,
            GenerateCommand.class,
            ChatCommand.class,
            EvalCommand.class,
            ConvertCommand.class,
            ExportCommand.class,
            ImportCommand.class,
            DataCommand.class,
            BenchCommand.class,
            DoctorCommand.class,
            CommandLine.HelpCommand.class
        })
public final class Main {
    @Option(
            names = "--stacktrace",
            scope = ScopeType.INHERIT,
            description = "Print the stack trace of an error.")
    private boolean stackTrace;

    /** The version of the jar. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Main.class.getPackage().getImplementationVersion();
            return new String[] {"sterna " + (version == null ? "(unpackaged)" : version)};
        }
    }

    private Main() {}

    public static void main(String[] args) {
        int code;
        try {
            code = commandLine().execute(args);
            if (code == CommandLine.ExitCode.OK && System.out.checkError()) {
                System.err.println("sterna: " + Output.FAILED);
                code = CommandLine.ExitCode.SOFTWARE;
            }
        } catch (Error e) { // no memory, or no native library: picocli leaves these alone
            System.err.println("sterna: " + Errors.line(e));
            if (List.of(args).contains("--stacktrace")) {
                e.printStackTrace();
            }
            code = CommandLine.ExitCode.SOFTWARE;
        }
        Shutdown.exit(code);
    }

    /** The command line, ready to execute. */
    static CommandLine commandLine() {
        Main main = new Main();
        Errors errors = new Errors(() -> main.stackTrace);
        CommandLine commands = new CommandLine(main);
        TrainCommand.addOptions(commands.getSubcommands().get("train").getCommandSpec());
        DataPrepareCommand.addOptions(
                commands.getSubcommands().get("data").getSubcommands().get("prepare").getCommandSpec());
        BenchTrainCommand.addOptions(
                commands.getSubcommands().get("bench").getSubcommands().get("train").getCommandSpec());
        BenchGenerateCommand.addOptions(
                commands.getSubcommands().get("bench").getSubcommands().get("generate").getCommandSpec());
        setVersion(commands);
        return commands
                .setExecutionExceptionHandler(errors)
                .setParameterExceptionHandler(errors)
                .setHelpFactory(SettingHelp::new)
                .setUsageHelpAutoWidth(true)
                .setExpandAtFiles(false) // a prompt may begin with @
                .setUnmatchedOptionsAllowedAsOptionParameters(false)
                .setAbbreviatedOptionsAllowed(false);
    }

    private static void setVersion(CommandLine command) {
        command.getCommandSpec().versionProvider(new Version());
        command.getSubcommands().values().forEach(Main::setVersion);
    }
}
