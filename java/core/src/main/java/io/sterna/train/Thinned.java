package io.sterna.train;

import java.util.ArrayList;
import java.util.List;

/** A series of any length in little memory: all of it while it is short, then every n-th item of it, and always the last. */
final class Thinned<T> {
    private final int most;
    private List<T> kept = new ArrayList<>();
    private T last;
    private long added;
    private long every = 1;

    /** @param most items kept before the last one; even */
    Thinned(int most) {
        this.most = most;
    }

    void add(T item) {
        if (added % every == 0) {
            if (kept.size() == most) {
                halve();
            }
            kept.add(item); // after an even number of items it is its turn also at twice the distance
        }
        last = item;
        added++;
    }

    private void halve() {
        List<T> half = new ArrayList<>();
        for (int i = 0; i < kept.size(); i += 2) {
            half.add(kept.get(i));
        }
        kept = half;
        every *= 2;
    }

    /** What is left of the series, in its order. */
    List<T> items() {
        List<T> items = new ArrayList<>(kept);
        if (added > 0 && (added - 1) % every != 0) {
            items.add(last);
        }
        return items;
    }

    /** How many items one of {@link #items} stands for. */
    long every() {
        return every;
    }

    /** Items there have been. */
    long added() {
        return added;
    }
}
