package io.sterna.data;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The template of a {@code tokenizer.json}: the special tokens that Hugging Face puts around a text. */
public final class TokenizerTemplate {
    private TokenizerTemplate() {}

    /**
     * The token that stands before a single text, if one does.
     *
     * @param root the parsed file
     * @throws JsonException for a template that is damaged
     */
    public static Optional<Integer> beginToken(Map<String, Object> root) throws JsonException {
        if (!(root.get("post_processor") instanceof Map<?, ?>)) {
            return Optional.empty();
        }
        Map<String, Object> processor = Json.object(root, "post_processor");
        List<?> steps = "Sequence".equals(processor.get("type")) ? Json.list(processor, "processors") : List.of(processor);
        for (Object step : steps) {
            Map<String, Object> template = Json.asObject(step, "post_processor");
            if ("TemplateProcessing".equals(template.get("type"))) {
                return first(template);
            }
        }
        return Optional.empty();
    }

    private static Optional<Integer> first(Map<String, Object> template) throws JsonException {
        List<Object> single = Json.list(template, "single");
        Map<String, Object> first = single.isEmpty() ? Map.of() : Json.asObject(single.getFirst(), "single");
        if (!first.containsKey("SpecialToken")) {
            return Optional.empty();
        }
        String name = Json.string(Json.object(first, "SpecialToken"), "id");
        List<Object> ids = Json.list(Json.object(Json.object(template, "special_tokens"), name), "ids");
        if (ids.size() != 1 || !(ids.getFirst() instanceof Long id) || id != id.intValue()) {
            throw new JsonException("special token " + Json.brief(name) + " of the template has ids " + Json.brief(ids) + ", expected one", -1);
        }
        return Optional.of(id.intValue());
    }
}
