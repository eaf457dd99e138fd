package io.sterna.train;

import io.sterna.kernel.Slices;
import io.sterna.nn.Llama;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.LayerKind;
import io.sterna.nn.LlamaPass;
import io.sterna.nn.Method;
import io.sterna.nn.Parameter;
import io.sterna.optim.OptimizerConfig;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What a training takes, known before any of it is allocated.
 *
 * @param bytes          off-heap bytes by kind
 * @param parameters     number of weights by kind of layer
 * @param flopPerToken   floating-point (and int8) operations a token of training, forward and backward; a
 *                       multiply-add counts as two, what is computed again to save memory does not count
 * @param notes          a sentence for each gradient buffer that exists: which, how large and why
 */
public record MemoryPlan(Map<MemoryKind, Long> bytes, Map<LayerKind, Long> parameters, double flopPerToken,
                         List<String> notes) {
    /** Copies its arguments. */
    public MemoryPlan {
        bytes = Collections.unmodifiableMap(new EnumMap<>(bytes));
        parameters = Collections.unmodifiableMap(new EnumMap<>(parameters));
        notes = List.copyOf(notes);
    }

    /** The plan of a training on {@code threads} threads. */
    public static MemoryPlan of(LlamaConfig config, Method method, OptimizerConfig optimizer, TrainSettings settings, int threads) {
        try (Workspace workspace = Workspace.planning()) {
            return Machinery.of(config, method, optimizer, settings, null, null, threads, workspace).plan();
        }
    }

    /** The plan of machinery in a workspace, real or planning. */
    static MemoryPlan of(Llama model, LlamaPass pass, TrainSettings settings, OptimizerConfig optimizer, Workspace workspace, int threads) {
        Map<MemoryKind, Long> bytes = workspace.bytes();
        bytes.merge(MemoryKind.SCRATCH, threads * Slices.SCRATCH_BYTES, Long::sum);
        Map<LayerKind, Long> parameters = new EnumMap<>(LayerKind.class);
        for (Parameter parameter : model.parameters()) {
            parameters.merge(parameter.kind(), parameter.size(), Long::sum);
        }
        return new MemoryPlan(bytes, parameters, flopPerToken(model.config(), parameters),
                notes(model, pass, optimizer, settings, bytes.get(MemoryKind.GRADIENT_BUFFERS)));
    }

    private static double flopPerToken(LlamaConfig config, Map<LayerKind, Long> parameters) {
        double linear = 0;
        for (var entry : parameters.entrySet()) {
            linear += entry.getKey().linear() ? entry.getValue() : 0;
        }
        // A causal query sees half of the sequence on average; scores and weighted sum are a product each.
        double attention = (double) config.layers() * config.seqLen() * config.attentionWidth();
        double head = (double) config.vocab() * config.hidden();
        return 3 * 2 * (linear + attention + head);
    }

    private static List<String> notes(Llama model, LlamaPass pass, OptimizerConfig optimizer, TrainSettings settings, long bytes) {
        List<String> reasons = new ArrayList<>();
        boolean global = settings.clip().kind() == Clip.Kind.GLOBAL;
        boolean tied = model.config().tied();
        if (settings.accumulation() > 1) {
            reasons.add("every parameter, for accumulation over " + settings.accumulation() + " micro-batches");
        }
        if (global) {
            reasons.add("every parameter, for the global clip");
        }
        boolean deferred = !reasons.isEmpty();
        boolean adafactor = optimizer.kind() == OptimizerConfig.Kind.ADAFACTOR;
        if (!deferred && adafactor) {
            reasons.add("the largest parameter but the embedding, shared by all, for Adafactor's factored moments");
        }
        if (!deferred && tied) {
            reasons.add("the tied embedding, whose gradient comes in two parts");
        } else if (!deferred && !adafactor && model.parameters().stream().anyMatch(pass::addsUp)) {
            reasons.add("the head, which takes tokens in groups");
        } else if (!deferred && !adafactor && settings.clip().kind() == Clip.Kind.TENSOR) {
            reasons.add("the head, for the clip by tensor");
        }
        return reasons.isEmpty() ? List.of("no gradient buffer: weights are updated inside the backward pass")
                : List.of(String.format(Locale.ROOT, "gradient buffers of %.1f MB: %s", bytes / 1e6, String.join("; ", reasons)));
    }

    /** Bytes of all kinds. */
    public long totalBytes() {
        return bytes.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Weights of all kinds. */
    public long totalParameters() {
        return parameters.values().stream().mapToLong(Long::longValue).sum();
    }
}
