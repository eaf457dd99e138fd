package io.sterna.eval;

import io.sterna.data.Tokenizer;
import io.sterna.infer.SessionGroup;
import java.util.List;
import java.util.Optional;
import java.util.function.DoubleConsumer;

/**
 * How many questions of a task a model answers, scored as lm-evaluation-harness does: the answer it gives is
 * the likeliest, of equals the first.
 *
 * @param task       name
 * @param questions  questions asked
 * @param accuracy   share of questions answered rightly
 * @param normalized the same with log-likelihoods divided by the bytes of the answers ({@code acc_norm}; the harness
 *                   counts characters, so answers beyond ASCII may differ); empty where all answers share one continuation
 */
public record TaskResult(String task, int questions, Score accuracy, Optional<Score> normalized) {
    /**
     * A share of the questions.
     *
     * @param value         0 ... 1
     * @param standardError of the mean, from the sample's standard deviation; NaN for a single question
     */
    public record Score(double value, double standardError) {
        static Score of(int right, int questions) {
            double value = (double) right / questions;
            return new Score(value, Math.sqrt(value * (1 - value) / (questions - 1)));
        }
    }

    /**
     * Asks a model the questions of a task.
     *
     * @param group     at least {@link Task#mostAnswers} sequences, which are used up; caches in F32 compute as training does
     * @param tokenizer of the group's model
     * @param progress  is told the share that is done, now and then
     * @throws TaskException for a question that cannot be asked
     */
    public static TaskResult of(SessionGroup group, Tokenizer tokenizer, Task task, DoubleConsumer progress) throws TaskException {
        ChoiceScorer scorer = new ChoiceScorer(group, tokenizer);
        List<Question> questions = task.questions();
        int right = 0;
        int rightNormalized = 0;
        for (int q = 0; q < questions.size(); q++) {
            Question question = questions.get(q);
            double[] nats = scorer.logLikelihoods(question);
            right += largest(nats) == question.gold() ? 1 : 0;
            for (int i = 0; i < nats.length; i++) {
                nats[i] /= question.choices().get(i).bytes();
            }
            rightNormalized += largest(nats) == question.gold() ? 1 : 0;
            progress.accept((q + 1.0) / questions.size());
        }
        boolean normalized = questions.stream().allMatch(Question::normalized);
        return new TaskResult(task.name(), questions.size(), Score.of(right, questions.size()),
                normalized ? Optional.of(Score.of(rightNormalized, questions.size())) : Optional.empty());
    }

    private static int largest(double[] x) {
        int best = 0;
        for (int i = 1; i < x.length; i++) {
            best = x[i] > x[best] ? i : best;
        }
        return best;
    }
}
