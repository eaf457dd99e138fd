package io.sterna.cli;

import io.sterna.train.ConfigException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Files and standard input read whole, with errors that name them. */
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
        byte[] bytes = bytes(file);
        text(bytes, file.toString());
        return bytes;
    }

    static String text(Path file) throws IOException {
        return text(bytes(file), file.toString());
    }

    static String text(InputStream in, String name) throws IOException {
        return text(in.readAllBytes(), name);
    }

    private static String text(byte[] utf8, String name) {
        ByteBuffer in = ByteBuffer.wrap(utf8);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(in).toString();
        } catch (CharacterCodingException e) {
            throw new ConfigException(name + ": byte " + in.position() + " is not UTF-8; convert the text", e);
        }
    }
}
