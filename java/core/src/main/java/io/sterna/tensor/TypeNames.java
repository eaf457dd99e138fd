package io.sterna.tensor;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** Element types by the names that settings give them: in small letters, and fp32 for f32. */
final class TypeNames {
    private TypeNames() {}

    /** The one of {@code types} that {@code text} names; {@code what} they are stands in the error. */
    static <T extends Enum<T>> T parse(String what, String text, T[] types) {
        String name = text.toLowerCase(Locale.ROOT).replace("fp32", "f32");
        for (T type : types) {
            if (type.toString().equals(name)) {
                return type;
            }
        }
        String expected = Arrays.stream(types).map(T::toString).collect(Collectors.joining(", "));
        throw new IllegalArgumentException(what + " \"" + text + "\": expected one of " + expected);
    }
}
