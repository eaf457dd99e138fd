package io.sterna.cli;

import java.time.Duration;
import java.util.Locale;

/** Numbers for people. */
final class Units {
    private Units() {}

    /** Bytes in MB (10^6) or GB. */
    static String bytes(long bytes) {
        return bytes < 1_000_000_000
                ? format("%.0f MB", bytes / 1e6)
                : format("%.2f GB", bytes / 1e9);
    }

    /** A count with three significant digits: 8.34 M. */
    static String count(double n) {
        return n < 1e3 ? format("%.0f", n) : n < 1e6 ? format("%.1f k", n / 1e3) : n < 1e9 ? format("%.2f M", n / 1e6) : format("%.2f G", n / 1e9);
    }

    /** 1:02:03 or 2:03. */
    static String time(double seconds) {
        Duration d = Duration.ofSeconds(Math.round(seconds));
        return d.toHours() > 0
                ? format("%d:%02d:%02d", d.toHours(), d.toMinutesPart(), d.toSecondsPart())
                : format("%d:%02d", d.toMinutesPart(), d.toSecondsPart());
    }

    static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
