package io.sterna.infer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class TextStreamTest {
    private final List<String> pieces = new ArrayList<>();

    @Test
    void charactersComeWhole() {
        TextStream stream = new TextStream(List.of(), pieces::add);
        for (byte b : "aé€😀".getBytes(StandardCharsets.UTF_8)) {
            assertFalse(stream.append(new byte[] {b}));
            stream.send();
        }
        assertEquals(List.of("a", "é", "€", "😀"), pieces);
    }

    @Test
    void whatIsNoUtf8BecomesAReplacement() {
        TextStream stream = new TextStream(List.of(), pieces::add);
        stream.append(new byte[] {'a', (byte) 0xff, 'b', (byte) 0xe2, (byte) 0x82});
        assertEquals("a\uFFFDb", stream.text());
        stream.finish();
        assertEquals("a\uFFFDb\uFFFD", stream.text());
    }

    @Test
    void aStopStringEndsTheTextBeforeIt() {
        TextStream stream = new TextStream(List.of("\nUser:", "END"), pieces::add);
        assertFalse(append(stream, "Hello\n"));
        assertFalse(append(stream, "Use"));
        assertEquals("Hello", stream.text(), "the beginning of a stop string is held back");
        assertFalse(append(stream, "ful\nUs"));
        assertEquals("Hello\nUseful", stream.text());
        assertTrue(append(stream, "er: next"));
        stream.finish();
        assertEquals("Hello\nUseful", stream.text());
    }

    @Test
    void theFirstOfSeveralStopsCounts() {
        TextStream stream = new TextStream(List.of("cd", "bc"), pieces::add);
        assertTrue(append(stream, "abcd"));
        assertEquals("a", stream.text());
    }

    @Test
    void theEndGivesWhatWasHeldBack() {
        TextStream stream = new TextStream(List.of("END"), pieces::add);
        append(stream, "THE EN");
        assertEquals("THE ", stream.text());
        stream.finish();
        assertEquals("THE EN", stream.text());
    }

    @Test
    void theSinkIsGivenAllOnce() {
        TextStream stream = new TextStream(List.of("END"), pieces::add);
        append(stream, "THE ");
        append(stream, "EN");
        assertEquals(List.of(), pieces, "nothing before it is sent");
        stream.send();
        stream.send();
        stream.finish();
        stream.send();
        assertEquals(List.of("THE ", "EN"), pieces);
    }

    private static boolean append(TextStream stream, String text) {
        return stream.append(text.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void nothingFollowsAStopString() {
        TextStream stream = new TextStream(List.of(" "), pieces::add);
        append(stream, "word");
        assertTrue(stream.append(new byte[] {' ', (byte) 0xe2, (byte) 0x80}), "the token goes on with half a character");
        stream.finish();
        assertEquals("word", stream.text());
    }
}
