package io.sterna.cli;

import static io.sterna.cli.Units.format;

import io.sterna.data.ShardManifest;
import io.sterna.data.Shards;
import io.sterna.train.TrainListener;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CancellationException;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressState;

/** Tells how a run goes: with a bar on a terminal, otherwise a line now and then. */
abstract class ConsoleProgress implements TrainListener, AutoCloseable {
    private static final double SMOOTHING = 0.05;
    private double tokensPerSecond;
    private volatile boolean cancelled;
    private boolean waits;

    /** Progress on standard error, {@code out}: a bar when it is a terminal. */
    static ConsoleProgress on(PrintStream out, boolean quiet) {
        if (quiet) {
            return new Quiet();
        }
        return isTerminal() ? new Bar(out) : new Lines(out);
    }

    /** The launcher says so; Java itself knows of standard input and output alone. */
    private static boolean isTerminal() {
        String told = System.getProperty("sterna.terminal");
        return told != null ? told.equals("true") : System.console() != null && System.console().isTerminal();
    }

    /** A line of its own, which a bar makes room for. */
    abstract void say(String line);

    /** Shows how far a phase has come; {@code bytes} 0 means nothing. */
    abstract void show(String phase, double fraction, long bytes);

    /** Ends the preparation of data at its next progress; safe from any thread. */
    final void cancel() {
        cancelled = true;
    }

    final boolean isCancelled() {
        return cancelled;
    }

    @Override
    public final void update(String phase, double fraction, long bytes) {
        if (cancelled) {
            throw new CancellationException(format("stopped at %.0f %% of \"%s\"; unfinished files are deleted, and the same"
                    + " command prepares the data anew", 100 * fraction, phase));
        }
        show(phase, fraction, bytes);
    }

    @Override
    public final void tokenized(Shards.Prepared result) {
        ShardManifest m = result.manifest();
        say(format("tokenized %,d documents, %.1f MB, at %.1f MB/s; hidden or binary files skipped: %,d",
                m.train().documents() + m.dev().documents(), (m.train().bytes() + m.dev().bytes()) / 1e6,
                result.megabytesPerSecond(), m.skippedFiles()));
    }

    @Override
    public final void waiting(Path folder) {
        if (cancelled) {
            throw new CancellationException("stopped while another run prepared the data in " + folder);
        }
        if (!waits) {
            waits = true;
            say("waiting for another run that prepares the data in " + folder);
        }
    }

    @Override
    public void ready(Map<String, String> facts) {
        int width = facts.keySet().stream().mapToInt(String::length).max().orElse(0);
        facts.forEach((name, fact) -> say(format("%-" + (width + 2) + "s%s", name, fact)));
    }

    /** Takes the bar away, if there is one. */
    void endBar() {}

    @Override
    public final void close() {
        endBar();
    }

    /** Speed, smoothed over some twenty steps. */
    final double speed(Progress p) {
        tokensPerSecond = tokensPerSecond == 0
                ? p.tokensPerSecond()
                : tokensPerSecond + SMOOTHING * (p.tokensPerSecond() - tokensPerSecond);
        return tokensPerSecond;
    }

    static String memory(Progress p) {
        OptionalLong rss = p.rssBytes();
        return rss.isPresent() ? ", " + Units.bytes(rss.getAsLong()) : "";
    }

    private static final class Quiet extends ConsoleProgress {
        @Override
        void say(String line) {}

        @Override
        void show(String phase, double fraction, long bytes) {}
    }

    private static final class Lines extends ConsoleProgress {
        private static final long BETWEEN_NANOS = 5_000_000_000L;
        private final PrintStream out;
        private String phase = "";
        private long last = System.nanoTime() - BETWEEN_NANOS;

        Lines(PrintStream out) {
            this.out = out;
        }

        @Override
        void say(String line) {
            out.println(line);
        }

        @Override
        void show(String newPhase, double fraction, long bytes) {
            if (!newPhase.equals(phase) || due()) {
                phase = newPhase;
                last = System.nanoTime();
                say(format("%s %.0f %%%s", phase, 100 * fraction, bytes == 0 ? "" : ", " + Units.bytes(bytes)));
            }
        }

        @Override
        public void stepped(Progress p) {
            double speed = speed(p);
            boolean end = p.report().step() == 1 || p.report().step() == p.steps();
            if (end || due()) {
                last = System.nanoTime();
                double left = (p.steps() - p.report().step()) * p.report().tokens() / speed;
                say(format("step %d/%d  loss %.4f  %s tokens/s  %s left%s", p.report().step(), p.steps(),
                        p.report().loss(), Units.count(speed), Units.time(left), memory(p)));
            }
        }

        @Override
        public void evaluated(long step, double loss) {
            say(format("step %d  held-out loss %.4f", step, loss));
        }

        private boolean due() {
            return System.nanoTime() - last >= BETWEEN_NANOS;
        }
    }

    private static final class Bar extends ConsoleProgress {
        private static final int REFRESH_MILLIS = 200;
        private static final String TRAINING = "training";
        private static final String BRACKETS = "[] ";
        private static final int SHORTEST = 5;
        private static final long PARTS = 1000; // of a phase whose length is a fraction
        private final PrintStream out;
        private final Map<String, Double> heldOut = new LinkedHashMap<>();
        private ProgressBar bar;
        private String task = "";

        Bar(PrintStream out) {
            this.out = out;
        }

        @Override
        void say(String line) {
            endBar();
            out.println(line);
        }

        @Override
        void show(String phase, double fraction, long bytes) {
            start(phase, PARTS);
            bar.stepTo(Math.round(PARTS * fraction));
            bar.setExtraMessage(bytes == 0 ? "" : Units.bytes(bytes));
        }

        @Override
        public void stepped(Progress p) {
            start(TRAINING, p.steps());
            bar.stepTo(p.report().step());
            String dev = heldOut.containsKey("loss") ? format(" (%.3f)", heldOut.get("loss")) : "";
            double speed = speed(p);
            double left = (p.steps() - p.report().step()) * p.report().tokens() / speed;
            bar.setExtraMessage(format("%d/%d, %s left, loss %.3f%s, %s tok/s%s", p.report().step(), p.steps(), Units.time(left),
                    p.report().loss(), dev, Units.count(speed), memory(p)));
        }

        @Override
        public void evaluated(long step, double loss) {
            heldOut.put("loss", loss);
        }

        private void start(String newTask, long length) {
            if (bar != null && task.equals(newTask)) {
                return;
            }
            endBar();
            task = newTask;
            bar = new ProgressBarBuilder()
                    .setTaskName(newTask)
                    .setInitialMax(length)
                    .setRenderer(Bar::render)
                    .setUpdateIntervalMillis(REFRESH_MILLIS)
                    .build();
        }

        /** The message whole, and a bar where there is room left for one. */
        private static String render(ProgressState state, int width) {
            String name = state.getTaskName().equals(TRAINING) ? "" : state.getTaskName() + " "; // its message says enough
            String head = format("%s%3.0f %% ", name, 100 * state.getNormalizedProgress());
            int room = width - head.length() - state.getExtraMessage().length() - BRACKETS.length();
            if (room < SHORTEST) {
                String line = head + state.getExtraMessage();
                return line.substring(0, Math.min(line.length(), Math.max(width, 0)));
            }
            int done = (int) (room * state.getNormalizedProgress());
            return head + "[" + "=".repeat(done) + " ".repeat(room - done) + "] " + state.getExtraMessage();
        }

        @Override
        void endBar() {
            if (bar != null) {
                bar.close();
                bar = null;
            }
        }
    }
}
