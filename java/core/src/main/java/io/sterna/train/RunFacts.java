package io.sterna.train;

import io.sterna.data.ShardManifest;
import io.sterna.kernel.Kernels;
import io.sterna.tensor.MemoryKind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What a run is about to do, in words. */
public final class RunFacts {
    private RunFacts() {}

    static Map<String, String> of(TrainConfig c, MemoryPlan plan, Kernels kernels, ShardManifest data, long step) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("data", format("%,d training tokens in %,d documents (%.2f bytes a token), %,d held out",
                data.train().tokens(), data.train().documents(),
                (double) data.train().bytes() / Math.max(1, data.train().tokens()), data.dev().tokens()));
        facts.putAll(ofPlan(c, plan));
        if (data.dev().tokens() <= c.seqLen) {
            facts.put("held out", format("%,d tokens, fewer than a sequence of %,d needs: no held-out loss; a larger holdout or a shorter"
                    + " seq-len gives one", data.dev().tokens(), c.seqLen));
        }
        facts.put("machine", format("tier %s, %d threads", kernels.tier(), c.threads));
        facts.put("run", format("%s%s%,d steps of %,d tokens", c.out, step == 0 ? ": " : ": goes on after step " + step + " of ",
                c.steps, (long) c.batch * c.accumulate * c.seqLen));
        return facts;
    }

    /** What a plan says: the model and its memory. */
    public static Map<String, String> ofPlan(TrainConfig c, MemoryPlan plan) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("model", format("%s: %d layers of %d, vocabulary %,d, %.2f M parameters, %.1f MFLOP a token",
                c.init == null ? c.preset : "from " + c.init, c.layers, c.hidden, c.vocab, plan.totalParameters() / 1e6, plan.flopPerToken() / 1e6));
        facts.put("method", format("%s%s, %s with %s state, lr %s %s",
                c.method, c.bits == null ? "" : " " + c.bits + " bits", c.optimizer, c.state, c.lr, c.schedule));
        List<String> parts = new ArrayList<>();
        for (Map.Entry<MemoryKind, Long> part : plan.bytes().entrySet()) {
            if (part.getValue() > 0) {
                parts.add(format("%s %.1f", part.getKey().toString().replace('_', ' '), part.getValue() / 1e6));
            }
        }
        facts.put("memory", format("%.1f MB (%s), about %.0f MB with the process",
                plan.totalBytes() / 1e6, String.join(", ", parts), MemoryCheck.predictedPeak(plan) / 1e6));
        facts.put("buffers", String.join("; ", plan.notes()));
        return facts;
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
