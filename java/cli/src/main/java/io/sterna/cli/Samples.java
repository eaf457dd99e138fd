package io.sterna.cli;

import java.util.ArrayList;
import java.util.List;

/** Times of repeated work, in seconds, or rates. */
final class Samples {
    private final List<Double> values = new ArrayList<>();

    void add(double value) {
        values.add(value);
    }

    /** Does the work, and adds and returns the seconds it took. */
    double time(Runnable work) {
        long start = System.nanoTime();
        work.run();
        add((System.nanoTime() - start) * 1e-9);
        return values.getLast();
    }

    int count() {
        return values.size();
    }

    /** Of an even number, the upper one of the two in the middle. */
    double median() {
        return values.stream().sorted().toList().get(values.size() / 2);
    }

    double least() {
        return values.stream().mapToDouble(v -> v).min().orElseThrow();
    }

    double mean() {
        return values.stream().mapToDouble(v -> v).average().orElseThrow();
    }
}
