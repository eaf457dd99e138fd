package io.sterna.eval;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Questions to ask a model, read before it is: faults of a file are found ahead of long work on others.
 *
 * @param name      of the task
 * @param questions one at least
 */
public record Task(String name, List<Question> questions) {
    /** Immutable. */
    public Task {
        questions = List.copyOf(questions);
        if (questions.isEmpty()) {
            throw new IllegalArgumentException("task " + name + ": must have a question");
        }
    }

    /** Answers of the question that has most of them. */
    public int mostAnswers() {
        return questions.stream().mapToInt(q -> q.choices().size()).max().orElseThrow();
    }

    /**
     * Reads the questions of a task.
     *
     * @param folder holds the task's file, {@code <name>.jsonl} or {@code <name>.requests.jsonl}, or one with {@code .gz}
     * @param limit  questions at most, at least 1
     * @throws io.sterna.train.ConfigException for a task without a file
     * @throws TaskException for a question that cannot be read
     */
    public static Task read(Path folder, String name, int limit) throws IOException {
        if (limit < 1) {
            throw new IllegalArgumentException("limit " + limit + ": must be at least 1");
        }
        return new Task(name, TaskFile.read(folder, name, limit));
    }
}
