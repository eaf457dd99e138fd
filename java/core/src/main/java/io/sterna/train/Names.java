package io.sterna.train;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;

/** Nearest names, for "did you mean". */
final class Names {
    private Names() {}

    /**
     * The candidate most like {@code name}, the first of equals: one made of the initials of its words, otherwise
     * the one that shares the largest part of both, so that an "eval" means eval-every and not scale.
     */
    static String nearest(String name, Collection<String> candidates) {
        String plain = name.toLowerCase(Locale.ROOT).replace('_', '-');
        String initials = plain.replaceAll("([^-])[^-]*-*", "$1");
        return candidates.contains(initials)
                ? initials
                : candidates.stream()
                        .max(Comparator.comparingDouble(c -> likeness(plain, c)))
                        .orElseThrow();
    }

    /** The share of both names that their longest common subsequence takes, in [0, 1]. */
    private static double likeness(String a, String b) {
        return 2.0 * common(a, b) / (a.length() + b.length());
    }

    /** Length of the longest common subsequence. */
    private static int common(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int i = 0; i < a.length(); i++) {
            int diagonal = 0;
            for (int j = 1; j <= b.length(); j++) {
                int longer = a.charAt(i) == b.charAt(j - 1) ? diagonal + 1 : Math.max(row[j], row[j - 1]);
                diagonal = row[j];
                row[j] = longer;
            }
        }
        return row[b.length()];
    }
}
