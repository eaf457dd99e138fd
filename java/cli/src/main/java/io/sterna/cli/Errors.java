package io.sterna.cli;

import io.sterna.infer.ContextException;
import io.sterna.train.ConfigException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import picocli.CommandLine;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** Errors as one line on standard error; the stack trace on request. */
final class Errors implements IExecutionExceptionHandler, IParameterExceptionHandler {
    /** As shells have it: 128 and the number of SIGINT. */
    static final int INTERRUPTED = 130;

    /** How the JVM says that the system gave it no memory, or no thread; its heap has no part in that. */
    private static final String OFF_HEAP = "Unable to allocate ";
    private static final String THREAD = "unable to create native thread";

    private final BooleanSupplier stackTrace;

    Errors(BooleanSupplier stackTrace) {
        this.stackTrace = stackTrace;
    }

    @Override
    public int handleExecutionException(Exception e, CommandLine command, ParseResult result) {
        print(e, command);
        return switch (e) {
            case ConfigException wrong -> ExitCode.USAGE;
            case ContextException tooLong -> ExitCode.USAGE;
            case NoSuchFileException missing -> ExitCode.USAGE;
            case AccessDeniedException closed -> ExitCode.USAGE;
            case CancellationException stopped -> INTERRUPTED;
            default -> ExitCode.SOFTWARE;
        };
    }

    @Override
    public int handleParseException(ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        if (e instanceof UnmatchedArgumentException u && !u.isUnknownOption() && !command.getSubcommands().isEmpty()) {
            print(new ParameterException(command, "unknown command \"" + u.getUnmatched().getFirst() + '"', e), command);
        } else {
            print(e, command);
        }
        if (e.getMessage().contains("Expected parameter for option ")) { // before what looks like another one
            command.getErr().println("A value that begins with - needs = before it, as in --prompt='- item'");
        } else if (!UnmatchedArgumentException.printSuggestions(e, command.getErr())) {
            command.getErr().println("See: " + command.getCommandSpec().qualifiedName() + " --help");
        }
        return ExitCode.USAGE;
    }

    private void print(Throwable e, CommandLine command) {
        command.getErr().println("sterna: " + line(e));
        if (stackTrace.getAsBoolean()) {
            e.printStackTrace(command.getErr());
        }
    }

    /** What options say, as {@code read} understands it; what it refuses is an error of usage. */
    static <T> T usage(Supplier<T> read) {
        try {
            return read.get();
        } catch (IllegalArgumentException e) {
            throw new ConfigException(e.getMessage(), e);
        }
    }

    /** What {@code e} says, on one line; file exceptions say only the file. */
    static String line(Throwable e) {
        String message =
                switch (e) {
                    case NoSuchFileException f -> f.getFile() + ": no such file";
                    case AccessDeniedException f -> f.getFile() + ": permission denied";
                    case FileAlreadyExistsException f -> f.getFile() + ": exists already";
                    case OutOfMemoryError m -> outOfMemory(String.valueOf(m.getMessage()));
                    default -> e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
                };
        return message.lines().map(String::strip).reduce((a, b) -> a + " " + b).orElse("");
    }

    private static String outOfMemory(String message) {
        if (message.startsWith(OFF_HEAP)) {
            return "out of memory: " + message + " outside the Java heap, where the machine has no such room";
        }
        if (message.startsWith(THREAD)) {
            return "the system grants no more threads; ask for fewer by --threads, or raise its limit of processes or of memory";
        }
        return "out of memory: " + message + "; STERNA_JAVA_OPTS=-Xmx2g gives the JVM more";
    }
}
