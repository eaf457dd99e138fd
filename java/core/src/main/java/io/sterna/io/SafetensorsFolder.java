package io.sterna.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;

/**
 * The tensors of a model in a folder: {@code model.safetensors}, or several such files and an index of which
 * tensor lies in which, {@code model.safetensors.index.json}. Where both are there the one file is the model, as it is
 * for transformers, and the index is left from an earlier one. Trusts nothing: every tensor of the index must
 * lie in its file, and the files may hold no other. Not thread-safe.
 */
public final class SafetensorsFolder implements AutoCloseable {
    private static final String FILE = "model.safetensors";
    private static final String INDEX = FILE + ".index.json";
    private static final long LARGEST_INDEX = 64L << 20;
    /** A model of 400 billion weights comes in about 200 files; each is open while the folder is. */
    private static final int MAX_FILES = 1000;

    private final List<SafetensorsReader> readers = new ArrayList<>();
    private final Map<String, SafetensorsReader> readerOf = new LinkedHashMap<>();
    private final Map<String, SafetensorsReader.Tensor> tensors = new LinkedHashMap<>();

    /**
     * Opens the files and checks their headers.
     *
     * @throws SafetensorsException when a file is missing, or anything in one is not as the format says
     */
    public SafetensorsFolder(Path folder) throws IOException {
        Path single = folder.resolve(FILE);
        Path index = folder.resolve(INDEX);
        try {
            if (Files.exists(index) && !Files.exists(single)) {
                openShards(folder, index);
            } else {
                open(single);
            }
        } catch (IOException | RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private void openShards(Path folder, Path index) throws IOException {
        Map<String, String> fileOf = fileOf(index);
        for (String file : new TreeSet<>(fileOf.values())) {
            for (String name : open(folder.resolve(file)).tensors().keySet()) {
                if (!file.equals(fileOf.get(name))) {
                    throw new SafetensorsException(folder.resolve(file),
                            "tensor " + name + ": the index has it in " + fileOf.get(name), null);
                }
            }
        }
        for (Map.Entry<String, String> entry : fileOf.entrySet()) {
            if (!tensors.containsKey(entry.getKey())) {
                throw new SafetensorsException(index, "tensor " + Json.brief(entry.getKey()) + ": is not in " + entry.getValue(), null);
            }
        }
    }

    /** The index: the file of each tensor, a name without a folder. */
    private static Map<String, String> fileOf(Path index) throws IOException {
        Map<String, String> fileOf = new LinkedHashMap<>();
        try {
            Map<String, Object> map = Json.object(Json.readObject(index, LARGEST_INDEX), "weight_map");
            for (String tensor : map.keySet()) {
                String file = Json.string(map, tensor);
                if (!file.matches("[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}\\.safetensors")) {
                    throw new JsonException("tensor " + Json.brief(tensor) + ": file " + Json.brief(file) + " is no plain name of a .safetensors file", -1);
                }
                fileOf.put(tensor, file);
            }
        } catch (JsonException e) {
            throw new SafetensorsException(index, e.getMessage(), e);
        }
        long files = fileOf.values().stream().distinct().count();
        if (files == 0 || files > MAX_FILES) {
            throw new SafetensorsException(index, "weight_map names " + files + " files, expected 1 to " + MAX_FILES, null);
        }
        return fileOf;
    }

    private SafetensorsReader open(Path file) throws IOException {
        try {
            SafetensorsReader reader = new SafetensorsReader(file);
            readers.add(reader);
            reader.tensors().keySet().forEach(name -> readerOf.put(name, reader));
            tensors.putAll(reader.tensors());
            return reader;
        } catch (NoSuchFileException e) {
            throw new SafetensorsException(file, "no such file", "fetch it; weights in other formats, such as pytorch_model.bin, are not read", e);
        }
    }

    /** The tensors by name. */
    public Map<String, SafetensorsReader.Tensor> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    /**
     * As {@link SafetensorsReader#read}, from the tensor's file.
     *
     * @throws IOException when the file cannot be read
     */
    public void read(SafetensorsReader.Tensor tensor, long from, MemorySegment target) throws IOException {
        readerOf.get(tensor.name()).read(tensor, from, target);
    }

    @Override
    public void close() throws IOException {
        for (SafetensorsReader reader : readers) {
            reader.close();
        }
    }

    /** Cuts tensors, in their order, into files of at most so many bytes of them; a larger one has its own. */
    public static List<List<SafetensorsWriter.Entry>> shards(List<SafetensorsWriter.Entry> entries, long shardBytes) {
        List<List<SafetensorsWriter.Entry>> shards = new ArrayList<>();
        long room = 0;
        for (SafetensorsWriter.Entry entry : entries) {
            if (shards.isEmpty() || entry.bytes() > room) {
                shards.add(new ArrayList<>());
                room = shardBytes;
            }
            shards.getLast().add(entry);
            room -= entry.bytes();
        }
        return shards;
    }

    /** The file of shard {@code i} of {@code count}. */
    public static String fileName(int i, int count) {
        return count == 1 ? FILE : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, count);
    }

    /**
     * Writes the index of files that are there already; a single one needs none.
     *
     * @throws IOException when it cannot be written; the message names it
     */
    public static void writeIndex(Path folder, List<List<SafetensorsWriter.Entry>> shards) throws IOException {
        if (shards.size() == 1) {
            return;
        }
        Map<String, Object> weightMap = new LinkedHashMap<>();
        long bytes = 0;
        for (int i = 0; i < shards.size(); i++) {
            for (SafetensorsWriter.Entry entry : shards.get(i)) {
                weightMap.put(entry.name(), fileName(i, shards.size()));
                bytes += entry.bytes();
            }
        }
        Map<String, Object> index = new LinkedHashMap<>();
        index.put("metadata", Map.of("total_size", bytes));
        index.put("weight_map", weightMap);
        DurableFiles.replace(folder.resolve(INDEX), Json.writePretty(index));
    }
}
