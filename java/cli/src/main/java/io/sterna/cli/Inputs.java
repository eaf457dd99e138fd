package io.sterna.cli;

import io.sterna.io.Utf8;
import io.sterna.train.ConfigException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Texts in files and on standard input read whole or by lines, without a byte order mark, with errors that name them. */
final class Inputs {
    private Inputs() {}

    static byte[] bytes(Path file) throws IOException {
        if (Files.isDirectory(file)) {
            throw new ConfigException(file + ": is a folder; name a file");
        }
        return Files.readAllBytes(file);
    }

    /** The bytes of a text. */
    static byte[] utf8(Path file) throws IOException {
        return utf8(bytes(file), file.toString());
    }

    static String text(Path file) throws IOException {
        return new String(utf8(file), StandardCharsets.UTF_8);
    }

    static String text(InputStream in, String name) throws IOException {
        return text(in.readAllBytes(), name);
    }

    private static String text(byte[] utf8, String name) {
        return new String(utf8(utf8, name), StandardCharsets.UTF_8);
    }

    /** The next line of {@code in}, without its end; null behind the last. One that is not UTF-8 is refused and over. */
    static String line(InputStream in, String name) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int b = in.read(); b >= 0; b = in.read()) {
            line.write(b);
            if (b == '\n') {
                break;
            }
        }
        return line.size() == 0 ? null : withoutLineEnd(text(line.toByteArray(), name));
    }

    /** What echo and editors put behind a text is not of it. */
    static String withoutLineEnd(String text) {
        return text.endsWith("\n") ? text.substring(0, text.length() - (text.endsWith("\r\n") ? 2 : 1)) : text;
    }

    /** What is wrong with the text of a file, of which {@code e} says what is wrong with a text. */
    static String fault(Path file, IllegalArgumentException e) {
        return file + ": " + e.getMessage().replaceFirst("^text: ", "");
    }

    /** The bytes of a text that was read from {@code name}. */
    static byte[] utf8(byte[] read, String name) {
        int invalid = Utf8.invalidAt(read, 0, read.length);
        if (invalid >= 0) {
            throw new ConfigException(name + ": byte " + invalid + " is not UTF-8; convert the text");
        }
        return Utf8.withoutMark(read);
    }
}
