package io.sterna.infer;

import io.sterna.data.SentencePiece;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerTemplate;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import io.sterna.train.ConfigException;
import io.sterna.train.ModelFolder;
import io.sterna.train.PreparedData;
import io.sterna.train.TrainConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** The tokenizer of a folder of transformers, and the tokens that its model's texts begin and end with. */
record HuggingFaceTokenizer(Path folder, Map<String, Object> config) {
    private static final long LARGEST_TOKENIZER_CONFIG = 1 << 24; // some repeat every added token in it

    /** That of tokenizer.json; folders of older Llamas have SentencePiece's file alone, and begin texts as it is used with. */
    TokenizerText read(PreparedData.TokenizerLoader loader) throws IOException {
        for (String name : List.of("tokenizer.json", "tokenizer.model")) {
            if (Files.exists(folder.resolve(name))) {
                return read(folder.resolve(name), loader);
            }
        }
        throw fault("no tokenizer.json or tokenizer.model there", "name one with --tokenizer");
    }

    /** That of a file, which may lie elsewhere. */
    TokenizerText read(Path file, PreparedData.TokenizerLoader loader) throws IOException {
        if (!Files.isRegularFile(file) || !SentencePiece.isNamedBy(file)) {
            return TokenizerText.of(file, loader);
        }
        Map<String, Object> root = Json.asObject(Json.parse(SentencePiece.tokenizerJson(file)), "tokenizer.model");
        Path beside = file.resolveSibling("tokenizer_config.json");
        boolean begins = !Files.exists(beside)
                || !Boolean.FALSE.equals(Json.readObject(beside, HuggingFaceImport.LARGEST_CONFIG).get("add_bos_token"));
        if (begins) {
            setBeginToken(root);
        }
        return TokenizerText.of(Json.writePretty(root).getBytes(StandardCharsets.UTF_8), loader);
    }

    /** To the configuration's, or the usual one. */
    private void setBeginToken(Map<String, Object> root) throws IOException {
        Object id = config.get("bos_token_id") == null ? Long.valueOf(1) : config.get("bos_token_id");
        try {
            int token = id instanceof Long number && number == number.intValue() ? number.intValue() : -1;
            TokenizerTemplate.setBeginToken(root, Optional.of(token));
        } catch (JsonException e) {
            throw fault("bos_token_id " + Json.brief(id), "expected the id of a token of tokenizer.model", e);
        }
    }

    /**
     * Ends are those that are given, or else the configuration's; a text begins with what the tokenizer's template puts
     * before it, and an empty one with the configuration's begin token where the template puts none. (What
     * tokenizer_config.json says of that, transformers does not heed beside a tokenizer.json.)
     */
    void setMarks(TrainConfig settings, TokenizerText text, List<Integer> given) throws IOException {
        Tokenizer tokenizer = text.tokenizer();
        List<Long> ends = ends(tokenizer, given);
        if (ends.isEmpty()) {
            throw fault("neither config.json nor generation_config.json has an eos_token_id, nor the tokenizer any of " + Tokenizer.END_TOKENS,
                    "give the id of its token that ends a text: --end-token ID");
        }
        settings.set("end-token", ends.equals(TokenizerText.longs(tokenizer.endTokens())) ? null : ends);
        try {
            Optional<Integer> begin = TokenizerTemplate.beginToken(Json.asObject(
                    Json.parse(text.json().getBytes(StandardCharsets.UTF_8)), "tokenizer.json"));
            settings.set("add-begin-token", begin.isPresent() ? null : false);
            settings.set("begin-token", begin.or(() -> configured(tokenizer)).filter(id -> id != (long) ends.getFirst()).orElse(null));
        } catch (JsonException e) {
            throw fault("tokenizer.json: " + e.getMessage(), "expected the template of a text", e);
        }
        try {
            PreparedData.marked(tokenizer, settings);
        } catch (ConfigException e) {
            throw given.isEmpty() ? fault("eos_token_id " + Json.brief(ends) + " and the template of tokenizer.json: " + e.getMessage(),
                    "restore both", e) : fault(e.getMessage(), "give ids that it has", e);
        }
    }

    private Optional<Integer> configured(Tokenizer tokenizer) {
        return config.get("bos_token_id") instanceof Long id && id >= 0 && id < tokenizer.vocabSize()
                ? Optional.of(id.intValue()) : Optional.empty();
    }

    /** The folder's chat template, as a file or in tokenizer_config.json, where there may be several with names. */
    Optional<String> chatTemplate() throws IOException {
        Optional<String> own = ModelFolder.chatTemplate(folder);
        Path file = folder.resolve("tokenizer_config.json");
        if (own.isPresent() || !Files.exists(file)) {
            return own;
        }
        return switch (Json.readObject(file, LARGEST_TOKENIZER_CONFIG).get("chat_template")) {
            case null -> Optional.empty();
            case String template -> Optional.of(template);
            case List<?> named -> named.stream().filter(item -> item instanceof Map<?, ?> fields && "default".equals(fields.get("name")))
                    .map(item -> ((Map<?, ?>) item).get("template")).filter(String.class::isInstance).map(String.class::cast).findFirst();
            case Object other -> throw fault("chat_template " + Json.brief(other) + " of tokenizer_config.json", "expected a text");
        };
    }

    /** The ids that texts end with and the begin token. */
    Set<Long> marks(Tokenizer tokenizer, List<Integer> given) throws IOException {
        Set<Long> marks = new HashSet<>(ends(tokenizer, given));
        if (config.get("bos_token_id") instanceof Long begin) {
            marks.add(begin);
        }
        return marks;
    }

    /** Those that are given, or else the configuration's, or else the tokenizer's own. */
    private List<Long> ends(Tokenizer tokenizer, List<Integer> given) throws IOException {
        List<Long> ends = given.isEmpty() ? ends() : TokenizerText.longs(given);
        return ends.isEmpty() ? TokenizerText.longs(tokenizer.endTokens()) : ends;
    }

    /** None, one or several ids; generation_config.json goes first, as it does in transformers. */
    private List<Long> ends() throws IOException {
        Path generation = folder.resolve("generation_config.json");
        Map<String, Object> fields = Files.exists(generation) ? Json.readObject(generation, HuggingFaceImport.LARGEST_CONFIG) : config;
        fields = fields.get("eos_token_id") == null ? config : fields;
        Object value = fields.get("eos_token_id");
        if (value == null) {
            return List.of();
        }
        List<Object> ids = value instanceof List<?> ? Json.list(fields, "eos_token_id") : List.of(value);
        if (!ids.stream().allMatch(Long.class::isInstance)) {
            throw fault("eos_token_id " + Json.brief(value), "expected an id or a list of ids");
        }
        return ids.stream().map(Long.class::cast).toList();
    }

    private ModelException fault(String what, String remedy) {
        return fault(what, remedy, null);
    }

    private ModelException fault(String what, String remedy, Throwable cause) {
        return new ModelException("model " + folder + ": " + what + "; " + remedy, cause);
    }
}
