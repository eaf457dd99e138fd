package io.sterna.hostile;

import java.util.List;

/**
 * A kind of broken file.
 *
 * @param name  what is broken
 * @param bytes the file
 * @param parts what the error says
 */
record Kind(String name, byte[] bytes, List<String> parts) {
    Kind(String name, byte[] bytes, String... parts) {
        this(name, bytes, List.of(parts));
    }

    @Override
    public String toString() {
        return name;
    }
}
