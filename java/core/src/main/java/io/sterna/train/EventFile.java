package io.sterna.train;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;
import java.util.zip.CRC32C;

/**
 * Scalars in TensorBoard's event format: TFRecord frames (length, masked CRC32C of it, data, masked
 * CRC32C of it), each an {@code Event} message of tensorflow/core/util/event.proto. Not thread-safe.
 */
public final class EventFile implements AutoCloseable {
    private static final int CRC_MASK = 0xa282ead8;
    // Field numbers and wire types of Event, Summary.Value and SessionLog.
    private static final int WALL_TIME = 1 << 3 | 1;
    private static final int STEP = 2 << 3;
    private static final int FILE_VERSION = 3 << 3 | 2;
    private static final int SUMMARY = 5 << 3 | 2;
    private static final int SESSION_LOG = 7 << 3 | 2;
    private static final int SUMMARY_VALUE = 1 << 3 | 2;
    private static final int VALUE_TAG = 1 << 3 | 2;
    private static final int VALUE_SIMPLE = 2 << 3 | 5;
    private static final int STATUS = 1 << 3;
    private static final int STATUS_START = 1;

    private final Path file;
    private final OutputStream out;

    /**
     * Opens a new event file in {@code folder} for steps from {@code step} on; later ones of older files are void. All
     * times are seconds since 1970.
     *
     * @throws IOException when it cannot be made
     */
    public EventFile(Path folder, long step, double wallSeconds) throws IOException {
        this.file = folder.resolve(String.format(Locale.ROOT, "events.out.tfevents.%010d.%d.sterna", (long) wallSeconds, step));
        this.out = new BufferedOutputStream(new FileOutputStream(file.toFile())); // not by Files: an interrupt would close it
        write(new Message().fixed64(WALL_TIME, wallSeconds).text(FILE_VERSION, "brain.Event:2"));
        Message start = new Message().varint(STATUS, STATUS_START);
        write(event(step, wallSeconds).message(SESSION_LOG, start));
    }

    /**
     * Appends one point of the curve {@code tag}.
     *
     * @throws IOException when the file cannot be written; the message names it and the remedy
     */
    public void scalar(String tag, long step, double wallSeconds, double value) throws IOException {
        Message point = new Message().text(VALUE_TAG, tag).fixed32(VALUE_SIMPLE, (float) value);
        write(event(step, wallSeconds).message(SUMMARY, new Message().message(SUMMARY_VALUE, point)));
    }

    /**
     * Hands what was written to the system.
     *
     * @throws IOException when the file cannot be written; the message names it and the remedy
     */
    public void flush() throws IOException {
        try {
            out.flush();
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private IOException failed(IOException e) {
        return new IOException(file + ": cannot be written (" + e.getMessage() + "); free some space, then resume the run", e);
    }

    @Override
    public void close() throws IOException {
        try {
            out.close();
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private static Message event(long step, double wallSeconds) {
        return new Message().fixed64(WALL_TIME, wallSeconds).varint(STEP, step);
    }

    private void write(Message message) throws IOException {
        byte[] data = message.bytes.toByteArray();
        byte[] length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(data.length).array();
        try {
            out.write(length);
            out.write(maskedChecksum(length));
            out.write(data);
            out.write(maskedChecksum(data));
        } catch (IOException e) { // a full buffer is written before its flush
            throw failed(e);
        }
    }

    private static byte[] maskedChecksum(byte[] data) {
        CRC32C crc = new CRC32C();
        crc.update(data);
        int masked = Integer.rotateRight((int) crc.getValue(), 15) + CRC_MASK;
        return ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(masked).array();
    }

    /** The little of protobuf's wire format that an event needs. */
    private static final class Message {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        Message varint(int key, long value) {
            return raw(key).raw(value);
        }

        Message fixed64(int key, double value) {
            return raw(key).append(buffer(8).putDouble(value).array());
        }

        Message fixed32(int key, float value) {
            return raw(key).append(buffer(4).putFloat(value).array());
        }

        Message text(int key, String value) {
            return block(key, value.getBytes(StandardCharsets.UTF_8));
        }

        Message message(int key, Message value) {
            return block(key, value.bytes.toByteArray());
        }

        private Message block(int key, byte[] value) {
            return raw(key).raw(value.length).append(value);
        }

        private Message raw(long value) {
            for (; (value & ~0x7fL) != 0; value >>>= 7) {
                bytes.write((int) (value & 0x7f | 0x80));
            }
            bytes.write((int) value);
            return this;
        }

        private Message append(byte[] more) {
            bytes.writeBytes(more);
            return this;
        }

        private static ByteBuffer buffer(int size) {
            return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        }
    }
}
