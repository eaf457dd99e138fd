package io.sterna.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.sterna.data.CorpusOptions.Splitting;
import io.sterna.io.Json;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CorpusTest {
    @TempDir
    Path folder;

    private Path write(String name, String text) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, text);
    }

    private Path writeBytes(String name, byte[] bytes) throws IOException {
        return Files.write(folder.resolve(name), bytes);
    }

    private static byte[] gzip(String text) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(text.getBytes(StandardCharsets.UTF_8));
        }
        return out.toByteArray();
    }

    private Path zip(String name, String... namesAndTexts) throws IOException {
        Path file = folder.resolve(name);
        try (OutputStream out = Files.newOutputStream(file);
                ZipOutputStream zip = new ZipOutputStream(out)) {
            for (int i = 0; i < namesAndTexts.length; i += 2) {
                zip.putNextEntry(new ZipEntry(namesAndTexts[i]));
                zip.write(namesAndTexts[i + 1].getBytes(StandardCharsets.UTF_8));
            }
        }
        return file;
    }

    private static String failure(Corpus corpus) {
        String message = assertThrows(CorpusException.class, () -> Texts.read(corpus)).getMessage();
        assertFalse(message.contains("\n"), message);
        return message;
    }

    @Test
    void readsAFolderInOrderOfPathAndSkipsBinaries() throws IOException {
        write("b/2.txt", "two");
        write("a.md", "one");
        write("b/1.txt", "\uFEFFfirst");
        write("c.png", "picture");
        write("d.unknown", "nul\0byte");
        write(".git/config", "hidden folder");
        write(".hidden", "hidden");
        write("e.txt", " \n\n");
        Corpus corpus = Texts.corpus(Texts.ALL, folder);
        assertEquals(List.of("one", "first", "two"), Texts.read(corpus));
        try (DocumentReader reader = corpus.read()) {
            while (reader.next()) {}
            assertEquals(3, reader.skippedFiles());
            assertEquals(corpus.sourceBytes(), reader.consumedBytes());
        }
    }

    @Test
    void readsJsonLinesPlainAndPacked() throws IOException {
        String lines = "{\"id\":1,\"text\":\"one\\nline\"}\r\n\n{\"text\":\"\"}\n{\"text\":\"zwei é\"}";
        Path plain = write("x.jsonl", lines);
        Path packed = writeBytes("y.jsonl.gz", gzip(lines));
        List<String> once = List.of("one\nline", "zwei é");
        assertEquals(once, Texts.read(Texts.corpus(Texts.ALL, plain)));
        assertEquals(once, Texts.read(Texts.corpus(Texts.ALL, packed)));
        assertEquals(1, Texts.corpus(Texts.ALL, plain, plain).fileCount(), "the same file twice");
    }

    @Test
    void jsonWithAnObjectOnEveryLineIsJsonLines() throws IOException {
        String lines = "{\"text\":\"one\",\"url\":\"a\"}\r\n{\"text\":\"two\"}\n";
        List<String> both = List.of("one", "two");
        assertEquals(both, Texts.read(Texts.corpus(Texts.ALL, write("a.json", lines))));
        assertEquals(both, Texts.read(Texts.corpus(Texts.ALL, writeBytes("b.json.gz", gzip(lines)))));
        String longLine = "x".repeat(1 << 20);
        assertEquals(List.of(longLine, "two"), Texts.read(Texts.corpus(Texts.ALL, write("c.json", lines.replace("one", longLine)))));
        List<String> texts = List.of("{\"text\":\"one\"}\n", "{\n\"text\":\"one\"}\n{\n", "{\"body\":\"one\"}\n{\"body\":\"two\"}\n",
                "{\"text\":1}\n{\"text\":2}\n", "[\"text\"]\n{", "{", "\n{\"text\":\"one\"}\n{");
        for (String text : texts) {
            assertEquals(List.of(text), Texts.read(Texts.corpus(Texts.ALL, write("d.json", text))));
        }
        assertEquals(both, Texts.read(Texts.corpus(Texts.ALL.withTextField("body"), write("e.json", lines.replace("text", "body")))));
        String message = failure(Texts.corpus(Texts.ALL, write("f.json", lines.replace("one", "\\ud800"))));
        assertTrue(message.contains("f.json line 1: escaped surrogate"), message);
    }

    @Test
    void readsAnotherField() throws IOException {
        Path file = write("x.jsonl", "{\"text\":\"no\",\"body\":\"yes\"}\n");
        assertEquals(List.of("yes"), Texts.read(Texts.corpus(Texts.ALL.withTextField("body"), file)));
    }

    @Test
    void readsZipsWithAFilterInOrderOfName() throws IOException {
        Path zip = zip("s.zip", "m/B.java", "class B", "m/A.java", "class A", "m/x.html", "no", "z.class", "no");
        assertEquals(List.of("class A", "class B"), Texts.read(Texts.corpus(Texts.ALL.withInclude("*.java"), zip)));
        assertEquals(List.of("class A"), Texts.read(Texts.corpus(Texts.ALL.withInclude("m/A*"), zip)));
    }

    @Test
    void entriesMayBeNamedFromHere() throws IOException {
        Path zip = zip("dots.zip", "./m/a.txt", "a", "m/./b.txt", "b", "./m/.c.txt", "hidden", ".git/d.txt", "hidden");
        assertEquals(List.of("a", "b"), Texts.read(Texts.corpus(Texts.ALL, zip)));
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL.withInclude("m/a*"), zip)));
    }

    /** As tools write them that put an entry anew behind the old one. */
    @Test
    void ofEntriesOfOneNameTheLastCounts() throws IOException {
        byte[] zip = Files.readAllBytes(zip("three.zip", "a.txt", "old", "b.txt", "b", "c.txt", "new"));
        String bytes = new String(zip, StandardCharsets.ISO_8859_1).replace("c.txt", "a.txt");
        Path twice = writeBytes("twice.zip", bytes.getBytes(StandardCharsets.ISO_8859_1));
        assertEquals(List.of("new", "b"), Texts.read(Texts.corpus(Texts.ALL, twice)));
    }

    /** As Windows writes them, in a code page and without the mark of UTF-8; marked ones may stand beside them. */
    @Test
    void readsZipsWhoseNamesAreNotUtf8() throws IOException {
        Path zip = folder.resolve("oem.zip");
        try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(zip), Charset.forName("IBM437"))) {
            out.putNextEntry(new ZipEntry("f\u00fcr.txt"));
            out.write('f');
        }
        assertEquals(List.of("f"), Texts.read(Texts.corpus(Texts.ALL, zip)));
        byte[] text = Files.readAllBytes(Files.move(zip("both.zip", "a\u00e9.txt", "a", "b\u00e9.txt", "b"), folder.resolve("both")));
        String bytes = new String(text, StandardCharsets.ISO_8859_1).replace("b\u00c3\u00a9", "b\u0081x");
        for (int header = bytes.indexOf("PK"); header >= 0; header = bytes.indexOf("PK", header + 1)) {
            int flags = header + (bytes.charAt(header + 2) == 1 ? 9 : 7);
            boolean ofB = bytes.indexOf("b\u0081x", header) == header + (bytes.charAt(header + 2) == 1 ? 46 : 30);
            bytes = ofB ? bytes.substring(0, flags) + '\0' + bytes.substring(flags + 1) : bytes;
        }
        Path both = writeBytes("both.zip", bytes.getBytes(StandardCharsets.ISO_8859_1));
        assertEquals(List.of("a", "b"), Texts.read(Texts.corpus(Texts.ALL, both)));
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL.withInclude("a?.txt"), both)), "the marked name is UTF-8");
    }

    @Test
    void aTarIsRefusedWhereItIsNamedAndSkippedElsewhere() throws IOException {
        byte[] tar = new byte[2048];
        System.arraycopy("a.txt".getBytes(StandardCharsets.US_ASCII), 0, tar, 0, 5);
        System.arraycopy("ustar".getBytes(StandardCharsets.US_ASCII), 0, tar, 257, 5);
        System.arraycopy("text".getBytes(StandardCharsets.US_ASCII), 0, tar, 512, 4);
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
            gzip.write(tar);
        }
        for (Path file : List.of(writeBytes("x.tar", tar), writeBytes("x.tar.gz", packed.toByteArray()), writeBytes("x.tgz", packed.toByteArray()))) {
            String message = failure(Texts.corpus(Texts.ALL, file));
            assertTrue(message.contains(file + " is a tar archive: unpack it, or use a zip"), message);
        }
        write("a.txt", "a");
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL, folder)));
    }

    @Test
    void readsGlobs() throws IOException {
        write("p/a.txt", "a");
        write("p/q/b.txt", "b");
        write("p/q/c.md", "c");
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL, folder.resolve("p").resolve("*.txt"))));
        assertEquals(List.of("a", "b"), Texts.read(Texts.corpus(Texts.ALL, folder.resolve("p").resolve("**.txt"))));
    }

    @Test
    void globsAreThoseOfAShell() throws IOException {
        write("p/a.txt", "a");
        write("p/q/b.txt", "b");
        Path p = folder.resolve("p");
        assertEquals(List.of("a", "b"), Texts.read(Texts.corpus(Texts.ALL, p.resolve("**").resolve("*.txt"))), "no folder between too");
        assertEquals(List.of("b"), Texts.read(Texts.corpus(Texts.ALL, p.resolve("q*"))), "all of a folder that matches");
        assertEquals(List.of("b"), Texts.read(Texts.corpus(Texts.ALL, p.resolve("*").resolve("*.txt"))));
        Path closed = Files.createDirectories(p.resolve("closed"));
        Assumptions.assumeTrue(closed.toFile().setReadable(false) && !Files.isReadable(closed), "everything may be read here");
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL, p.resolve("*.txt"))), "what cannot match is not looked into");
    }

    @Test
    void aGlobMayMatchWhatIsThereAlready() throws IOException {
        Path file = write("p/a.txt", "a");
        String glob = folder.resolve("p").resolve("*.txt").toString();
        assertEquals(List.of("a"), Texts.read(Corpus.open(List.of(file.toString(), glob), Texts.ALL, null)));
        String message = assertThrows(CorpusException.class,
                () -> Corpus.open(List.of(glob), Texts.ALL.withInclude("*.md"), null)).getMessage();
        assertTrue(message.contains("*.md"), message);
        assertThrows(CorpusException.class, () -> Corpus.open(List.of(file.toString(), glob + "x"), Texts.ALL, null));
        Files.createDirectories(folder.resolve("q").resolve("empty"));
        String empty = folder.resolve("q").resolve("*").toString();
        assertThrows(CorpusException.class, () -> Corpus.open(List.of(file.toString(), empty), Texts.ALL, null));
    }

    @Test
    void passesOverWhatTrainingMakesThere() throws IOException {
        write("a.txt", "a");
        write("mine/b.txt", "b");
        write("mine/config.yaml", "c: 1");
        Path cache = folder.resolve("kept");
        List<String> specs = List.of(folder.toString());
        String before = Corpus.open(specs, Texts.ALL, cache).fingerprint();
        write("kept/tokenizer.json", "{}");
        write("out/.lock", "");
        write("out/config.yaml", "preset: nano");
        write("out/metrics.jsonl", "{\"loss\":1}");
        write("deep/prepared/.lock", "");
        write("deep/prepared/manifest.json", "{}");
        Corpus corpus = Corpus.open(specs, Texts.ALL, cache);
        assertEquals(List.of("a", "b", "c: 1"), Texts.read(corpus), "a configuration alone is text");
        assertEquals(before, corpus.fingerprint());
        Corpus globbed = Corpus.open(List.of(folder.resolve("*").toString()), Texts.ALL, cache);
        assertEquals(List.of("a", "b", "c: 1"), Texts.read(globbed), "folders that match a glob");
        assertEquals(List.of("{}"), Texts.read(Corpus.open(List.of(cache.toString()), Texts.ALL, cache)), "named itself");
        assertEquals(2, Texts.corpus(Texts.ALL, folder.resolve("out")).fileCount(), "named itself");
    }

    @Test
    void followsLinks() throws IOException {
        write("real/a.txt", "a");
        Path all = Files.createDirectories(folder.resolve("all"));
        Assumptions.assumeTrue(canLink(all.resolve("link"), folder.resolve("real")), "this file system has no links");
        assertTrue(canLink(folder.resolve("real").resolve("loop"), folder.resolve("real")));
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL, all)));
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL, all.resolve("link").resolve("*.txt"))));
    }

    @Test
    void anEmptyNameIsNoFolder() {
        assertTrue(assertThrows(CorpusException.class, () -> Corpus.open(List.of(""), Texts.ALL)).getMessage().contains("is empty"));
    }

    @Test
    void loneSurrogatesAreReplacedWhereThatIsAskedFor() throws IOException {
        Path file = write("x.jsonl", "{\"text\":\"a\\ud800b\"}");
        assertTrue(assertThrows(CorpusException.class, () -> Texts.read(Texts.corpus(Texts.ALL, file))).getMessage().contains("--replace-invalid"));
        assertEquals(List.of("a\uFFFDb"), Texts.read(Texts.corpus(Texts.ALL.withReplaceInvalid(true), file)));
    }

    @Test
    void readsAFolderThroughALink() throws IOException {
        write("real/a.txt", "a");
        Path link = folder.resolve("link");
        Assumptions.assumeTrue(canLink(link, folder.resolve("real")), "this file system has no links");
        assertEquals(List.of("a"), Texts.read(Texts.corpus(Texts.ALL, link)));
    }

    private static boolean canLink(Path link, Path target) throws IOException {
        try {
            Files.createSymbolicLink(link, target);
            return true;
        } catch (UnsupportedOperationException e) {
            return false;
        }
    }

    @Test
    void readsTheSourcesOfThisJdk() throws IOException {
        Path javaHome = Path.of(System.getProperty("java.home"));
        if (!Files.exists(javaHome.resolve("lib/src.zip"))) {
            assertTrue(assertThrows(CorpusException.class, () -> Corpus.jdkSources(javaHome, Texts.ALL))
                    .getMessage().contains("src.zip is missing"));
            return;
        }
        try (DocumentReader reader = Corpus.jdkSources(javaHome, Texts.ALL).read()) {
            assertTrue(reader.next());
            assertTrue(reader.origin().endsWith(".java"), reader.origin());
        }
    }

    @Test
    void aJdkWithoutSourcesIsNamed() {
        String message = assertThrows(CorpusException.class, () -> Corpus.jdkSources(folder, Texts.ALL)).getMessage();
        assertTrue(message.contains("src.zip is missing"), message);
    }

    @Test
    void splitsAtBlankLines() throws IOException {
        Path file = write("x.txt", "\n \n= A =\nline\n\t\n\r\n= B =\n  \nlast without end");
        CorpusOptions options = Texts.ALL.withSplitting(Splitting.BLANK_LINES);
        assertEquals(List.of("= A =\nline\n", "= B =\n", "last without end"), Texts.read(Texts.corpus(options, file)));
    }

    @Test
    void splitsRandomTextAsLineByLineReadingWould() throws IOException {
        Random random = new Random(5);
        CorpusOptions options = Texts.ALL.withSplitting(Splitting.BLANK_LINES);
        for (int round = 0; round < 300; round++) {
            StringBuilder text = new StringBuilder();
            for (int i = random.nextInt(round % 10 == 0 ? 200_000 : 60); i >= 0; i--) {
                text.append(random.nextInt(4) == 0 ? "word" : String.valueOf("\n\n \t\ré".charAt(random.nextInt(6))));
            }
            List<String> expected = new ArrayList<>();
            StringBuilder document = new StringBuilder();
            for (String line : text.toString().split("(?<=\n)")) {
                if (!line.replaceAll("[ \t\r\n]", "").isEmpty()) {
                    document.append(line);
                } else if (!document.isEmpty()) {
                    expected.add(document.toString());
                    document.setLength(0);
                }
            }
            if (!document.isEmpty()) {
                expected.add(document.toString());
            }
            Path file = write("random.txt", text.toString());
            assertEquals(expected, Texts.read(Texts.corpus(options, file)));
        }
    }

    @Test
    void readsLongAndShortLinesAcrossBuffers() throws IOException {
        Random random = new Random(6);
        List<String> texts = new ArrayList<>();
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 60; i++) {
            String text = "é€😀\\\"\n".repeat(1 + random.nextInt(i % 7 == 0 ? 60_000 : 300)) + i;
            texts.add(text);
            lines.append(Json.write(Map.of("text", text))).append('\n');
        }
        Path file = writeBytes("long.jsonl.gz", gzip(lines.toString()));
        assertEquals(texts, Texts.read(Texts.corpus(Texts.ALL, file)));
    }

    @Test
    void cutsLongFilesAtBlankLinesAndKeepsAllTheRest() throws IOException {
        StringBuilder text = new StringBuilder();
        for (int paragraph = 0; text.length() < 600_000; paragraph++) {
            text.append(Texts.prose(60, paragraph)).append("end").append("\n\n");
        }
        Path file = write("long.txt", text.toString());
        List<String> documents = Texts.read(Texts.corpus(Texts.ALL, file));
        assertTrue(documents.size() > 50);
        for (String document : documents.subList(0, documents.size() - 1)) {
            int bytes = document.getBytes(StandardCharsets.UTF_8).length;
            assertTrue(bytes >= 4096 && bytes <= 65536 && document.endsWith("end\n"), document);
        }
        assertEquals(text.toString().replaceAll("\n+", "\n"), String.join("", documents).replaceAll("\n+", "\n"));
        CorpusOptions whole = Texts.ALL.withSplitting(Splitting.FILE);
        assertEquals(List.of(text.toString()), Texts.read(Texts.corpus(whole, file)));
    }

    @Test
    void cutsTextWithoutLinesBetweenCharacters() throws IOException {
        String text = "é€😀x".repeat(60_000);
        List<String> documents = Texts.read(Texts.corpus(Texts.ALL, write("one-line.txt", text)));
        assertTrue(documents.size() > 5);
        assertEquals(text, String.join("", documents));
    }

    @Test
    void invalidUtf8NamesFileAndByte() throws IOException {
        byte[] text = "good text then bad".getBytes(StandardCharsets.UTF_8);
        text[10] = (byte) 0xFF;
        Path file = writeBytes("bad.txt", text);
        String message = failure(Texts.corpus(Texts.ALL, file));
        assertTrue(message.contains("bad.txt is not UTF-8 at byte 10 (0xFF)"), message);
        assertEquals(List.of("good text \uFFFDhen bad"), Texts.read(Texts.corpus(Texts.ALL.withReplaceInvalid(true), file)));

        byte[] lines = "{\"text\":\"ok\"}\n{\"text\":\"bad\"}\n".getBytes(StandardCharsets.UTF_8);
        lines[14 + 9] = (byte) 0xC3;
        Path second = writeBytes("bad.jsonl", lines);
        message = failure(Texts.corpus(Texts.ALL, second));
        assertTrue(message.contains("bad.jsonl line 2 is not UTF-8 at byte 23 (0xC3)"), message);
        assertEquals(List.of("ok", "\uFFFDad"), Texts.read(Texts.corpus(Texts.ALL.withReplaceInvalid(true), second)));
    }

    @Test
    void malformedLinesNameFileLineAndRemedy() throws IOException {
        String message = failure(Texts.corpus(Texts.ALL, write("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\n")));
        assertTrue(message.contains("a.jsonl line 2: JSON ends early at byte 8"), message);
        message = failure(Texts.corpus(Texts.ALL, write("b.jsonl", "{\"body\":\"x\"}\n")));
        assertTrue(message.contains("b.jsonl line 1 has no field \"text\""), message);
    }

    @Test
    void aDocumentLongerThanAllowedIsAnError() throws IOException {
        CorpusOptions small = Texts.ALL.withMaxDocumentBytes(2048).withSplitting(Splitting.FILE);
        assertTrue(failure(Texts.corpus(small, write("a.txt", "x".repeat(300_000)))).contains("longer than 2048"));
        Path line = write("a.jsonl", "{\"text\":\"" + "x".repeat(300_000) + "\"}");
        assertTrue(failure(Texts.corpus(small, line)).contains("a.jsonl line 1 has a document longer than 2048"));
        CorpusOptions blank = small.withSplitting(Splitting.BLANK_LINES);
        assertTrue(failure(Texts.corpus(blank, write("b.txt", "a\n\n" + "x\n".repeat(2000)))).contains("longer than 2048"));
    }

    @Test
    void damagedArchivesAreNamed() throws IOException {
        byte[] packed = gzip(Texts.prose(5000, 1));
        Path truncated = writeBytes("t.txt.gz", Arrays.copyOf(packed, packed.length / 2));
        String message = failure(Texts.corpus(Texts.ALL, truncated));
        assertTrue(message.contains("t.txt.gz is truncated after") && message.contains("get or make it anew"), message);
        Path noGzip = writeBytes("n.jsonl.gz", "plain".getBytes(StandardCharsets.UTF_8));
        message = failure(Texts.corpus(Texts.ALL, noGzip));
        assertTrue(message.contains("n.jsonl.gz") && message.contains("get or make it anew"), message);
        Path noZip = writeBytes("n.zip", "plain".getBytes(StandardCharsets.UTF_8));
        message = failure(Texts.corpus(Texts.ALL, noZip));
        assertTrue(message.contains("n.zip") && message.contains("get or make it anew"), message);
    }

    /** The JDK's stream of an entry does not check it. */
    @Test
    void aDamagedEntryOfAZipIsNotRead() throws IOException {
        Path zip = folder.resolve("stored.zip");
        byte[] text = "some text".getBytes(StandardCharsets.UTF_8);
        try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(zip))) {
            ZipEntry entry = new ZipEntry("a.txt");
            entry.setMethod(ZipEntry.STORED);
            entry.setSize(text.length);
            CRC32 crc = new CRC32();
            crc.update(text);
            entry.setCrc(crc.getValue());
            out.putNextEntry(entry);
            out.write(text);
        }
        assertEquals(List.of("some text"), Texts.read(Texts.corpus(Texts.ALL, zip)));
        byte[] bytes = Files.readAllBytes(zip);
        bytes[new String(bytes, StandardCharsets.ISO_8859_1).indexOf("some")] = 'c';
        Files.write(zip, bytes);
        String message = failure(Texts.corpus(Texts.ALL, zip));
        assertTrue(message.contains("stored.zip!a.txt") && message.contains("at byte 9: CRC-32 is"), message);
    }

    @Test
    void readsAllMembersOfAGzipAndRefusesWhatIsNone() throws IOException {
        byte[] one = gzip("one ");
        byte[] two = gzip("two");
        assertEquals(List.of("one two"), Texts.read(Texts.corpus(Texts.ALL, writeBytes("a.txt.gz", concat(one, two)))));
        assertEquals(List.of("one two"), Texts.read(Texts.corpus(Texts.ALL, writeBytes("b.txt.gz", concat(one, two, new byte[100_000])))), "padded");
        byte[] damaged = concat(one, two);
        damaged[one.length + 1] ^= 1;
        String message = failure(Texts.corpus(Texts.ALL, writeBytes("c.txt.gz", damaged)));
        assertTrue(message.contains("c.txt.gz at byte 4: what stands behind a gzip member is no other one"), message);
        message = failure(Texts.corpus(Texts.ALL, writeBytes("d.txt.gz", Arrays.copyOf(concat(one, two), one.length + 5))));
        assertTrue(message.contains("d.txt.gz is truncated after 4 unpacked bytes"), message);
        message = failure(Texts.corpus(Texts.ALL, writeBytes("e.txt.gz", concat(one, new byte[100_000], two))));
        assertTrue(message.contains("e.txt.gz at byte 4: something stands behind the zeros"), message);
        byte[] sum = concat(one, two);
        sum[sum.length - 5] ^= 1;
        message = failure(Texts.corpus(Texts.ALL, writeBytes("f.txt.gz", sum)));
        assertTrue(message.contains("f.txt.gz at byte 7: Corrupt GZIP trailer"), message);
    }

    /** All optional fields of a header, as no stream of the JDK writes them. */
    @Test
    void readsTheFieldsOfAGzipHeader() throws IOException {
        byte[] plain = gzip("text");
        byte[] header = concat(new byte[] {31, (byte) 139, 8, 2 + 4 + 8 + 16, 0, 0, 0, 0, 0, 0}, new byte[] {3, 0, 7, 7, 7},
                "name\0comment\0".getBytes(StandardCharsets.US_ASCII));
        CRC32 crc = new CRC32();
        crc.update(header);
        byte[] sum = {(byte) crc.getValue(), (byte) (crc.getValue() >> 8)};
        byte[] rest = Arrays.copyOfRange(plain, 10, plain.length);
        byte[] all = concat(header, sum, rest);
        assertEquals(List.of("texttext"), Texts.read(Texts.corpus(Texts.ALL, writeBytes("a.txt.gz", concat(all, all)))));
        all[12] = 8;
        assertTrue(failure(Texts.corpus(Texts.ALL, writeBytes("b.txt.gz", all))).contains("Corrupt GZIP header"));
    }

    private static byte[] concat(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    @Test
    void whatIsMissingOrEmptyIsAnError() throws IOException {
        Path empty = Files.createDirectory(folder.resolve("empty"));
        for (Path path : List.of(folder.resolve("none.txt"), folder.resolve("none*.txt"), empty)) {
            String message = assertThrows(CorpusException.class, () -> Texts.corpus(Texts.ALL, path)).getMessage();
            assertTrue(message.contains(path.toString()), message);
        }
        assertThrows(CorpusException.class, () -> Corpus.open(List.of(), Texts.ALL));
        assertThrows(CorpusException.class, () -> Corpus.open(List.of(folder + "/[a"), Texts.ALL));
    }

    @Test
    void heldOutDependsOnTheTextAlone() throws IOException {
        List<String> texts = new ArrayList<>();
        for (int i = 0; i < 4000; i++) {
            texts.add("document " + i);
        }
        Path one = Texts.jsonLines(folder.resolve("one.jsonl"), texts);
        Path other = Texts.jsonLines(folder.resolve("other.jsonl"), texts.reversed());
        List<String> heldOut = heldOut(one);
        assertTrue(heldOut.size() > 15 && heldOut.size() < 80, "1 % of 4000 is " + heldOut.size());
        assertEquals(heldOut, heldOut(other).reversed());
    }

    private static List<String> heldOut(Path file) throws IOException {
        List<String> documents = new ArrayList<>();
        try (DocumentReader reader = Texts.corpus(CorpusOptions.defaults(), file).read()) {
            while (reader.next()) {
                if (reader.heldOut()) {
                    documents.add(new String(reader.bytes(), reader.from(), reader.length(), StandardCharsets.UTF_8));
                }
            }
        }
        return documents;
    }

    @Test
    void fingerprintFollowsFilesAndOptions() throws IOException {
        Path file = write("a.txt", "text");
        String fingerprint = Texts.corpus(Texts.ALL, file).fingerprint();
        assertEquals(fingerprint, Texts.corpus(Texts.ALL, file).fingerprint());
        assertNotEquals(fingerprint, Texts.corpus(Texts.ALL.withTextField("t"), file).fingerprint());
        write("a.txt", "longer text");
        assertNotEquals(fingerprint, Texts.corpus(Texts.ALL, file).fingerprint());
    }
}
