package io.sterna.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CheckpointTest {
    private static final byte[] A = bytes(1000, 1);
    private static final byte[] B = bytes(64, 2);

    @TempDir
    private Path folder;

    @Test
    void whatWasWrittenIsReadBack() throws IOException {
        Path file = write(7);
        try (CheckpointReader reader = new CheckpointReader(file);
                Arena arena = Arena.ofConfined()) {
            assertEquals(7L, reader.meta().get("step"));
            MemorySegment a = arena.allocate(1000);
            reader.read(reader.expect("a", "u8", List.of(10L, 100L), 1000), a);
            assertArrayEquals(A, a.toArray(ValueLayout.JAVA_BYTE));
            MemorySegment b = arena.allocate(64);
            reader.read(reader.expect("b", "f32", List.of(16L), 64), b);
            assertArrayEquals(B, b.toArray(ValueLayout.JAVA_BYTE));
        }
        assertEquals(List.of(file), list(folder));
    }

    @Test
    void aTensorMayComeInPieces() throws IOException {
        byte[] whole = Files.readAllBytes(write(7));
        Path file = folder.resolve("pieces.sterna");
        try (CheckpointWriter writer = new CheckpointWriter(file); Arena arena = Arena.ofConfined()) {
            writer.begin("a", "u8", List.of(10L, 100L));
            MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, A);
            writer.append(bytes.asSlice(0, 300));
            writer.append(bytes.asSlice(300));
            writer.add("b", "f32", List.of(16L), arena.allocateFrom(ValueLayout.JAVA_BYTE, B));
            writer.commit(Map.of("step", 7));
        }
        assertArrayEquals(whole, Files.readAllBytes(file));
    }

    @Test
    void anInterruptIsNoDamageAndNoFullDisk() throws IOException {
        Path file = write(1);
        Thread.currentThread().interrupt();
        try {
            assertInterrupted("reading " + file, () -> new CheckpointReader(file).close());
            assertInterrupted("reading " + file, () -> new CheckpointFolder(folder).openLast().close());
            assertInterrupted("writing " + file, () -> write(1));
        } finally {
            assertTrue(Thread.interrupted(), "the mark is still set");
        }
        try (CheckpointReader reader = new CheckpointReader(file)) {
            Thread.currentThread().interrupt();
            assertInterrupted("reading " + file, reader::verify);
        } finally {
            assertTrue(Thread.interrupted());
        }
        assertEquals(List.of(file), list(folder));
    }

    private static void assertInterrupted(String doing, Executable work) {
        assertEquals("interrupted while " + doing, assertThrows(InterruptedIOException.class, work).getMessage());
    }

    @Test
    void anotherModelIsRefusedByTensor() throws IOException {
        try (CheckpointReader reader = new CheckpointReader(write(1))) {
            assertMessage("tensor c is missing", () -> reader.expect("c", "u8", List.of(1L), 1));
            assertMessage("tensor a is u8 [10, 100] of 1000 bytes, the model's is u8 [5, 200] of 1000 bytes",
                    () -> reader.expect("a", "u8", List.of(5L, 200L), 1000));
        }
    }

    @Test
    void everyShorterFileIsRefused() throws IOException {
        byte[] whole = Files.readAllBytes(write(1));
        Path cut = folder.resolve("cut");
        for (int length = 0; length < whole.length; length += length < 200 ? 1 : 37) {
            Files.write(cut, Arrays.copyOf(whole, length));
            assertThrows(CheckpointException.class, () -> new CheckpointReader(cut).close(), "length " + length);
        }
        Files.write(cut, Arrays.copyOf(whole, whole.length + 1));
        assertMessage("the preamble says", () -> new CheckpointReader(cut).close());
    }

    /** Padding between tensors is the one place where a flipped bit means nothing. */
    @Test
    void everyFlippedBitIsSeen() throws IOException {
        byte[] whole = Files.readAllBytes(write(1));
        Path bad = folder.resolve("bad");
        int unseen = 0;
        for (int at = 0; at < whole.length; at++) {
            byte[] damaged = whole.clone();
            damaged[at] ^= (byte) (1 << at % 8);
            Files.write(bad, damaged);
            unseen += isAccepted(bad) ? 1 : 0;
        }
        int padding = 1024 - 1000;
        assertEquals(padding, unseen);
    }

    /** Headers with right checksums that lie. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"offset\":64                  | \"offset\":128                 | offset 128",
        "\"offset\":64                  | \"offset\":-64                 | offset -64",
        "\"bytes\":64                   | \"bytes\":9223372036854775807  | bytes 9223372036854775807",
        "\"bytes\":64                   | \"bytes\":-1                   | bytes -1",
        "\"bytes\":1000                 | \"bytes\":936                  | tensor b: offset 1088",
        "\"bytes\":64                   | \"bytes\":60                   | tensors end at 1148",
        "\"name\":\"b\"                 | \"name\":\"a\"                 | tensor a is there twice",
        "\"shape\":[16]                 | \"shape\":[-16]                | shape [-16]",
        "\"shape\":[16]                 | \"shape\":\"16\"               | field \"shape\" is not a list",
        "\"name\":\"b\"                 | \"nama\":\"b\"                 | field \"name\" is missing",
        "\"meta\":                      | \"mata\":                      | field \"meta\" is missing",
        "\"tensors\":                   | \"tensors\":[],\"more\":       | tensors end at 64",
        "{                              | [                              | byte",
    })
    void aLyingHeaderIsRefused(String from, String to, String message) throws IOException {
        byte[] whole = Files.readAllBytes(write(1));
        Path bad = folder.resolve("bad");
        Files.write(bad, withHeader(whole, header(whole).replace(from, to)));
        assertMessage(message, () -> new CheckpointReader(bad).close());
    }

    @Test
    void aHugeHeaderIsRefusedUnread() throws IOException {
        byte[] whole = Files.readAllBytes(write(1));
        CheckpointFormat.Preamble lie = new CheckpointFormat.Preamble(1, 64, 1L << 40, whole.length, 0);
        System.arraycopy(lie.toBytes().array(), 0, whole, 0, 64);
        Path bad = folder.resolve("bad");
        Files.write(bad, whole);
        assertMessage("header bytes 1099511627776", () -> new CheckpointReader(bad).close());
    }

    @Test
    void anotherVersionIsNamed() throws IOException {
        byte[] whole = Files.readAllBytes(write(1));
        CheckpointFormat.Preamble later = new CheckpointFormat.Preamble(2, 64, 2, whole.length, 0);
        System.arraycopy(later.toBytes().array(), 0, whole, 0, 64);
        Path bad = folder.resolve("bad");
        Files.write(bad, whole);
        assertMessage("version is 2, this program reads 1", () -> new CheckpointReader(bad).close());
    }

    @Test
    void whatIsNotCommittedLeavesNothing() throws IOException {
        Path file = write(1);
        byte[] before = Files.readAllBytes(file);
        try (CheckpointWriter writer = new CheckpointWriter(file)) {
            writer.add("a", "u8", List.of(1L), MemorySegment.ofArray(new byte[1]).asReadOnly());
        }
        assertArrayEquals(before, Files.readAllBytes(file));
        assertEquals(List.of(file), list(folder));
    }

    @Test
    void aFolderThatCannotBeWrittenIsNamed() {
        Path file = folder.resolve("missing").resolve("x.sterna");
        assertMessage(file + ": cannot be written", () -> new CheckpointWriter(file).close());
    }

    /** Linux has a device that is always full. */
    /** The permission stands for file systems that refuse to sync a folder. */
    @Test
    void aFileInAFolderThatCannotBeSyncedIsWritten() throws IOException {
        Path closed = Files.createDirectory(folder.resolve("closed"));
        assumeTrue(Files.getFileStore(closed).supportsFileAttributeView("posix"));
        Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("-wx------"));
        try {
            assumeFalse(Files.isReadable(closed), "root may read everything");
            DurableFiles.replace(closed.resolve("file"), "tern");
            assertEquals("tern", Files.readString(closed.resolve("file")));
        } finally {
            Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("rwx------"));
        }
    }

    @Test
    void aFullDiskIsAnError() throws IOException {
        Path full = Path.of("/dev/full");
        org.junit.jupiter.api.Assumptions.assumeTrue(Files.isWritable(full), "no /dev/full here");
        Path file = folder.resolve("x.sterna");
        Files.createSymbolicLink(folder.resolve("x.sterna.tmp"), full);
        assertMessage("free some space", () -> {
            try (CheckpointWriter writer = new CheckpointWriter(file)) {
                writer.add("a", "u8", List.of(1000L), MemorySegment.ofArray(A));
                writer.commit(Map.of());
            }
        });
        assertFalse(Files.exists(file));
    }

    @Test
    void theLastOnesAreKept() throws IOException {
        CheckpointFolder checkpoints = new CheckpointFolder(folder);
        for (int step : new int[] {5, 100, 20}) {
            write(step);
        }
        Files.writeString(folder.resolve("notes.txt"), "not a checkpoint");
        checkpoints.prune(2);
        assertEquals(List.of(checkpoints.file(20), checkpoints.file(100)), checkpoints.list());
        assertTrue(Files.exists(folder.resolve("notes.txt")));
    }

    @Test
    void aDamagedLastOneOffersTheOneBefore() throws IOException {
        write(10);
        Path last = write(20);
        Files.write(last, Arrays.copyOf(Files.readAllBytes(last), 700));
        CheckpointFolder checkpoints = new CheckpointFolder(folder);
        assertMessage("go on from step-00000010.sterna", () -> checkpoints.openLast().close());
        Path between = write(15);
        byte[] flipped = Files.readAllBytes(between); // its header is whole, its tensors are not
        flipped[flipped.length / 2] ^= 1;
        Files.write(between, flipped);
        assertMessage("go on from step-00000010.sterna", () -> checkpoints.openLast().close());
        Files.delete(checkpoints.file(10));
        assertMessage("no earlier checkpoint is whole", () -> checkpoints.openLast().close());
    }

    private Path write(long step) throws IOException {
        CheckpointFolder checkpoints = new CheckpointFolder(folder);
        try (CheckpointWriter writer = checkpoints.write(step);
                Arena arena = Arena.ofConfined()) {
            writer.add("a", "u8", List.of(10L, 100L), arena.allocateFrom(ValueLayout.JAVA_BYTE, A));
            writer.add("b", "f32", List.of(16L), arena.allocateFrom(ValueLayout.JAVA_BYTE, B));
            writer.commit(Map.of("step", step));
        }
        return checkpoints.file(step);
    }

    private static boolean isAccepted(Path file) throws IOException {
        try (CheckpointReader reader = new CheckpointReader(file)) {
            reader.verify();
            return true;
        } catch (CheckpointException e) {
            return false;
        }
    }

    private static String header(byte[] whole) {
        ByteBuffer b = ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN);
        return new String(whole, (int) b.getLong(16), (int) b.getLong(24), StandardCharsets.UTF_8);
    }

    private static byte[] withHeader(byte[] whole, String header) {
        int offset = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong(16);
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        byte[] changed = Arrays.copyOf(whole, offset + text.length);
        System.arraycopy(text, 0, changed, offset, text.length);
        CheckpointFormat.Preamble preamble = new CheckpointFormat.Preamble(
                1, offset, text.length, changed.length, CheckpointFormat.checksum(text));
        System.arraycopy(preamble.toBytes().array(), 0, changed, 0, 64);
        return changed;
    }

    private static void assertMessage(String part, Executable action) {
        String message = assertThrows(CheckpointException.class, action).getMessage();
        assertTrue(message.contains(part), message);
    }

    private static List<Path> list(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.toList();
        }
    }

    private static byte[] bytes(int n, long seed) {
        byte[] bytes = new byte[n];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }
}
