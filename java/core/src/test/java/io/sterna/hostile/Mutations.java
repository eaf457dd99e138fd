package io.sterna.hostile;

import java.util.Arrays;
import java.util.Random;

/** Random damage of a file, the same for the same seed: bits, cuts, insertions, splices, numbers. */
final class Mutations {
    private static final String[] NUMBERS = {"-1", "0", "1", "4294967296", "9223372036854775807", "-9223372036854775808", "1e308", "0.5", "99999999"};
    private static final int MOST = 4;

    private Mutations() {}

    static byte[] mutate(byte[] good, long seed) {
        Random random = new Random(seed);
        byte[] bytes = good.clone();
        for (int i = random.nextInt(MOST); i >= 0 && bytes.length > 0; i--) {
            bytes = once(bytes, random);
        }
        return bytes;
    }

    private static byte[] once(byte[] bytes, Random random) {
        int at = random.nextInt(bytes.length);
        int length = Math.min(bytes.length - at, 1 + random.nextInt(random.nextBoolean() ? 8 : 256));
        return switch (random.nextInt(8)) {
            case 0, 1 -> flipped(bytes, at, 1 << random.nextInt(8));
            case 2 -> Arrays.copyOf(bytes, at);
            case 3 -> spliced(bytes, at, at + length, new byte[0]);
            case 4 -> spliced(bytes, at, at, Arrays.copyOfRange(bytes, at, at + length));
            case 5 -> spliced(bytes, at, at + length, random(length, random));
            default -> withNumber(bytes, at, NUMBERS[random.nextInt(NUMBERS.length)]);
        };
    }

    private static byte[] flipped(byte[] bytes, int at, int bit) {
        byte[] result = bytes.clone();
        result[at] ^= (byte) bit;
        return result;
    }

    /** Another number in the place of the first digits from {@code at} on. */
    private static byte[] withNumber(byte[] bytes, int at, String number) {
        int from = at;
        while (from < bytes.length && !isDigit(bytes[from])) {
            from++;
        }
        int to = from;
        while (to < bytes.length && isDigit(bytes[to])) {
            to++;
        }
        return spliced(bytes, from, to, JsonFaults.utf8(number));
    }

    private static boolean isDigit(byte b) {
        return b >= '0' && b <= '9';
    }

    private static byte[] spliced(byte[] bytes, int from, int to, byte[] middle) {
        return JsonFaults.concat(Arrays.copyOf(bytes, from), middle, Arrays.copyOfRange(bytes, to, bytes.length));
    }

    private static byte[] random(int length, Random random) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }
}
