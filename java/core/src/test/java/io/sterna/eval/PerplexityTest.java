package io.sterna.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.infer.Model;
import io.sterna.infer.Session;
import io.sterna.infer.SessionOptions;
import io.sterna.infer.TinyModel;
import io.sterna.kernel.Tier;
import io.sterna.tensor.FloatType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PerplexityTest {
    private static final String TEXT = "the tern flies north\nover the  sea and the ice, and south again.\n";

    @TempDir
    private static Path folder;

    /** Windows of 16 tokens by hand: every token from the training's own logits, with the context that the stride leaves. */
    @ParameterizedTest
    @CsvSource({"bits 1.58, 16", "bits 1.58, 8", "bits 1.58, 1", "method fp32, 5", "method bitnet, 16"})
    void everyTokenIsPredictedOnceFromItsWindow(String settings, int stride) throws IOException {
        int context = 16;
        Path run = TinyModel.train(folder, settings.split(" "));
        byte[] utf8 = TEXT.getBytes(StandardCharsets.UTF_8);
        int[] all = new int[utf8.length + 1];
        all[0] = 256;
        for (int i = 0; i < utf8.length; i++) {
            all[i + 1] = utf8[i] & 0xFF;
        }
        double expected = 0;
        int end = context; // the last token that the window predicts
        for (int t = 1; t < all.length; t++) {
            end = t > end ? Math.min(all.length - 1, end + stride) : end;
            int start = Math.max(0, end - context);
            float[][] logits = TinyModel.trainingLogits(run, Arrays.copyOfRange(all, start, t));
            expected += crossEntropy(logits[t - 1 - start], all[t]);
        }
        try (Model model = Model.load(run); Session session = session(model, context)) {
            Perplexity p = Perplexity.of(session, model.tokenizer(), utf8, stride, share -> { });
            double bound = Tier.best() == Tier.AMX ? 1e-4 : 1e-5; // AMX rounds to bf16 in a prompt, not for one token
            assertEquals(expected, p.nats(), bound * expected);
            assertEquals(utf8.length, p.tokens());
            assertEquals(13, p.words());
            assertEquals(Math.exp(p.nats() / utf8.length), p.tokenPerplexity(), 1e-9);
            assertEquals(p.nats() / utf8.length / Math.log(2), p.bitsPerByte(), 1e-9);
            assertEquals(Math.exp(p.nats() / 13), p.wordPerplexity(), 1e-6 * p.wordPerplexity());
        }
    }

    @Test
    void moreContextIsNoWorseForTextLikeTheTraining() throws IOException {
        String text = "the tern flies north over the sea and the ice. ".repeat(4);
        try (Model model = Model.load(TinyModel.train(folder, "bits", "8", "steps", "60"));
                Session session = session(model, 32)) {
            byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
            double disjoint = Perplexity.of(session, model.tokenizer(), utf8, 32, share -> { }).tokenPerplexity();
            double sliding = Perplexity.of(session, model.tokenizer(), utf8, 1, share -> { }).tokenPerplexity();
            assertTrue(sliding < disjoint * 1.05 && disjoint < 100, sliding + " " + disjoint);
        }
    }

    @Test
    void whatCannotBeMeasuredIsRefused() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58")); Session session = session(model, 8)) {
            for (int stride : new int[] {0, 9}) {
                assertThrows(IllegalArgumentException.class,
                        () -> Perplexity.of(session, model.tokenizer(), new byte[] {'a'}, stride, share -> { }));
            }
            assertThrows(IllegalArgumentException.class,
                    () -> Perplexity.of(session, model.tokenizer(), new byte[0], 8, share -> { }));
        }
    }

    private static Session session(Model model, int context) {
        return model.session(SessionOptions.of(model).withContext(context).withCacheType(FloatType.F32));
    }

    private static double crossEntropy(float[] logits, int target) {
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit);
        }
        return Math.log(sum) - logits[target];
    }
}
