package io.sterna.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EventFileTest {
    private static final Path FULL = Path.of("/dev/full");

    @TempDir
    private Path folder;

    @Test
    void framesHoldTheEventsInOrder() throws IOException {
        try (EventFile events = new EventFile(folder, 300, 2.0)) {
            events.scalar("loss", 301, 3.0, 1.5);
        }
        List<byte[]> frames = frames(onlyFile());
        assertEquals(3, frames.size());
        // wall_time = 2, file_version = "brain.Event:2"
        assertEquals("09" + "0000000000000040" + "1a0d" + hex("brain.Event:2"), HexFormat.of().formatHex(frames.get(0)));
        // wall_time = 2, step = 300, session_log { status = START }
        assertEquals("09" + "0000000000000040" + "10ac02" + "3a020801", HexFormat.of().formatHex(frames.get(1)));
        // wall_time = 3, step = 301, summary { value { tag = "loss", simple_value = 1.5 } }
        assertEquals("09" + "0000000000000840" + "10ad02" + "2a0d" + "0a0b" + "0a04" + hex("loss") + "150000c03f",
                HexFormat.of().formatHex(frames.get(2)));
    }

    @Test
    void theFileIsOneThatTensorBoardLooksFor() throws IOException {
        new EventFile(folder, 0, 1.0).close();
        assertTrue(onlyFile().getFileName().toString().contains("tfevents"));
    }

    /** More than the buffer holds, so that it is written before it is flushed. */
    @Test
    void aFullDiskIsNamedWithTheFile() throws IOException {
        assumeTrue(Files.exists(FULL), "needs a device that is always full");
        Path file = folder.resolve("events.out.tfevents.0000000001.0.sterna");
        Files.createSymbolicLink(file, FULL);
        EventFile events = new EventFile(folder, 0, 1.0); // to close it would write once more
        IOException e = assertThrows(IOException.class, () -> {
            for (int layer = 0; layer < 1000; layer++) {
                events.scalar("flip_rate_by_layer/" + layer, 1, 2.0, 0);
            }
        });
        assertTrue(e.getMessage().startsWith(file + ": cannot be written"), e.getMessage());
        Files.delete(file);
    }

    private Path onlyFile() throws IOException {
        try (var files = Files.list(folder)) {
            List<Path> all = files.toList();
            assertEquals(1, all.size());
            return all.getFirst();
        }
    }

    private static List<byte[]> frames(Path file) throws IOException {
        ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        List<byte[]> frames = new ArrayList<>();
        while (in.hasRemaining()) {
            byte[] length = new byte[8];
            in.get(length);
            assertEquals(masked(length), in.getInt());
            byte[] data = new byte[(int) ByteBuffer.wrap(length).order(ByteOrder.LITTLE_ENDIAN).getLong()];
            in.get(data);
            assertEquals(masked(data), in.getInt());
            frames.add(data);
        }
        return frames;
    }

    /** TFRecord's mask: rotate right by 15 bits and add a constant. */
    private static int masked(byte[] data) {
        CRC32C crc = new CRC32C();
        crc.update(data);
        int value = (int) crc.getValue();
        return (value >>> 15 | value << 17) + 0xa282ead8;
    }

    private static String hex(String text) {
        return HexFormat.of().formatHex(text.getBytes(StandardCharsets.UTF_8));
    }
}
