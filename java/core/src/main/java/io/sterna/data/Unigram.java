package io.sterna.data;

/** Counts of single tokens, and the loss of the model that knows nothing else. Not thread-safe. */
final class Unigram {
    private final long[] train;
    private final long[] dev;

    Unigram(int vocabSize) {
        train = new long[vocabSize];
        dev = new long[vocabSize];
    }

    void addTrain(Tokens tokens) {
        add(tokens, train);
    }

    void addDev(Tokens tokens) {
        add(tokens, dev);
    }

    private static void add(Tokens tokens, long[] counts) {
        int[] ids = tokens.array();
        for (int i = 0; i < tokens.size(); i++) {
            counts[ids[i]]++;
        }
    }

    /** Mean over dev tokens of -ln((train count + 1) / (train tokens + vocabulary)), in nats; 0 without any. */
    double devEntropy() {
        long trainTokens = 0;
        long devTokens = 0;
        for (int id = 0; id < train.length; id++) {
            trainTokens += train[id];
            devTokens += dev[id];
        }
        double sum = 0;
        double logTotal = Math.log(trainTokens + train.length);
        for (int id = 0; id < train.length; id++) {
            sum += dev[id] * (logTotal - Math.log(train[id] + 1));
        }
        return devTokens == 0 ? 0 : sum / devTokens;
    }
}
