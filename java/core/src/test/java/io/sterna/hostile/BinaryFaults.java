package io.sterna.hostile;

import static io.sterna.hostile.JsonFaults.concat;
import static io.sterna.hostile.JsonFaults.utf8;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/** Breaks the binary formats, written here from their descriptions: safetensors, checkpoints and token shards. */
final class BinaryFaults {
    private static final int PREAMBLE = 64;

    private BinaryFaults() {}

    /** A safetensors file: the bytes of the header, the header, the tensors. */
    static byte[] safetensors(byte[] header, byte[] tensors) {
        return concat(longs(header.length), header, tensors);
    }

    /** The header of a safetensors file. */
    static byte[] safetensorsHeader(byte[] file) {
        return Arrays.copyOfRange(file, 8, 8 + (int) buffer(file).getLong(0));
    }

    /** The tensors of a safetensors file. */
    static byte[] safetensorsBody(byte[] file) {
        return Arrays.copyOfRange(file, 8 + (int) buffer(file).getLong(0), file.length);
    }

    /** Sizes that lie, and files that end early or late. */
    static List<Kind> ofSafetensors(byte[] good) {
        List<Kind> kinds = new ArrayList<>();
        for (long size : new long[] {0, 1, good.length - 7, good.length, 1 << 30, 100_000_001, 1L << 31, 1L << 32, 1L << 62, Long.MAX_VALUE, -1,
            Long.MIN_VALUE}) {
            kinds.add(new Kind("header of " + size + " bytes", concat(longs(size), Arrays.copyOfRange(good, 8, good.length)),
                    "header bytes " + size));
        }
        for (int length : new int[] {0, 1, 7}) {
            kinds.add(new Kind(length + " bytes", Arrays.copyOf(good, length), "size " + length));
        }
        for (int length : new int[] {8, 9, 20}) {
            kinds.add(new Kind(length + " bytes", Arrays.copyOf(good, length), "header bytes"));
        }
        for (int missing : new int[] {1, 3, 4, 100}) {
            kinds.add(new Kind(missing + " bytes missing", Arrays.copyOf(good, good.length - missing), "data_offsets"));
        }
        for (int more : new int[] {1, 8, 1 << 20}) {
            kinds.add(new Kind(more + " bytes too many", Arrays.copyOf(good, good.length + more), "tensors end at"));
        }
        for (long size : new long[] {2, buffer(good).getLong(0) - 1, buffer(good).getLong(0) + 1}) {
            kinds.add(new Kind("header of another size " + size, concat(longs(size), Arrays.copyOfRange(good, 8, good.length))));
        }
        tensors(kinds);
        return kinds;
    }

    /** Descriptions of tensors that contradict themselves, each other or the 8 bytes they describe. */
    private static void tensors(List<Kind> kinds) {
        String[][] headers = {
            {"shape larger than its bytes", "'x':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}", "takes 12 bytes"},
            {"shape smaller than its bytes", "'x':{'dtype':'F32','shape':[1],'data_offsets':[0,8]}", "takes 4 bytes"},
            {"a scalar of two", "'x':{'dtype':'F32','shape':[],'data_offsets':[0,8]}", "takes 4 bytes"},
            {"sizes whose product overflows", "'x':{'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,8]}", "shape"},
            {"a product that overflows to the right one", "'x':{'dtype':'F32','shape':[4611686018427387906],'data_offsets':[0,8]}", "shape"},
            {"a size beyond 63 bits", "'x':{'dtype':'F32','shape':[9223372036854775808],'data_offsets':[0,8]}", "shape"},
            {"a negative size", "'x':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}", "shape [-2]"},
            {"two negative sizes", "'x':{'dtype':'F32','shape':[-1,-2],'data_offsets':[0,8]}", "shape [-1,-2]"},
            {"a fractional size", "'x':{'dtype':'F32','shape':[2.0],'data_offsets':[0,8]}", "shape [2.0]"},
            {"a size in words", "'x':{'dtype':'F32','shape':['2'],'data_offsets':[0,8]}", "shape [\"2\"]"},
            {"sizes in sizes", "'x':{'dtype':'F32','shape':[[2]],'data_offsets':[0,8]}", "shape a list of 1"},
            {"no sizes but one", "'x':{'dtype':'F32','shape':2,'data_offsets':[0,8]}", "\"shape\" is not a list but 2"},
            {"a type that is none", "'x':{'dtype':'F33','shape':[2],'data_offsets':[0,8]}", "dtype \"F33\""},
            {"a type in lower case", "'x':{'dtype':'f32','shape':[2],'data_offsets':[0,8]}", "dtype \"f32\""},
            {"a type of another width", "'x':{'dtype':'F64','shape':[2],'data_offsets':[0,8]}", "takes 16 bytes"},
            {"a type in digits", "'x':{'dtype':32,'shape':[2],'data_offsets':[0,8]}", "\"dtype\" is not a string but 32"},
            {"no type", "'x':{'shape':[2],'data_offsets':[0,8]}", "\"dtype\" is missing"},
            {"no shape", "'x':{'dtype':'F32','data_offsets':[0,8]}", "\"shape\" is missing"},
            {"no offsets", "'x':{'dtype':'F32','shape':[2]}", "\"data_offsets\" is missing"},
            {"one offset", "'x':{'dtype':'F32','shape':[2],'data_offsets':[0]}", "data_offsets [0]"},
            {"three offsets", "'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8,8]}", "data_offsets [0,8,8]"},
            {"offsets backwards", "'x':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}", "data_offsets [8,0]"},
            {"a negative offset", "'x':{'dtype':'F32','shape':[2],'data_offsets':[-8,0]}", "data_offsets [-8,0]"},
            {"offsets behind the end", "'x':{'dtype':'F32','shape':[2],'data_offsets':[8,16]}", "data_offsets [8,16]"},
            {"the largest offsets", "'x':{'dtype':'F32','shape':[2],'data_offsets':[9223372036854775799,9223372036854775807]}", "data_offsets"},
            {"offsets in words", "'x':{'dtype':'F32','shape':[2],'data_offsets':['0','8']}", "data_offsets [\"0\",\"8\"]"},
            {"a gap at the start", "'x':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}", "the one before ends at"},
            {"a gap at the end", "'x':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}", "tensors end at"},
            {"a gap between", "'x':{'dtype':'U8','shape':[2],'data_offsets':[0,2]},'y':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}",
                "the one before ends at"},
            {"an overlap", "'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'y':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}",
                "the one before ends at"},
            {"the same bytes twice", "'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'y':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}",
                "the one before ends at"},
            {"the same name twice", "'x':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},'x':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}",
                "field \"x\" given twice"},
            {"a field twice", "'x':{'dtype':'F32','dtype':'F32','shape':[2],'data_offsets':[0,8]}", "field \"dtype\" given twice"},
            {"a name that is long", "'" + "x".repeat(1_000_000) + "':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}", "a name of 1000000 characters"},
            {"a type that is long", "'x':{'dtype':'" + "F".repeat(1_000_000) + "','shape':[2],'data_offsets':[0,8]}", "dtype \"FFF"},
            {"many sizes", "'x':{'dtype':'F32','shape':[2" + ",1".repeat(1_000_000) + ",-1],'data_offsets':[0,8]}", "shape a list of 1000002"},
            {"many offsets", "'x':{'dtype':'F32','shape':[2],'data_offsets':[0" + ",8".repeat(1_000_000) + "]}", "data_offsets a list of 1000001"},
            {"a long name of a list", "'" + "x".repeat(1_000_000) + "':[0,8]", "is not an object"},
            {"a long field twice", "'x':{'" + "y".repeat(1_000_000) + "':1,'" + "y".repeat(1_000_000) + "':1}", "given twice"},
            {"a tensor that is a list", "'x':[0,8]", "tensor \"x\" is not an object"},
            {"a tensor that is a string", "'x':'F32'", "tensor \"x\" is not an object but \"F32\""},
            {"no tensors before bytes", "", "tensors end at"},
            {"metadata of a number", "'__metadata__':{'format':5},'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}",
                "__metadata__: field \"format\" is not a string but 5"},
            {"metadata of nothing", "'__metadata__':{'format':null},'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}",
                "__metadata__: field \"format\" is not a string but null"},
            {"metadata in metadata", "'__metadata__':{'a':{'b':'c'}},'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}",
                "__metadata__: field \"a\" is not a string but an object"},
            {"metadata that is a text", "'__metadata__':'pt','x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}",
                "__metadata__ is not an object but \"pt\""},
            {"metadata that is a list", "'__metadata__':[],'x':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}", "__metadata__ is not an object"},
        };
        for (String[] header : headers) {
            byte[] json = utf8("{" + header[1].replace('\'', '"') + "}");
            kinds.add(new Kind(header[0], safetensors(json, new byte[8]), header[2]));
        }
        for (String before : new String[] {" ", "\n", "\t"}) {
            byte[] json = utf8(before + "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}");
            kinds.add(new Kind("white space " + (int) before.charAt(0) + " before the header", safetensors(json, new byte[8]), "the header begins with white space"));
        }
        kinds.add(new Kind("countless tensors of nothing", safetensors(utf8(manyTensors(300_000)), new byte[0]), "would take too much memory"));
        kinds.add(new Kind("a million empty lists", safetensors(utf8("{\"x\":[" + "[],".repeat(1_000_000) + "[]]}"), new byte[0]), "tensor \"x\" is not an object"));
    }

    private static String manyTensors(int count) {
        StringBuilder json = new StringBuilder("{");
        for (int i = 0; i < count; i++) {
            json.append(i == 0 ? "" : ",").append('"').append(i).append("\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        return json.append('}').toString();
    }

    /** The header of a checkpoint. */
    static byte[] checkpointHeader(byte[] file) {
        int at = (int) buffer(file).getLong(16);
        return Arrays.copyOfRange(file, at, at + (int) buffer(file).getLong(24));
    }

    /** A checkpoint with another header, its sums right. */
    static byte[] checkpoint(byte[] good, byte[] header) {
        int at = (int) buffer(good).getLong(16);
        byte[] file = concat(Arrays.copyOf(good, at), header);
        return sealed(buffer(file).putLong(24, header.length).putLong(32, file.length).putInt(40, crc(header, 0, header.length)));
    }

    /** A checkpoint whose preamble has its right sum. */
    private static byte[] sealed(ByteBuffer file) {
        file.putInt(12, 0);
        return file.putInt(12, crc(file.array(), 0, PREAMBLE)).array();
    }

    /** Preambles and tensors that lie, with right sums and with wrong ones. */
    static List<Kind> ofCheckpoint(byte[] good) {
        List<Kind> kinds = new ArrayList<>();
        for (int length : new int[] {0, 1, 63}) {
            kinds.add(new Kind(length + " bytes", Arrays.copyOf(good, length), "size " + length));
        }
        kinds.add(new Kind("the preamble alone", Arrays.copyOf(good, PREAMBLE), "size is 64"));
        for (int missing : new int[] {1, 64, good.length / 2}) {
            kinds.add(new Kind(missing + " bytes missing", Arrays.copyOf(good, good.length - missing), "the preamble says " + good.length));
        }
        kinds.add(new Kind("a byte too many", Arrays.copyOf(good, good.length + 1), "size is " + (good.length + 1)));
        for (int at = 0; at < PREAMBLE; at += 4) {
            byte[] file = good.clone();
            file[at] ^= 0x10;
            kinds.add(new Kind("a bit of the preamble at " + at, file, "the preamble is not a checkpoint's"));
        }
        for (int version : new int[] {0, 2, -1}) {
            kinds.add(new Kind("version " + version, sealed(buffer(good.clone()).putInt(8, version)), "version is " + version));
        }
        for (long bytes : new long[] {-1, 0, 1, good.length, 1L << 40, Long.MAX_VALUE, Long.MIN_VALUE}) {
            kinds.add(new Kind("header of " + bytes + " bytes", sealed(buffer(good.clone()).putLong(24, bytes)), "header"));
        }
        for (long offset : new long[] {-1, 0, 63, good.length, Long.MAX_VALUE, Long.MIN_VALUE}) {
            kinds.add(new Kind("header at " + offset, sealed(buffer(good.clone()).putLong(16, offset)), "header offset " + offset));
        }
        for (long size : new long[] {-1, 0, good.length - 1, Long.MAX_VALUE}) {
            kinds.add(new Kind("file of " + size + " bytes", sealed(buffer(good.clone()).putLong(32, size)), "the preamble says " + size));
        }
        kinds.add(new Kind("a wrong sum of the header", sealed(buffer(good.clone()).putInt(40, 7)), "the header's checksum is wrong"));
        byte[] header = good.clone();
        header[good.length - 20] ^= 1;
        kinds.add(new Kind("a bit of the header", header, "the header's checksum is wrong"));
        byte[] tensor = good.clone();
        tensor[PREAMBLE + 3] ^= 1;
        kinds.add(new Kind("a bit of a tensor", tensor, "has checksum"));
        return kinds;
    }

    /** A token shard with fields of its header that lie. */
    static List<Kind> ofShard(byte[] good) {
        List<Kind> kinds = new ArrayList<>();
        for (int length : new int[] {0, 1, 63, 64, good.length - 1, good.length + 1, good.length + 64}) {
            kinds.add(new Kind(length + " bytes", Arrays.copyOf(good, length), "size is " + length));
        }
        kinds.add(new Kind("another magic", buffer(good.clone()).putLong(0, 1).array(), "magic"));
        for (int value : new int[] {-1, 0, 9, Integer.MAX_VALUE}) {
            kinds.add(new Kind("version " + value, buffer(good.clone()).putInt(8, value).array(), "version is " + value));
            kinds.add(new Kind("width " + value, buffer(good.clone()).putInt(12, value).array(), "token width is " + value));
            kinds.add(new Kind("count " + value, buffer(good.clone()).putLong(16, value).array(), "token count is " + value));
            kinds.add(new Kind("vocabulary " + value, buffer(good.clone()).putInt(24, value).array(), "vocabulary size is " + value));
            kinds.add(new Kind("sum " + value, buffer(good.clone()).putInt(28, value).array(), "checksum in the header"));
        }
        byte[] token = good.clone();
        token[PREAMBLE + 1] ^= 1;
        kinds.add(new Kind("a bit of a token", token, "CRC-32C of the tokens"));
        return kinds;
    }

    private static int crc(byte[] bytes, int from, int to) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, from, to - from);
        return (int) crc.getValue();
    }

    private static ByteBuffer buffer(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static byte[] longs(long value) {
        return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array();
    }
}
