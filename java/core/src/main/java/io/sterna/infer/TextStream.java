package io.sterna.infer;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.Consumer;

/**
 * Bytes of tokens as text: whole characters alone, held back while they may be the beginning of a stop
 * string. Bytes that are no UTF-8 become U+FFFD. Nothing calls the sink but {@link #send}.
 */
final class TextStream {
    private final CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder()
            .onMalformedInput(CodingErrorAction.REPLACE)
            .onUnmappableCharacter(CodingErrorAction.REPLACE);
    private final List<String> stops;
    private final Consumer<String> sink;
    private final StringBuilder all = new StringBuilder();
    private final StringBuilder held = new StringBuilder();
    private byte[] incomplete = new byte[0];
    private int sent; // characters of all

    TextStream(List<String> stops, Consumer<String> sink) {
        this.stops = stops;
        this.sink = sink;
    }

    /** Takes the bytes of a token; true when a stop string is complete, which is then no part of the text. */
    boolean append(byte[] bytes) {
        decode(bytes, false);
        int stop = stops.stream().mapToInt(held::indexOf).filter(i -> i >= 0).min().orElse(-1);
        release(stop >= 0 ? stop : held.length() - beginnings());
        if (stop >= 0) {
            held.setLength(0);
            incomplete = new byte[0];
        }
        return stop >= 0;
    }

    /** What was held back is text: no more follows. */
    void finish() {
        decode(new byte[0], true);
        release(held.length());
    }

    /** Gives the sink what it has not been given yet; when it throws, that counts as given. */
    void send() {
        String text = all.substring(sent);
        sent = all.length();
        if (!text.isEmpty()) {
            sink.accept(text);
        }
    }

    /** All that is held back no more. */
    String text() {
        return all.toString();
    }

    private void decode(byte[] bytes, boolean end) {
        ByteBuffer in = ByteBuffer.allocate(incomplete.length + bytes.length).put(incomplete).put(bytes).flip();
        CharBuffer out = CharBuffer.allocate(in.remaining() + 1); // a byte gives a char at most
        decoder.decode(in, out, end);
        held.append(out.flip());
        incomplete = new byte[in.remaining()];
        in.get(incomplete);
    }

    /** Characters at the end of the held text that may become a stop string. */
    private int beginnings() {
        int longest = 0;
        for (String stop : stops) {
            for (int n = Math.min(stop.length() - 1, held.length()); n > longest; n--) {
                if (stop.startsWith(held.substring(held.length() - n))) {
                    longest = n;
                }
            }
        }
        return longest;
    }

    private void release(int count) {
        all.append(held, 0, count);
        held.delete(0, count);
    }
}
