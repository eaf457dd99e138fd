package io.sterna.cli;

import io.sterna.infer.GgufExport;
import io.sterna.infer.HuggingFaceExport;
import io.sterna.infer.Model;
import io.sterna.infer.ModelException;
import io.sterna.io.GgufType;
import io.sterna.train.ConfigException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes a model in a format of others. */
@Command(
        name = "export",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Writes a model as transformers or llama.cpp read it.",
            "hf: the folder that Hugging Face's transformers reads. f32 and bf16 are floats: quantized models see inputs in int8 here and"
                + " exact ones there. packed keeps ternary codes, in BitNet's packing, and inputs in int8.",
            "gguf: the file that llama.cpp reads. tq1_0 and tq2_0 keep ternary codes, and llama.cpp chooses the type of the inputs."
        })
final class ExportCommand implements Callable<Integer> {
    @Option(names = "--model", paramLabel = "DIR", required = true, description = "A run folder or its model folder.")
    private Path model;

    @Option(names = "--format", paramLabel = "hf|gguf", required = true, description = "The format.")
    private String format;

    @Option(names = "--type", paramLabel = "TYPE", defaultValue = "f32",
            description = {"Type of the weights. hf: f32, bf16 or packed; gguf: f32, f16, bf16, q8_0, q4_0, tq1_0 or tq2_0.",
                "Default: ${DEFAULT-VALUE}"})
    private String type;

    @Option(names = "--shard-size", paramLabel = "BYTES", description = "hf: bytes of weights a file holds at most; larger models become"
            + " several. Default: " + HuggingFaceExport.SHARD_BYTES)
    private Long shardSize;

    @Option(names = "--out", paramLabel = "DIR", required = true, description = "A new folder; for gguf a new file.")
    private Path out;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        Export export = export();
        try (Model loaded = Model.load(model, Tokenizers::load, null, ThreadsOption.all())) {
            Shutdown.wholly(out, () -> export.write(loaded));
        } catch (ModelException e) {
            throw new IOException("model " + model + ": " + e.getMessage().replaceFirst("^model( " + Pattern.quote(model.toString()) + ")?: ", ""), e);
        }
        spec.commandLine().getOut().println("model " + out);
        return 0;
    }

    private interface Export {
        void write(Model loaded) throws IOException;
    }

    /** What the options ask for; they are checked before the model is loaded. */
    private Export export() throws IOException {
        switch (format) {
            case "hf" -> {
                HuggingFaceExport.Form form = form();
                long bytes = shardSize == null ? HuggingFaceExport.SHARD_BYTES : shardSize;
                HuggingFaceExport.check(bytes, out);
                return loaded -> HuggingFaceExport.write(loaded, form, bytes, out);
            }
            case "gguf" -> {
                GgufType weights = Errors.usage(() -> GgufType.parse(type));
                if (shardSize != null) {
                    throw new ConfigException("shard-size " + shardSize + ": a GGUF file is one; leave it out");
                }
                GgufExport.check(out);
                return loaded -> GgufExport.write(loaded, weights, out);
            }
            default -> throw new ConfigException("format \"" + format + "\": expected hf or gguf");
        }
    }

    private HuggingFaceExport.Form form() {
        return switch (type) {
            case "f32" -> HuggingFaceExport.Form.F32;
            case "bf16" -> HuggingFaceExport.Form.BF16;
            case "packed" -> HuggingFaceExport.Form.PACKED;
            default -> throw new ConfigException("type \"" + type + "\": expected f32, bf16 or packed");
        };
    }
}
