package io.sterna.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class MarkedTokenizerTest {
    private final Tokenizer plain = new ByteTokenizer();

    @Test
    void marksAreWhatIsSaidOrTheTokenizersOwn() {
        assertSame(plain, MarkedTokenizer.of(plain, null, true, null));
        Tokenizer begun = MarkedTokenizer.of(plain, 1, true, null);
        assertEquals(1, begun.beginToken());
        assertEquals(plain.endToken(), begun.endToken());
        assertEquals(plain.fingerprint(), begun.fingerprint(), "shards hold no begin tokens");
        Tokenizer ended = MarkedTokenizer.of(plain, null, true, List.of(2, 5));
        assertEquals(List.of(2, 5), ended.endTokens());
        assertEquals(List.of(plain.endToken()), plain.endTokens());
        assertEquals(2, ended.beginToken());
        assertEquals(2, ended.endToken());
        assertNotEquals(plain.fingerprint(), ended.fingerprint());
        assertEquals(plain.fingerprint().length(), ended.fingerprint().length());
        assertArrayEquals(plain.encode("tern"), ended.encode("tern"));
        assertEquals("tern", ended.decode(ended.encode("tern")));
        assertArrayEquals(new int[] {1, 't'}, begun.encodeFromBeginning("t", false).toArray());
        Tokenizer bare = MarkedTokenizer.of(plain, 1, false, null);
        assertArrayEquals(new int[] {'t'}, bare.encodeFromBeginning("t", false).toArray());
        assertArrayEquals(new int[] {1}, bare.encodeFromBeginning("", false).toArray());
        assertTrue(assertThrows(IllegalArgumentException.class, () -> MarkedTokenizer.of(plain, -1, true, null))
                .getMessage().contains("begin-token -1"));
        assertTrue(assertThrows(IllegalArgumentException.class, () -> MarkedTokenizer.of(plain, null, true, List.of(2, 257)))
                .getMessage().contains("end-token 257"));
    }

    /** Not every tokenizer calls its end of a document by a name that is known: then it is usable once the model has said it. */
    @Test
    void anEndOfAnotherNameIsNeededWhereATextEnds() throws Exception {
        Tokenizer tokenizer = BpeTokenizer.parse(unnamed(), null);
        assertEquals(List.of(), tokenizer.endTokens());
        assertTrue(assertThrows(IllegalStateException.class, tokenizer::endToken).getMessage().contains("MarkedTokenizer"));
        String message = assertThrows(IllegalArgumentException.class, () -> MarkedTokenizer.of(tokenizer, 0, true, null)).getMessage();
        assertTrue(message.startsWith("end-token: must be the id of the token"), message);
        Tokenizer marked = MarkedTokenizer.of(tokenizer, null, true, List.of(0));
        assertEquals(0, marked.endToken());
        assertEquals(0, marked.beginToken());
        assertNotEquals(tokenizer.fingerprint(), marked.fingerprint());
        assertArrayEquals(new int[] {0, '!' + 1}, marked.encode("[EOS]!"));
        assertEquals(0, BpeTokenizer.parse(unnamed(), "[EOS]").endToken());
    }

    /** Bytes as tokens 1 to 256, behind an end of a name that is none of the usual ones. */
    private static byte[] unnamed() {
        Map<String, Object> vocab = new LinkedHashMap<>();
        for (int b = 0; b < 256; b++) {
            vocab.put(String.valueOf(ByteAlphabet.charOf(b)), b + 1L);
        }
        return BpeTokenizer.tokenizerJson(vocab, List.of(), List.of(BpeTokenizer.addedToken(0, "[EOS]")));
    }

    @Test
    void templatesMayStandAmongOtherSteps() throws JsonException {
        String template = "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}],"
                + " \"special_tokens\": {\"<s>\": {\"ids\": [1]}}}";
        assertEquals(Optional.of(1), begin(template));
        assertEquals(Optional.of(1), begin("{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}, " + template + "]}"));
        assertEquals(Optional.empty(), begin("{\"type\": \"ByteLevel\"}"));
        assertEquals(Optional.empty(), begin("null"));
        assertEquals(Optional.empty(), begin(template.replace("{\"SpecialToken\": {\"id\": \"<s>\"}}, ", "")));
        assertThrows(JsonException.class, () -> begin(template.replace("[1]", "[\"1\"]")));
        assertThrows(JsonException.class, () -> begin(template.replace("\"<s>\": {", "\"<t>\": {")));
    }

    @Test
    void aTemplateThatIsWrittenIsRead() throws JsonException {
        for (String before : new String[] {"null", "{\"type\": \"ByteLevel\"}", "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}]}",
            "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\"}}], \"special_tokens\": {}}"}) {
            String text = "{\"post_processor\": " + before + ", \"added_tokens\": [{\"id\": 4, \"content\": \"<s>\"}], \"model\": {\"vocab\": {\"a\": 7}}}";
            for (int id : new int[] {4, 7}) {
                Map<String, Object> root = Json.asObject(Json.parse(text.getBytes(StandardCharsets.UTF_8)), "root");
                TokenizerTemplate.setBeginToken(root, Optional.of(id));
                Map<String, Object> back = Json.asObject(Json.parse(Json.write(root).getBytes(StandardCharsets.UTF_8)), "root");
                assertEquals(Optional.of(id), TokenizerTemplate.beginToken(back));
                TokenizerTemplate.steps(back).forEach(step -> assertNotEquals("Sequence", ((Map<?, ?>) step).get("type")));
                TokenizerTemplate.setBeginToken(back, Optional.empty());
                assertEquals(Optional.empty(), TokenizerTemplate.beginToken(back));
            }
            Map<String, Object> root = Json.asObject(Json.parse(text.getBytes(StandardCharsets.UTF_8)), "root");
            assertThrows(JsonException.class, () -> TokenizerTemplate.setBeginToken(root, Optional.of(5)));
        }
    }

    private static Optional<Integer> begin(String processor) throws JsonException {
        Map<String, Object> root = Json.asObject(Json.parse(("{\"post_processor\": " + processor + "}").getBytes(StandardCharsets.UTF_8)), "root");
        return TokenizerTemplate.beginToken(root);
    }
}
