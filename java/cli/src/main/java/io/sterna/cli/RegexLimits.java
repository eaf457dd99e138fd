package io.sterna.cli;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Regular expressions whose search is known not to explode: in a backtracking search, groups that repeat while what they hold
 * repeats or chooses take exponential time, and many repetitions in a row take a high power of the text's length.
 */
final class RegexLimits {
    private static final int LONGEST = 1 << 12;
    private static final int DEEPEST = 32;
    private static final int MOST_REPETITIONS = 4; // without bound, in one alternative
    private static final int LARGEST_BOUND = 1000;

    private final String regex;
    private final Deque<Group> groups = new ArrayDeque<>();
    private int at;

    /** What is known of a group so far. */
    private static final class Group {
        private boolean chooses;
        private int repetitions; // of the alternative so far
        private int most; // of any alternative

        void choose() {
            chooses = true;
            most = Math.max(most, repetitions);
            repetitions = 0;
        }

        int all() {
            return Math.max(most, repetitions);
        }
    }

    private RegexLimits(String regex) {
        this.regex = regex;
    }

    /** @throws IllegalArgumentException that says what is beyond the limits */
    static void check(String regex) {
        require(regex.length() <= LONGEST, "longer than " + LONGEST + " characters");
        require(!regex.isEmpty(), "empty");
        new RegexLimits(regex).read();
    }

    private static void require(boolean fine, String fault) {
        if (!fine) {
            throw new IllegalArgumentException(fault);
        }
    }

    private void read() {
        groups.push(new Group());
        while (at < regex.length()) {
            char c = regex.charAt(at++);
            switch (c) {
                case '\\' -> {
                    at++;
                    repeat(null);
                }
                case '[' -> {
                    skipClass();
                    repeat(null);
                }
                case '(' -> open();
                case ')' -> close();
                case '|' -> groups.peek().choose();
                default -> repeat(null);
            }
            require(groups.peek().all() <= MOST_REPETITIONS, "more than " + MOST_REPETITIONS + " repetitions without bound in a row");
        }
    }

    private void open() {
        require(groups.size() <= DEEPEST, "groups nest more than " + DEEPEST + " deep");
        groups.push(new Group());
        if (at < regex.length() && regex.charAt(at) == '?') {
            at++; // (?: and its like: no repetition
        }
    }

    private void close() {
        require(groups.size() > 1, "a ) without its (");
        Group inner = groups.pop();
        groups.peek().repetitions += inner.all();
        repeat(inner);
    }

    /** Classes may hold classes. */
    private void skipClass() {
        int depth = 1;
        boolean first = true; // where ] stands for itself
        while (depth > 0) {
            require(at < regex.length(), "a [ without its ]");
            char c = regex.charAt(at++);
            if (c == '\\') {
                at++;
            } else if (c == '[') {
                depth++;
                require(depth <= DEEPEST, "classes nest more than " + DEEPEST + " deep");
            } else if (c == ']' && !first) {
                depth--;
            }
            first = first && c == '^';
        }
    }

    /** Takes the quantifier after an item, if there is one; {@code group} is the item, if it is one. */
    private void repeat(Group group) {
        if (at >= regex.length() || "*+?{".indexOf(regex.charAt(at)) < 0) {
            return;
        }
        char c = regex.charAt(at++);
        boolean unbounded = c == '*' || c == '+';
        if (c == '{') {
            int end = regex.indexOf('}', at);
            String bounds = end < 0 ? "" : regex.substring(at, end);
            if (!bounds.matches("\\d*,?\\d*") || bounds.isEmpty()) {
                return; // a brace that stands for itself
            }
            for (String bound : bounds.split(",")) {
                require(bound.length() <= 4 && (bound.isEmpty() || Integer.parseInt(bound) <= LARGEST_BOUND), "a repetition of {" + bounds + "}");
            }
            unbounded = bounds.endsWith(",");
            at = end + 1;
        }
        require(c == '?' || group == null || !group.chooses && group.all() == 0, "repeats a group that itself repeats or chooses");
        groups.peek().repetitions += unbounded ? 1 : 0;
        if (at < regex.length() && "?+".indexOf(regex.charAt(at)) >= 0) {
            at++; // lazy, possessive
        }
    }
}
