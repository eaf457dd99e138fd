package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.infer.Model;
import io.sterna.infer.SessionGroup;
import io.sterna.infer.SessionOptions;
import io.sterna.infer.TinyModel;
import io.sterna.kernel.NativeHeap;
import io.sterna.kernel.Slices;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.Method;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * What is closed leaves the process, also where its neighbours in the C library's heap stay: free memory at the heap's
 * end alone goes back by itself, and blocks of a size that was never freed before.
 */
@EnabledOnOs(OS.LINUX)
class ReturnedMemoryTest {
    private static final int SEQUENCES = 4096;
    private static final int CACHE = TinyModel.CONTEXT * 2 * 24 * 2 * Float.BYTES; // of one: keys and values of two heads and two layers
    private static final int SMALL = 1 << 20;

    /** Of what is closed: the rest is left to what else the process takes meanwhile, and to the small ones that wait. */
    private static final double SHARE = 0.7;

    @TempDir
    private static Path folder;

    @Test
    void ofASessionGroup() throws IOException {
        try (Model model = Model.load(TinyModel.train(folder, "bits", "1.58"))) {
            SessionGroup group = open(model);
            try (SessionGroup neighbour = open(model)) {
                assertReturned((long) neighbour.size() * CACHE, group::close);
            }
        }
    }

    private static SessionGroup open(Model model) {
        return model.group(SessionOptions.of(model).withCacheType(FloatType.F32), SEQUENCES);
    }

    @Test
    void ofAModel() throws IOException {
        Path run = TinyModel.train(folder, "method", "fp32", "hidden", "1024", "steps", "1");
        Model.load(run).close();
        Model model = Model.load(run);
        try (Model neighbour = Model.load(run)) {
            long bytes = neighbour.bytes().values().stream().mapToLong(Long::longValue).sum();
            assertReturned(bytes, model::close);
        }
    }

    @Test
    void ofATraining() throws IOException {
        Trainings trainings = Trainings.of(Method.fp32()).with(new LlamaConfig(512, 512, 2, 4, 2, 80, 16, 1e4, 1e-5, false, false));
        try (Slices slices = new Slices(1)) {
            trainings.start(slices).close();
            Trainer trainer = trainings.start(slices);
            try (Trainer neighbour = trainings.start(slices)) {
                assertReturned(neighbour.plan().totalBytes(), trainer::close);
            }
        }
    }

    @Test
    void ofSmallOnesTogether() throws IOException {
        List<Workspace> workspaces = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            workspaces.add(small());
        }
        assertReturned(100L * SMALL, () -> {
            for (int i = 0; i < workspaces.size(); i += 2) {
                NativeHeap.close(workspaces.get(i));
            }
        });
        for (int i = 1; i < workspaces.size(); i += 2) {
            NativeHeap.close(workspaces.get(i));
        }
    }

    private static Workspace small() {
        Workspace workspace = new Workspace();
        for (int i = 0; i < 16; i++) {
            workspace.section(MemoryKind.SCRATCH).allocate(SMALL / 16);
        }
        return workspace;
    }

    private static void assertReturned(long bytes, Runnable close) throws IOException {
        long before = rss();
        close.run();
        long returned = before - rss();
        assertTrue(returned > SHARE * bytes, returned + " of " + bytes + " bytes returned");
    }

    private static long rss() throws IOException {
        return ProcessMemory.rss().orElseThrow();
    }
}
