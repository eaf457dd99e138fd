package io.sterna.cli;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * Where the threads of a training spend their time, by sampling: every millisecond, the kernel that each
 * is in. A thread inside a kernel is seen without being stopped.
 */
final class OperationProfile implements AutoCloseable {
    private static final long INTERVAL_MILLIS = 1;
    private static final String WAITING = "waiting";
    private static final String JAVA = "java";
    private static final Map<String, String> PASSES = Map.of("blockForward", "blocks forward",
            "blockBackward", "blocks backward", "headBackward", "head");

    private final Thread trainer;
    private final Thread sampler;
    private final Map<String, Long> operations = new TreeMap<>();
    private final Map<String, Long> phases = new TreeMap<>();
    private volatile boolean sampled;
    private volatile boolean done;

    /** Starts to sample {@code trainer} and the threads of slices. */
    OperationProfile(Thread trainer) {
        this.trainer = trainer;
        this.sampler = Thread.ofPlatform().daemon().name("sterna-profile").start(this::sample);
    }

    private void sample() {
        try {
            while (!done) {
                Thread.getAllStackTraces().forEach(this::count);
                Thread.sleep(INTERVAL_MILLIS);
            }
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }

    private void count(Thread thread, StackTraceElement[] stack) {
        if (thread == trainer) {
            operations.merge(operation(stack), 1L, Long::sum);
            phases.merge(phase(stack), 1L, Long::sum);
            sampled = true;
        } else if (thread.getName().startsWith("sterna-slice")) {
            operations.merge(operation(stack), 1L, Long::sum);
        }
    }

    /** The kernel under way, its checks included; otherwise Java code, or waiting for work. */
    private static String operation(StackTraceElement[] stack) {
        String kernel = JAVA;
        for (StackTraceElement frame : stack) {
            if (frame.getClassName().equals(Kernels.class.getName())) {
                kernel = frame.getMethodName(); // the outermost is the kernel's own
            } else if (!kernel.equals(JAVA)) {
                return kernel;
            } else if (frame.getClassName().startsWith(Slices.class.getName()) && isWait(frame.getMethodName())) {
                return WAITING;
            }
        }
        return kernel;
    }

    private static boolean isWait(String method) {
        return method.equals("next") || method.equals("await") || method.equals("serve");
    }

    private static String phase(StackTraceElement[] stack) {
        for (StackTraceElement frame : stack) {
            String type = frame.getClassName().substring(frame.getClassName().lastIndexOf('.') + 1);
            String method = frame.getMethodName();
            if (type.startsWith("Updater")) {
                return "update";
            }
            if (type.equals("LlamaPass") && PASSES.containsKey(method)) {
                return PASSES.get(method);
            }
        }
        return "other";
    }

    /** Whether the training was not seen yet, and will be: its steps may be over before the sampler has begun. */
    boolean isUnseen() {
        return !sampled && sampler.isAlive();
    }

    /** Milliseconds a step by kernel, averaged over the threads: they add up to {@code stepMillis}. */
    Map<String, Double> operations(double stepMillis) {
        return scaled(operations, stepMillis);
    }

    /** Milliseconds a step by phase, as the training thread sees it. */
    Map<String, Double> phases(double stepMillis) {
        return scaled(phases, stepMillis);
    }

    private static Map<String, Double> scaled(Map<String, Long> samples, double millis) {
        double total = samples.values().stream().mapToLong(Long::longValue).sum();
        Map<String, Double> scaled = new LinkedHashMap<>();
        samples.entrySet().stream()
                .sorted(Map.Entry.<String, Long>comparingByValue().reversed())
                .forEach(e -> scaled.put(e.getKey(), e.getValue() / total * millis));
        return scaled;
    }

    /** Ends sampling; only then are the figures to be read. */
    @Override
    public void close() {
        done = true;
        try {
            sampler.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
