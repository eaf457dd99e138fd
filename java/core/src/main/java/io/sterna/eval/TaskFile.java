package io.sterna.eval;

import io.sterna.eval.Question.Choice;
import io.sterna.io.GzipInput;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.io.Utf8;
import io.sterna.train.ConfigException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.ZipException;

/**
 * Reads the questions of a task, JSON lines in one of three forms, as the texts that lm-evaluation-harness
 * makes of the same questions (its {@code arc_easy}, {@code arc_challenge}, {@code piqa}, {@code sciq} and
 * {@code winogrande}, without examples):
 * <ul>
 * <li>{@code query}, {@code choices}, {@code gold}: the context is a query that begins with "Question:", then
 *     "\nAnswer:"; a continuation is a space and the choice;
 * <li>{@code context_options}, {@code continuation}, {@code gold}: partial scoring; the contexts are the options, the
 *     continuation is a space and what all share;
 * <li>{@code request} with {@code context} and {@code continuation}, {@code doc_id}, {@code idx}, {@code label}: a line
 *     for each answer, its texts as they stand. Requests whose context is "Answer:" alone ask how likely an answer is
 *     without its question, and are left out.
 * </ul>
 */
final class TaskFile {
    private static final int LONGEST_LINE = 1 << 20;
    private static final int MOST_CHOICES = 100;
    private static final String NO_QUESTION = "Answer:";
    private static final List<String> SUFFIXES = List.of(".jsonl", ".jsonl.gz", ".requests.jsonl", ".requests.jsonl.gz");

    private final Path file;
    private final List<Question> questions = new ArrayList<>();
    private final List<Choice> requests = new ArrayList<>(); // of the question under way
    private long requestsOf;
    private long label;
    private int line;

    private TaskFile(Path file) {
        this.file = file;
    }

    /**
     * The questions of a task.
     *
     * @param folder holds {@code <task>.jsonl} or {@code <task>.requests.jsonl}, or one of them with {@code .gz}
     * @param limit  questions at most, at least 1
     * @throws ConfigException for a task without a file
     * @throws TaskException for a line that is no question; it names file, line and field
     */
    static List<Question> read(Path folder, String task, int limit) throws IOException {
        Path file = find(folder, task);
        TaskFile reader = new TaskFile(file);
        try (InputStream raw = Files.newInputStream(file);
                InputStream in = new BufferedInputStream(file.toString().endsWith(".gz") ? new GzipInput(raw) : raw)) {
            reader.read(in, limit);
        } catch (ZipException | java.io.EOFException e) {
            throw new TaskException(file + ": damaged gzip file: " + e.getMessage(), e);
        }
        if (reader.questions.isEmpty()) {
            throw new TaskException(file + ": holds no question");
        }
        return List.copyOf(reader.questions);
    }

    private static Path find(Path folder, String task) throws IOException {
        if (task.matches("[A-Za-z0-9_-]+")) {
            for (String suffix : SUFFIXES) {
                Path file = folder.resolve(task + suffix);
                if (Files.isRegularFile(file)) {
                    return file;
                }
            }
        }
        throw new ConfigException("task \"" + task + "\": no " + task + ".jsonl or " + task + ".requests.jsonl, nor one with .gz, in "
                + folder + "; there are " + found(folder));
    }

    private static String found(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return "no files: it is no folder";
        }
        try (Stream<Path> files = Files.list(folder)) {
            List<String> names = files.map(f -> f.getFileName().toString()).filter(n -> n.contains(".jsonl")).sorted().toList();
            return names.isEmpty() ? "none of JSON lines" : String.join(", ", names);
        }
    }

    private void read(InputStream in, int limit) throws IOException {
        byte[] first = nextLine(in);
        for (byte[] text = first == null ? null : Utf8.withoutMark(first); text != null && questions.size() < limit; text = nextLine(in)) {
            if (!new String(text, StandardCharsets.UTF_8).isBlank()) {
                try {
                    add(Json.asObject(Json.parse(text), "the line"));
                } catch (JsonException e) {
                    throw new TaskException(source() + ": " + e.getMessage(), e);
                }
            }
        }
        if (questions.size() < limit) {
            endRequests();
        }
    }

    /** The bytes of the next line without its end, or null. */
    private byte[] nextLine(InputStream in) throws IOException {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        line++;
        for (int b = in.read(); b != '\n'; b = in.read()) {
            if (b < 0) {
                return text.size() == 0 ? null : text.toByteArray();
            }
            if (text.size() == LONGEST_LINE) {
                throw new TaskException(source() + ": longer than " + LONGEST_LINE + " bytes");
            }
            text.write(b);
        }
        return text.toByteArray();
    }

    private void add(Map<String, Object> object) throws IOException {
        if (object.containsKey("request")) {
            addRequest(object);
        } else if (object.containsKey("context_options")) {
            addPartial(object);
        } else {
            addChoices(object);
        }
    }

    private void addChoices(Map<String, Object> object) throws IOException {
        String query = Json.string(object, "query");
        List<Choice> choices = new ArrayList<>();
        for (String choice : texts(object, "choices")) {
            choices.add(choice(prompt(query), " " + choice, choice));
        }
        questions.add(new Question(choices, gold(object, "gold", choices.size()), true, source()));
    }

    private static String prompt(String query) {
        if (!query.startsWith("Question:") || query.endsWith("Answer:")) {
            return query;
        }
        return query + (query.endsWith("\n") ? "Answer:" : "\nAnswer:");
    }

    private void addPartial(Map<String, Object> object) throws IOException {
        String continuation = Json.string(object, "continuation").strip();
        List<Choice> choices = new ArrayList<>();
        for (String context : texts(object, "context_options")) {
            choices.add(choice(context, " " + continuation, continuation));
        }
        questions.add(new Question(choices, gold(object, "gold", choices.size()), false, source()));
    }

    private void addRequest(Map<String, Object> object) throws IOException {
        Map<String, Object> request = Json.object(object, "request");
        String context = Json.string(request, "context");
        String continuation = Json.string(request, "continuation");
        if (context.equals(NO_QUESTION)) {
            return;
        }
        long doc = Json.integer(object, "doc_id");
        if (requests.isEmpty() || doc != requestsOf) {
            endRequests();
            requestsOf = doc;
        }
        long index = Json.integer(object, "idx");
        if (index != requests.size() || requests.size() == MOST_CHOICES) {
            throw fault("idx", index, "must be " + requests.size() + ", the number of the request in question " + doc);
        }
        if (requests.isEmpty()) {
            label = Json.integer(object, "label");
        } else if (Json.integer(object, "label") != label) {
            throw fault("label", Json.integer(object, "label"), "the first request of question " + doc + " says " + label);
        }
        requests.add(choice(context, continuation, continuation.strip()));
    }

    private void endRequests() throws IOException {
        if (requests.isEmpty()) {
            return;
        }
        if (requests.size() < 2) {
            throw new TaskException(source() + ": field \"doc_id\" ends question " + requestsOf + " after one request; it needs two or more");
        }
        questions.add(new Question(requests, gold(label, "label", requests.size()), true, file + " question " + requestsOf));
        requests.clear();
    }

    private Choice choice(String context, String continuation, String answer) throws TaskException {
        if (context.isBlank()) {
            throw fault("context", "\"\"", "must not be blank");
        }
        if (answer.isBlank()) {
            throw fault("choices", "\"\"", "an answer must not be blank");
        }
        return new Choice(context, continuation, answer.getBytes(StandardCharsets.UTF_8).length);
    }

    private List<String> texts(Map<String, Object> object, String field) throws IOException {
        List<Object> list = Json.list(object, field);
        if (list.size() < 2 || list.size() > MOST_CHOICES) {
            throw fault(field, list.size() + " long", "must hold 2 to " + MOST_CHOICES + " texts");
        }
        List<String> texts = new ArrayList<>();
        for (Object item : list) {
            if (!(item instanceof String text)) {
                throw fault(field, Json.write(item), "must hold texts alone");
            }
            texts.add(text);
        }
        return texts;
    }

    private int gold(Map<String, Object> object, String field, int choices) throws IOException {
        return gold(Json.integer(object, field), field, choices);
    }

    private int gold(long index, String field, int choices) throws TaskException {
        if (index < 0 || index >= choices) {
            throw fault(field, index, "must lie in 0..." + (choices - 1));
        }
        return (int) index;
    }

    private TaskException fault(String field, Object value, String remedy) {
        return new TaskException(source() + ": field \"" + field + "\" is " + value + ": " + remedy);
    }

    private String source() {
        return file + " line " + line;
    }
}
