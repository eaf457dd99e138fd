package io.sterna.infer;

import io.sterna.io.GgufMetadata;
import io.sterna.io.GgufReader;
import io.sterna.nn.LlamaConfig;
import io.sterna.nn.RopeScaling;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Scaled rotary positions in a GGUF file. A factor for all frequencies is a key there; Llama 3's scaling is a tensor, what
 * each frequency is divided by, of which the constants cannot be read: those that Sterna writes stand in a
 * key of its own, and of other files only the usual ones are recognized.
 */
final class GgufRope {
    /** The tensor of divisors, (headDim / 2). */
    static final String DIVISORS = "rope_freqs.weight";

    private static final String OWN_KEY = "sterna.rope_scaling";
    private static final int MOST_DIVISORS = 128; // heads are at most 256 wide
    private static final double USUAL_LOW = 1;
    private static final double USUAL_HIGH = 4;
    private static final int USUAL_LENGTH = 8192;
    private static final double TOLERANCE = 1e-4; // relative; files hold single precision, made in single precision

    private final Path file;
    private final GgufReader reader;
    private final String architecture;

    GgufRope(Path file, GgufReader reader, String architecture) {
        this.file = file;
        this.reader = reader;
        this.architecture = architecture;
    }

    /**
     * Adds the keys of a model's scaling.
     *
     * @return the tensor of divisors, empty when there is none
     * @throws ModelException for a scaling that the architecture does not have
     */
    static float[] write(LlamaConfig config, GgufMetadata metadata) throws ModelException {
        String architecture = GgufNames.architecture(config);
        RopeScaling scaling = config.ropeScaling();
        switch (scaling.kind()) {
            case NONE -> { }
            case LINEAR -> metadata.string(architecture + ".rope.scaling.type", "linear")
                    .f32(architecture + ".rope.scaling.factor", (float) scaling.factor());
            case LLAMA3 -> {
                if (!architecture.equals(GgufNames.LLAMA)) {
                    throw new ModelException("model: has SubLN and rope-scaling " + scaling + "; llama.cpp scales positions so without SubLN"
                            + " alone: export to hf");
                }
                metadata.string(OWN_KEY, scaling.toString());
                return divisors(scaling, config.ropeTheta(), config.headDim() / 2);
            }
        }
        return new float[0];
    }

    private static float[] divisors(RopeScaling scaling, double theta, int count) {
        float[] divisors = new float[count];
        for (int i = 0; i < count; i++) {
            double unscaled = LlamaConfig.ropeFrequency(theta, i, count);
            divisors[i] = (float) (unscaled / scaling.frequency(unscaled));
        }
        return divisors;
    }

    /**
     * The scaling of a file.
     *
     * @param theta the base of the positions
     * @throws ModelException for divisors that no scaling here gives
     */
    RopeScaling scaling(double theta) throws IOException {
        RopeScaling linear = linear();
        GgufReader.Tensor tensor = reader.tensors().get(DIVISORS);
        if (tensor == null) {
            return linear;
        }
        if (linear.kind() != RopeScaling.Kind.NONE || tensor.size() > MOST_DIVISORS) {
            throw fault("tensor " + DIVISORS + ": " + tensor.size() + " numbers, beside rope.scaling " + linear, "this has no place here");
        }
        float[] divisors = new float[(int) tensor.size()];
        reader.read(tensor, 0, divisors.length, divisors);
        RopeScaling scaling = llama3(divisors);
        float[] expected = divisors(scaling, theta, divisors.length);
        for (int i = 0; i < divisors.length; i++) {
            if (!(Math.abs(divisors[i] - expected[i]) <= TOLERANCE * expected[i])) {
                throw fault("tensor " + DIVISORS + ": number " + i + " is " + divisors[i] + ", that of rope-scaling " + scaling + " "
                        + expected[i], "only scaling as Llama 3's is read");
            }
        }
        return scaling;
    }

    private RopeScaling llama3(float[] divisors) throws IOException {
        if (reader.metadata().containsKey(OWN_KEY)) {
            return own();
        }
        try {
            float largest = 0;
            for (float divisor : divisors) {
                largest = Math.max(largest, divisor);
            }
            return largest == 1 ? RopeScaling.NONE
                    : RopeScaling.llama3(Double.parseDouble(Float.toString(largest)), USUAL_LOW, USUAL_HIGH, USUAL_LENGTH);
        } catch (IllegalArgumentException e) {
            throw fault("tensor " + DIVISORS + ": " + e.getMessage(), "convert the model anew");
        }
    }

    private RopeScaling own() throws IOException {
        try {
            return RopeScaling.parse(reader.string(OWN_KEY));
        } catch (IllegalArgumentException e) { // whose message holds all of the text
            throw fault(reader.brief(OWN_KEY) + " is no scaling of positions", "convert the model anew");
        }
    }

    private RopeScaling linear() throws IOException {
        Object type = reader.metadata().get(architecture + ".rope.scaling.type");
        String key = architecture
                + (reader.metadata().containsKey(architecture + ".rope.scaling.factor") ? ".rope.scaling.factor" : ".rope.scale_linear");
        double factor = reader.metadata().containsKey(key) ? reader.number(key) : 1;
        if ("none".equals(type) || factor == 0 || factor == 1) { // 0 is llama.cpp's for none
            return RopeScaling.NONE;
        }
        try {
            return RopeScaling.linear(factor);
        } catch (IllegalArgumentException e) {
            throw fault("key " + key + ": " + e.getMessage(), "convert the model anew");
        }
    }

    private ModelException fault(String what, String remedy) {
        return new ModelException("model " + file + ": " + what + "; " + remedy);
    }
}
