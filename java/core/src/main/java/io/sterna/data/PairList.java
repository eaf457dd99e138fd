package io.sterna.data;

import java.util.Arrays;
import java.util.function.IntConsumer;

/** For each pair of neighbours: its count, and the words that hold it (some no longer do). Not thread-safe. */
final class PairList {
    private static final int[] NONE = {};

    private int[] left = new int[1 << 12];
    private int[] right = new int[1 << 12];
    private long[] count = new long[1 << 12];
    private int[][] words = new int[1 << 12][];
    private int[] wordCount = new int[1 << 12];
    private boolean[] ranked = new boolean[1 << 12];
    private boolean[] isChanged = new boolean[1 << 12];
    private int size;
    private final Tokens changed = new Tokens(); // pairs whose count grew

    int add(int leftId, int rightId) {
        if (size == left.length) {
            left = Arrays.copyOf(left, 2 * size);
            right = Arrays.copyOf(right, 2 * size);
            count = Arrays.copyOf(count, 2 * size);
            words = Arrays.copyOf(words, 2 * size);
            wordCount = Arrays.copyOf(wordCount, 2 * size);
            ranked = Arrays.copyOf(ranked, 2 * size);
            isChanged = Arrays.copyOf(isChanged, 2 * size);
        }
        left[size] = leftId;
        right[size] = rightId;
        words[size] = NONE;
        return size++;
    }

    int left(int pair) {
        return left[pair];
    }

    int right(int pair) {
        return right[pair];
    }

    long count(int pair) {
        return count[pair];
    }

    int[] words(int pair) {
        return words[pair];
    }

    int wordCount(int pair) {
        return wordCount[pair];
    }

    /** Marks a pair as a merge; returns whether it was none before. */
    boolean rank(int pair) {
        boolean isNew = !ranked[pair];
        ranked[pair] = true;
        return isNew;
    }

    void increase(int pair, long frequency, int word) {
        count[pair] += frequency;
        int n = wordCount[pair];
        if (n == 0 || words[pair][n - 1] != word) {
            if (n == words[pair].length) {
                words[pair] = Arrays.copyOf(words[pair], Math.max(2, 2 * n));
            }
            words[pair][n] = word;
            wordCount[pair] = n + 1;
        }
        if (!isChanged[pair]) {
            isChanged[pair] = true;
            changed.add(pair);
        }
    }

    void decrease(int pair, long frequency) {
        count[pair] -= frequency;
    }

    /** Forgets where a pair stood: it is being merged everywhere. */
    void clear(int pair) {
        count[pair] = 0;
        words[pair] = NONE;
        wordCount[pair] = 0;
    }

    void drainChanged(IntConsumer each) {
        for (int i = 0; i < changed.size(); i++) {
            isChanged[changed.get(i)] = false;
            each.accept(changed.get(i));
        }
        changed.clear();
    }
}
