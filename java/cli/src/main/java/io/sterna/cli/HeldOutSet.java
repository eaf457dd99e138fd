package io.sterna.cli;

import io.sterna.data.DataException;
import io.sterna.data.Shards;
import io.sterna.data.Windows;
import io.sterna.eval.Perplexity;
import io.sterna.infer.Session;
import io.sterna.train.ModelFolder;
import io.sterna.train.TrainingException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.DoubleConsumer;

/** What the run that a model comes from held out of its data: the windows on which it measured its own loss. */
final class HeldOutSet implements AutoCloseable {
    private final Shards shards;
    private final Windows windows;
    private final long[] chosen;

    private HeldOutSet(Shards shards, int context, int sequences) throws DataException {
        this.shards = shards;
        this.windows = new Windows(shards.dev(), context);
        this.chosen = windows.spread(sequences);
    }

    /**
     * Opens that of a model or run folder.
     *
     * @throws DataException     when the data have gone, or hold out less than a window
     * @throws TrainingException for a model that comes from no run, and for other data in their place
     */
    static HeldOutSet of(Path model) throws IOException {
        ModelFolder folder = ModelFolder.open(model);
        Shards shards = folder.data();
        try {
            return new HeldOutSet(shards, ModelOptions.usualContext(folder.model()), folder.config().evalSequences);
        } catch (DataException | RuntimeException e) {
            shards.close();
            throw e;
        }
    }

    /** Of a token, as {@link Perplexity#of(Session, Windows, long[], DoubleConsumer)} has it. */
    double perplexity(Session session, DoubleConsumer progress) {
        return Perplexity.of(session, windows, chosen, progress);
    }

    @Override
    public String toString() {
        return Units.format("%d windows of %d tokens that the run held out", chosen.length, windows.seqLen());
    }

    @Override
    public void close() {
        shards.close();
    }
}
