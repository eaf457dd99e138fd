package io.sterna.cli;

import io.sterna.eval.ChoiceScorer;
import io.sterna.eval.Perplexity;
import io.sterna.eval.Task;
import io.sterna.eval.TaskResult;
import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.infer.SessionGroup;
import io.sterna.nn.CacheType;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.DoubleConsumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures how well a model predicts a text, and how many questions of tasks it answers. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Measures how well a model predicts a text, how many questions of tasks it answers, or both.",
            "",
            "A text (--data) gives perplexity of tokens and of words, and bits per byte. The file is one document, taken as"
                + " it is but for a byte order mark. Word perplexity is exp(nats of all tokens / words), words being what white space separates:"
                + " WikiText's usual figure, independent of the tokenizer. Line ends are no words; where other figures count an"
                + " end of each line as one, theirs are lower. WikiText-2 comes raw (wiki.test.raw) or with <unk>"
                + " for rare words and @-@ within words (wiki.test.tokens), and the two give different figures: say which one was"
                + " measured. Windows of the context follow each other by --stride, and every token is scored once; how long"
                + " they are decides much, so models are compared with the same --context.",
            "",
            "Tasks (--tasks) are multiple-choice questions, scored as lm-evaluation-harness does without examples: acc takes the"
                + " likeliest answer, acc_norm divides log-likelihoods by the bytes of the answers; winogrande scores what follows"
                + " each option. DIR holds arc_easy.jsonl and so on, or NAME.requests.jsonl, or one with .gz."
        })
final class EvalCommand implements Callable<Integer> {
    static final String LIST = "\\s*,\\s*";
    private static final double LARGEST_WRITTEN = 1e12; // in full

    @Mixin
    private ModelOptions model;

    @Option(names = "--data", paramLabel = "FILE", description = "A text file in UTF-8.")
    private Path data;

    @Option(names = "--stride", paramLabel = "N",
            description = "Tokens from one window to the next; default half the context. Fewer see more before them and take longer.")
    private Integer stride;

    @Option(names = "--tasks", paramLabel = "NAME", split = LIST, splitSynopsisLabel = ",", description = "Tasks, such as arc_easy,arc_challenge,piqa,sciq,winogrande.")
    private List<String> tasks = List.of();

    @Option(names = "--task-data", paramLabel = "DIR", description = "Folder of the tasks' files.")
    private Path taskData;

    @Option(names = "--limit", paramLabel = "N", description = "Only the first N questions of a task.")
    private Integer limit;

    @Option(names = "--json", description = "Print the figures as JSON; those before a failure too.")
    private boolean json;

    @Option(names = "--quiet", description = "Do not tell on standard error how far it is.")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        check();
        byte[] text = data == null ? null : Inputs.utf8(data);
        List<Task> read = new ArrayList<>();
        for (String task : tasks) {
            read.add(Task.read(taskData, task, limit == null ? Integer.MAX_VALUE : limit));
        }
        Map<String, Object> figures = new LinkedHashMap<>();
        List<String> lines = new ArrayList<>();
        try (Model loaded = model.load(); ConsoleProgress progress = ConsoleProgress.on(System.err, quiet)) {
            if (data != null) {
                measureText(loaded, text, progress, figures, lines);
            }
            measureTasks(loaded, read, progress, figures, lines);
        } finally { // what was measured is told, also when a later task fails
            print(figures, lines);
        }
        return 0;
    }

    private void print(Map<String, Object> figures, List<String> lines) throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        if (!json) {
            lines.forEach(out::println);
        } else if (!figures.isEmpty()) {
            out.println(JsonText.line(figures));
        }
        out.flush();
    }

    private void check() {
        if (data == null && tasks.isEmpty()) {
            throw new ConfigException("nothing to measure: give a text with --data, or --tasks");
        }
        if (!tasks.isEmpty() && taskData == null) {
            throw new ConfigException("tasks " + String.join(",", tasks) + ": name the folder of their files with --task-data");
        }
        if (tasks.isEmpty() && (taskData != null || limit != null)) {
            throw new ConfigException((limit == null ? "task-data " + taskData : "limit " + limit) + ": is about --tasks; name some, or leave it out");
        }
        if (data == null && stride != null) {
            throw new ConfigException("stride " + stride + ": is about the text of --data; give one, or leave it out");
        }
        if (limit != null && limit < 1) {
            throw new ConfigException("limit " + limit + ": must be at least 1");
        }
    }

    private void measureText(Model loaded, byte[] text, ConsoleProgress progress, Map<String, Object> figures, List<String> lines) {
        long start = System.nanoTime();
        try (Session session = model.session(loaded, CacheType.F32)) {
            int step = step(session.context());
            Perplexity p = perplexity(loaded, session, text, step, share -> progress.update("predicting", share, 0));
            double seconds = (System.nanoTime() - start) * 1e-9;
            addFigures(p, seconds, figures);
            lines.add(Units.format("token perplexity  %.4f", p.tokenPerplexity()));
            lines.add(Units.format(p.wordPerplexity() < LARGEST_WRITTEN ? "word perplexity   %.4f" : "word perplexity   %.4e", p.wordPerplexity()));
            lines.add(Units.format("bits per byte     %.4f", p.bitsPerByte()));
            lines.add(Units.format("%d tokens, %d words, %d bytes; windows of %d tokens, %d apart; %.1f tokens/s",
                    p.tokens(), p.words(), p.bytes(), p.context(), p.stride(), p.tokens() / seconds));
        }
    }

    private int step(int context) {
        if (stride != null && (stride < 1 || stride > context)) {
            throw new ConfigException("stride " + stride + ": must lie between 1 and the context " + context);
        }
        return stride == null ? Math.max(1, context / 2) : stride;
    }

    private Perplexity perplexity(Model loaded, Session session, byte[] text, int step, DoubleConsumer progress) {
        try {
            return Perplexity.of(session, loaded.tokenizer(), text, step, progress);
        } catch (IllegalArgumentException e) {
            throw new ConfigException(Inputs.fault(data, e), e);
        }
    }

    private void addFigures(Perplexity p, double seconds, Map<String, Object> figures) {
        figures.put("data", data.toString());
        figures.put("token_perplexity", finite(p.tokenPerplexity()));
        figures.put("word_perplexity", finite(p.wordPerplexity()));
        figures.put("bits_per_byte", p.bitsPerByte());
        figures.put("nats_per_token", p.nats() / p.tokens());
        figures.put("tokens", p.tokens());
        figures.put("words", p.words());
        figures.put("bytes", p.bytes());
        figures.put("context", p.context());
        figures.put("stride", p.stride());
        figures.put("seconds", seconds);
    }

    /** JSON has no infinity, the perplexity of a text without words or of one very long one, and no NaN, the error of one question. */
    private static Double finite(double value) {
        return Double.isFinite(value) ? value : null;
    }

    private void measureTasks(Model loaded, List<Task> read, ConsoleProgress progress, Map<String, Object> figures, List<String> lines)
            throws IOException {
        Map<String, Object> results = new LinkedHashMap<>();
        for (Task task : read) {
            long start = System.nanoTime();
            TaskResult result = answer(loaded, task, progress);
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("questions", result.questions());
            addScore(row, "acc", result.accuracy());
            result.normalized().ifPresent(score -> addScore(row, "acc_norm", score));
            row.put("seconds", (System.nanoTime() - start) * 1e-9);
            if (results.isEmpty()) {
                lines.add(Units.format("%-16s %9s  %8s %8s  %8s %8s", "task", "questions", "acc", "stderr", "acc_norm", "stderr"));
            }
            results.put(task.name(), row);
            figures.put("tasks", results);
            lines.add(Units.format("%-16s %9d  %s  %s", task.name(), result.questions(), columns(result.accuracy()),
                    result.normalized().map(EvalCommand::columns).orElse("")).stripTrailing());
        }
    }

    /** With no more context than the task's longest answer takes, and a sequence for each answer. */
    private TaskResult answer(Model loaded, Task task, ConsoleProgress progress) throws IOException {
        int needed = Math.min(ChoiceScorer.longest(task, loaded.tokenizer()), ModelOptions.usualContext(loaded.config()));
        try (SessionGroup group = model.group(loaded, CacheType.F32, needed, task.mostAnswers())) {
            return TaskResult.of(group, loaded.tokenizer(), task, share -> progress.update(task.name(), share, 0));
        }
    }

    /** A single question has no standard error. */
    private static void addScore(Map<String, Object> row, String name, TaskResult.Score score) {
        row.put(name, score.value());
        row.put(name + "_stderr", finite(score.standardError()));
    }

    private static String columns(TaskResult.Score score) {
        return Units.format("%8.4f %8.4f", score.value(), score.standardError());
    }
}
