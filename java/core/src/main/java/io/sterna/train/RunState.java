package io.sterna.train;

import io.sterna.data.ShardException;
import io.sterna.data.Shards;
import io.sterna.io.CheckpointException;
import io.sterna.io.CheckpointReader;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a checkpoint says beside its tensors: the same for every run of the same settings and data folder, on any
 * machine and any number of threads.
 *
 * @param step      steps made
 * @param tokens    tokens learned from
 * @param nonFinite steps in a row, up to this one, that met a NaN or an infinity
 * @param config    the resolved settings, without those of this process alone
 * @param data      the folder of the token shards; a run that is resumed elsewhere may find them in another cache
 * @param shards    fingerprint of the shards
 */
record RunState(long step, long tokens, int nonFinite, Map<String, Object> config, String data, String shards) {
    /** Settings that say how a process runs, not what it computes. */
    static final List<String> PROCESS_SETTINGS = List.of("out", "threads", "stop-after", "cache");

    private static final String FORMAT = "sterna-run";

    static Map<String, Object> lasting(TrainConfig config) {
        Map<String, Object> map = new LinkedHashMap<>(config.toMap());
        PROCESS_SETTINGS.forEach(map::remove);
        return map;
    }

    private static long count(Map<String, Object> meta, String field, long most) throws JsonException {
        long count = Json.integer(meta, field);
        if (count < 0 || count > most) {
            throw new JsonException(field + " is " + count + ", must lie between 0 and " + most, -1);
        }
        return count;
    }

    /**
     * The shards in {@code folder}, which must be those that the run began with.
     *
     * @param verify whether to read all tokens once and check their checksums
     * @throws ShardException    when they are gone or damaged
     * @throws TrainingException for others
     */
    Shards openShards(Path folder, boolean verify) throws ShardException {
        Shards opened = Shards.open(folder, verify);
        String found = opened.manifest().fingerprint();
        if (!found.equals(shards)) {
            opened.close();
            throw new TrainingException("token shards in " + folder + " are others than the run began with (fingerprint "
                    + found + ", not " + shards + "): prepare the same data again");
        }
        return opened;
    }

    Map<String, Object> toMeta() {
        Map<String, Object> meta = new LinkedHashMap<>();
        meta.put("format", FORMAT);
        meta.put("step", step);
        meta.put("tokens", tokens);
        meta.put("non_finite", nonFinite);
        meta.put("config", config);
        meta.put("data", data);
        meta.put("shards", shards);
        return meta;
    }

    /** Whether a file says this; the weights of a model that no run made do not. */
    static boolean isIn(CheckpointReader reader) {
        return FORMAT.equals(reader.meta().get("format"));
    }

    static RunState of(CheckpointReader reader, Path file) throws CheckpointException {
        Map<String, Object> meta = reader.meta();
        try {
            return new RunState(
                    count(meta, "step", Long.MAX_VALUE),
                    count(meta, "tokens", Long.MAX_VALUE),
                    (int) count(meta, "non_finite", Integer.MAX_VALUE),
                    Json.object(meta, "config"),
                    Path.of(Json.string(meta, "data")).toString(),
                    Json.string(meta, "shards"));
        } catch (JsonException | InvalidPathException e) {
            throw new CheckpointException(file, "its description: " + e.getMessage(), "use a checkpoint of a run", e);
        }
    }
}
