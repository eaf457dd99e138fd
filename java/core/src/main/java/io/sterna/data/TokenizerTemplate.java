package io.sterna.data;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

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
        for (Object step : steps(root)) {
            Map<String, Object> template = Json.asObject(step, "post_processor");
            Optional<Integer> begin = isTemplate(template) ? first(template) : Optional.empty();
            if (begin.isPresent()) {
                return begin;
            }
        }
        return Optional.empty();
    }

    /**
     * The ids of all tokens that it may put around a text.
     *
     * @param root the parsed file
     * @throws JsonException for a template that is damaged
     */
    public static Set<Long> tokens(Map<String, Object> root) throws JsonException {
        Set<Long> tokens = new HashSet<>();
        for (Object step : steps(root)) {
            Map<String, Object> special = isTemplate(step) ? Json.object(Json.asObject(step, "post_processor"), "special_tokens") : Map.of();
            for (String name : special.keySet()) {
                for (Object id : Json.list(Json.object(special, name), "ids")) {
                    tokens.add(id instanceof Long number ? number : -1L); // no id at all is none of the tokenizer's
                }
            }
        }
        return tokens;
    }

    /** What is done to the tokens of a text, step by step. */
    static List<?> steps(Map<String, Object> root) throws JsonException {
        if (root.get("post_processor") == null) {
            return List.of();
        }
        Map<String, Object> processor = Json.object(root, "post_processor");
        return "Sequence".equals(processor.get("type")) ? Json.list(processor, "processors") : List.of(processor);
    }

    private static boolean isTemplate(Object step) {
        return step instanceof Map<?, ?> map && "TemplateProcessing".equals(map.get("type"));
    }

    /**
     * Puts a token before a single text, and before each text of a pair, in place of what a template there says.
     *
     * @param id empty for no template
     * @throws JsonException for a token that is not there
     */
    public static void setBeginToken(Map<String, Object> root, Optional<Integer> id) throws JsonException {
        List<Object> steps = new ArrayList<>(steps(root));
        steps.removeIf(TokenizerTemplate::isTemplate);
        if (id.isPresent()) {
            steps.add(template(root, id.get()));
        }
        root.put("post_processor", steps.isEmpty() ? null : steps.size() == 1 ? steps.getFirst()
                : Json.ordered("type", "Sequence", "processors", steps));
    }

    private static Map<String, Object> template(Map<String, Object> root, int id) throws JsonException {
        String name = name(root, id);
        Map<String, Object> token = Map.of("SpecialToken", Json.ordered("id", name, "type_id", 0));
        Map<String, Object> special = Json.ordered("id", name, "ids", List.of(id), "tokens", List.of(name));
        return Json.ordered("type", "TemplateProcessing", "single", List.of(token, sequence("A", 0)),
                "pair", List.of(token, sequence("A", 0), token, sequence("B", 1)), "special_tokens", Map.of(name, special));
    }

    private static Map<String, Object> sequence(String name, int type) {
        return Map.of("Sequence", Json.ordered("id", name, "type_id", type));
    }

    private static String name(Map<String, Object> root, int id) throws JsonException {
        for (Object item : Json.listOrEmpty(root, "added_tokens")) {
            Map<String, Object> token = Json.asObject(item, "added token");
            if (Json.integer(token, "id") == id) {
                return Json.string(token, "content");
            }
        }
        Map<String, Object> model = Json.object(root, "model");
        if (model.get("vocab") instanceof List<?> pieces) { // with scores, as a Unigram model has them
            if (id < pieces.size() && pieces.get(id) instanceof List<?> piece && !piece.isEmpty() && piece.getFirst() instanceof String text) {
                return text;
            }
            throw new JsonException("token " + id + " is not there", -1);
        }
        for (Map.Entry<String, Object> token : Json.object(model, "vocab").entrySet()) {
            if (Long.valueOf(id).equals(token.getValue())) {
                return token.getKey();
            }
        }
        throw new JsonException("token " + id + " is not there", -1);
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
