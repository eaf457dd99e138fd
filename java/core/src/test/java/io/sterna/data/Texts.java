package io.sterna.data;

import io.sterna.io.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Text and corpora for tests. */
final class Texts {
    static final CorpusOptions ALL = CorpusOptions.defaults().withHeldOutShare(0);

    private Texts() {}

    /** Words of a small made-up language with an uneven distribution, some of them not ASCII. */
    static String prose(int words, long seed) {
        Random random = new Random(seed);
        String[] syllables = {"ka", "lo", "mi", "ter", "nu", "é", "sch", "本", "ing", "er", "a", "o", "0", "12"};
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < words; i++) {
            for (int n = 1 + random.nextInt(3); n > 0; n--) {
                text.append(syllables[(int) (syllables.length * Math.pow(random.nextDouble(), 2))]);
            }
            text.append(random.nextInt(9) == 0 ? ".\n" : random.nextInt(30) == 0 ? "\n    " : " ");
        }
        return text.toString();
    }

    /** A JSON-lines file of documents. */
    static Path jsonLines(Path file, List<String> documents) throws IOException {
        StringBuilder lines = new StringBuilder();
        for (String document : documents) {
            lines.append(Json.write(Map.of("text", document))).append('\n');
        }
        return Files.writeString(file, lines);
    }

    static Corpus corpus(CorpusOptions options, Path... paths) throws CorpusException {
        return Corpus.open(List.of(paths).stream().map(Path::toString).toList(), options);
    }

    static List<String> read(Corpus corpus) throws IOException {
        List<String> documents = new ArrayList<>();
        try (DocumentReader reader = corpus.read()) {
            while (reader.next()) {
                documents.add(new String(reader.bytes(), reader.from(), reader.length(), StandardCharsets.UTF_8));
            }
        }
        return documents;
    }
}
