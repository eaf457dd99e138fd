package io.sterna.cli;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.sterna.data.BpeTokenizer;
import io.sterna.data.ByteAlphabet;
import io.sterna.data.Digests;
import io.sterna.data.Tokenizer;
import io.sterna.data.TokenizerException;
import io.sterna.data.Tokens;
import io.sterna.io.FileBytes;
import io.sterna.io.Json;
import io.sterna.io.JsonException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads any {@code tokenizer.json}: byte-level BPE with Sterna's own encoder, others with Hugging Face's. */
final class Tokenizers {
    private Tokenizers() {}

    static Tokenizer load(Path file) throws IOException {
        try {
            return BpeTokenizer.load(file);
        } catch (TokenizerException e) {
            if (e.unsupportedFeature() == null) {
                throw e;
            }
            return new HuggingFace(file);
        }
    }

    /** Any other kind, through the tokenizers library of Hugging Face. */
    private static final class HuggingFace implements Tokenizer {
        private static final Map<String, String> OPTIONS = Map.of("addSpecialTokens", "false", "truncation", "false", "padding", "false");
        private static final Pattern BYTE = Pattern.compile("<0x([0-9A-F]{2})>");

        private final HuggingFaceTokenizer library;
        private final byte[] plainJson; // the tokenizer without its special tokens
        private HuggingFaceTokenizer withoutSpecial; // of it, made when it is needed: each takes tens of bytes a token
        private final List<String> special = new ArrayList<>();
        private final Set<Long> specialIds = new HashSet<>();
        private final Map<Integer, byte[]> bytes = new HashMap<>(); // of tokens that are bytes rather than text
        private final String fingerprint;
        private final int vocabSize;
        private final List<Integer> endTokens;

        HuggingFace(Path file) throws IOException {
            byte[] json = FileBytes.all(file);
            fingerprint = Digests.hex(json);
            try {
                Map<String, Object> root = Json.asObject(Json.parse(json), "the tokenizer");
                Map<String, Object> model = Json.object(root, "model");
                int size = size(model.get("vocab"));
                if (Boolean.TRUE.equals(model.get("byte_fallback"))) {
                    addBytes(model.get("vocab"));
                }
                boolean byteLevel = isByteLevel(root.get("decoder"));
                if (byteLevel && model.get("vocab") instanceof Map<?, ?> vocab) {
                    vocab.forEach(this::addStandIns);
                }
                List<Object> plain = new ArrayList<>();
                Map<String, Integer> ends = new HashMap<>();
                for (Object item : Json.listOrEmpty(root, "added_tokens")) {
                    Map<String, Object> token = Json.asObject(item, "added token");
                    int id = Math.toIntExact(Json.integer(token, "id"));
                    size = Math.max(size, Math.addExact(id, 1));
                    if (Json.bool(token, "special")) {
                        special.add(Json.string(token, "content"));
                        specialIds.add((long) id);
                        bytes.remove(id);
                        ends.put(special.getLast(), id);
                    } else {
                        plain.add(item);
                        if (byteLevel) {
                            bytes.put(id, Json.string(token, "content").getBytes(StandardCharsets.UTF_8));
                        }
                    }
                }
                if (size == 0) {
                    throw new JsonException("no vocabulary", -1);
                }
                TokenizerLimits.check(root);
                vocabSize = size;
                endTokens = END_TOKENS.stream().filter(ends::containsKey).map(ends::get).limit(1).toList();
                root.put("added_tokens", plain);
                plainJson = Json.write(root).getBytes(StandardCharsets.UTF_8);
            } catch (JsonException | ArithmeticException e) {
                throw new TokenizerException("tokenizer " + file + ": " + e.getMessage(), e);
            }
            try {
                library = HuggingFaceTokenizer.newInstance(file, OPTIONS);
            } catch (RuntimeException e) {
                throw new TokenizerException("tokenizer " + file + ": the tokenizers library refuses it: " + Json.brief(e.getMessage()), e);
            }
        }

        private synchronized HuggingFaceTokenizer withoutSpecial() {
            try {
                if (withoutSpecial == null) {
                    withoutSpecial = HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(plainJson), OPTIONS);
                }
                return withoutSpecial;
            } catch (IOException e) {
                throw new UncheckedIOException(e); // of an array
            }
        }

        /** One more than the largest id: a vocabulary is tokens with ids, or a list. */
        private static int size(Object vocab) throws JsonException {
            if (vocab instanceof List<?> list) {
                return list.size();
            }
            Map<String, Object> ids = Json.asObject(vocab, "vocab");
            int size = 0;
            for (String token : ids.keySet()) {
                size = Math.max(size, Math.addExact(Math.toIntExact(Json.integer(ids, token)), 1));
            }
            return size;
        }

        /** Tokens of bytes, which are text only together: of a vocabulary of tokens with ids, or a list of tokens with scores. */
        private void addBytes(Object vocab) {
            if (vocab instanceof Map<?, ?> ids) {
                ids.forEach((token, id) -> addByte(token, ((Long) id).intValue()));
            } else if (vocab instanceof List<?> list) {
                for (int id = 0; id < list.size(); id++) {
                    addByte(list.get(id) instanceof List<?> piece && !piece.isEmpty() ? piece.getFirst() : null, id);
                }
            }
        }

        private void addByte(Object token, int id) {
            Matcher matcher = BYTE.matcher(String.valueOf(token));
            if (matcher.matches()) {
                bytes.put(id, HexFormat.of().parseHex(matcher.group(1)));
            }
        }

        /** Whether tokens are written in stand-ins for bytes, of which a character may need several tokens. */
        private static boolean isByteLevel(Object decoder) {
            return decoder instanceof Map<?, ?> map && ("ByteLevel".equals(map.get("type"))
                    || map.get("decoders") instanceof List<?> steps && steps.stream().anyMatch(HuggingFace::isByteLevel));
        }

        private void addStandIns(Object token, Object id) {
            byte[] read = ByteAlphabet.read((String) token);
            bytes.put(((Long) id).intValue(), read == null ? ((String) token).getBytes(StandardCharsets.UTF_8) : read);
        }

        @Override
        public int vocabSize() {
            return vocabSize;
        }

        @Override
        public List<Integer> endTokens() {
            return endTokens;
        }

        @Override
        public Encoder encoder(boolean parseSpecial) {
            return (utf8, from, to, out) -> {
                String text = new String(utf8, from, to - from, StandardCharsets.UTF_8);
                add(parseSpecial ? ids(library, text) : plainIds(text), out);
            };
        }

        private static long[] ids(HuggingFaceTokenizer library, String text) {
            return library.encode(text, false, false).getIds();
        }

        private static void add(long[] ids, Tokens out) {
            for (long id : ids) {
                out.add((int) id);
            }
        }

        /** Some models make special tokens of plain text even when they are not looked for: then it is cut inside them. */
        private long[] plainIds(String text) {
            long[] ids = ids(withoutSpecial(), text);
            boolean none = Arrays.stream(ids).noneMatch(specialIds::contains);
            return none ? ids : parts(text).stream().flatMapToLong(part -> Arrays.stream(ids(library, part))).toArray();
        }

        private List<String> parts(String text) {
            List<String> parts = new ArrayList<>();
            int from = 0;
            for (int at = nextSpecial(text, 0); at >= 0; at = nextSpecial(text, at + 1)) {
                parts.add(text.substring(from, at + 1));
                from = at + 1;
            }
            parts.add(text.substring(from));
            return parts;
        }

        private int nextSpecial(String text, int from) {
            return special.stream().mapToInt(s -> text.indexOf(s, from)).filter(at -> at >= 0).min().orElse(-1);
        }

        /** What a second one adds to the text of a first: with the space that a text's first token lacks. */
        @Override
        public byte[] bytes(int token) {
            if (bytes.containsKey(token)) {
                return bytes.get(token).clone();
            }
            String one = library.decode(new long[] {token}, true);
            return library.decode(new long[] {token, token}, true).substring(one.length()).getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public String fingerprint() {
            return fingerprint;
        }
    }
}
