package io.sterna.data;

import io.sterna.data.CorpusOptions.Splitting;
import io.sterna.io.GzipInput;
import io.sterna.io.JsonException;
import io.sterna.io.JsonReader;
import io.sterna.io.Utf8;
import java.io.EOFException;
import java.io.File;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Queue;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/**
 * Streams the documents of a {@link Corpus}: call {@link #next} until it returns false, and look at
 * {@code bytes[from, to)} in between. Documents are valid UTF-8 and not blank; a byte order mark is dropped.
 * Memory is bounded by a few times the longest document allowed. Not thread-safe.
 */
public final class DocumentReader implements AutoCloseable {
    private static final int NUL_WINDOW = 8 << 10;
    private static final Set<String> PACKED = Set.of("gz", "tgz");
    private static final int TAR_MARK_AT = 257; // of the first header
    private static final byte[] TAR_MARK = {'u', 's', 't', 'a', 'r'};
    private static final String REMEDY = "get or make it anew, packed as gzip and zip do by default, or leave it out";
    private static final int AUTO_WHOLE = 256 << 10; // the longest file that AUTO leaves in one piece
    private static final int AUTO_LEAST = 4 << 10;
    private static final int AUTO_MOST = 64 << 10;

    private final CorpusOptions options;
    private final List<Corpus.Source> sources;
    private final byte[] textField;
    private final JsonReader json;
    private final HeldOut heldOut = new HeldOut();
    private final long heldOutBelow;
    private int nextSource;
    private int counted; // sources in finishedSources
    private int skipped;
    private long finishedSources; // their bytes on disk
    private long finishedEntries; // compressed bytes of the open zip's finished entries

    private ZipFile zip;
    private Queue<ZipEntry> entries = new ArrayDeque<>();
    private List<PathMatcher> include;

    private String name;
    private CountingStream counter;
    private InputStream opened; // the counter, or what unpacks it
    private ByteInput input;
    private byte[] spare = new byte[1 << 18];
    private boolean jsonLines;
    private boolean cutting;
    private long line;

    private byte[] bytes = {};
    private int from;
    private int to;

    DocumentReader(Corpus corpus) {
        options = corpus.options();
        sources = corpus.sources();
        skipped = corpus.skipped();
        textField = options.textField().getBytes(StandardCharsets.UTF_8);
        heldOutBelow = HeldOut.threshold(options.heldOutShare());
        json = new JsonReader(options.replaceInvalid());
    }

    /**
     * Moves to the next document.
     *
     * @return false after the last one
     * @throws CorpusException if a file cannot be read, holds invalid UTF-8 or malformed JSON, or a document is
     *     longer than allowed; the message names the file and the byte or line
     */
    public boolean next() throws CorpusException {
        try {
            while (input != null || openNext()) {
                if (jsonLines ? nextLine() : nextText()) {
                    return true;
                }
                closeInput();
            }
            return false;
        } catch (CorpusException e) {
            throw e;
        } catch (EOFException e) {
            throw new CorpusException(name + " is truncated after " + received() + " unpacked bytes: " + REMEDY, e);
        } catch (ZipException e) {
            throw new CorpusException("cannot unpack " + name + " at byte " + received() + ": " + DataException.reason(e) + ": " + REMEDY, e);
        } catch (IOException e) {
            throw new CorpusException("cannot read " + name + " at byte " + received() + ": " + DataException.reason(e), e);
        }
    }

    /** The buffer that holds the document in {@code [from(), to())}; valid until {@link #next}. */
    public byte[] bytes() {
        return bytes;
    }

    /** Where the document starts in {@link #bytes}. */
    public int from() {
        return from;
    }

    /** Where it ends, exclusive. */
    public int to() {
        return to;
    }

    /** Length of the document in bytes of UTF-8. */
    public int length() {
        return to - from;
    }

    /** Whether the document belongs to the held-out share: its hash is below share · 2^64. */
    public boolean heldOut() {
        return Long.compareUnsigned(hash(), heldOutBelow) < 0;
    }

    /** The first 64 bits of SHA-256 of the document. */
    long hash() {
        return heldOut.hash(bytes, from, to);
    }

    /** Where the document stands: file, and line for JSON lines. */
    public String origin() {
        return jsonLines ? name + " line " + line : name;
    }

    /** Bytes of source files read so far, of {@link Corpus#sourceBytes}. */
    public long consumedBytes() {
        return finishedSources + (zip == null && counter != null ? counter.count : finishedEntries);
    }

    /** Files skipped so far because they are hidden or binary. */
    public int skippedFiles() {
        return skipped;
    }

    @Override
    public void close() throws IOException {
        closeInput();
        closeZip();
    }

    private long received() {
        return input == null ? 0 : input.received();
    }

    // Files and zip entries

    private boolean openNext() throws IOException {
        while (true) {
            if (!entries.isEmpty()) {
                ZipEntry entry = entries.remove();
                finishedEntries += entry.getCompressedSize();
                open(sources.get(nextSource - 1).path() + "!" + entry.getName(), new EntryInput(zip, entry), false);
            } else {
                finishSource();
                if (nextSource == sources.size()) {
                    return false;
                }
                Corpus.Source source = sources.get(nextSource++);
                name = source.path().toString();
                if (Corpus.extension(name).equals("zip")) {
                    openZip(source.path());
                    continue;
                }
                open(name, Files.newInputStream(source.path()), source.named());
            }
            if (input != null) {
                return true;
            }
        }
    }

    private void openZip(Path path) throws IOException {
        zip = unzip(path.toFile());
        if (include == null) {
            include = Corpus.matchers(options.include());
        }
        SortedMap<String, ZipEntry> byName = new TreeMap<>(); // of entries of one name, old ones and a new one, the last counts
        zip.stream().filter(entry -> !entry.isDirectory() && wanted(entry.getName())).forEach(entry -> byName.put(entry.getName(), entry));
        entries = new ArrayDeque<>(byName.values());
    }

    /** Names that are not marked as UTF-8 may be in the code page of the system that packed them: any byte is a character then. */
    private static ZipFile unzip(File file) throws IOException {
        try {
            return new ZipFile(file);
        } catch (ZipException e) {
            return new ZipFile(file, StandardCharsets.ISO_8859_1);
        }
    }

    private boolean wanted(String entry) {
        Path path;
        try {
            path = pathOf(entry).normalize(); // some programs name entries ./a
        } catch (InvalidPathException e) {
            skipped++; // a name that no file of this system could have
            return false;
        }
        if (!Corpus.included(include, options.include(), path)) {
            return false;
        }
        if (isHidden(path) || Corpus.isBinary(entry) || Corpus.extension(entry).equals("zip")) {
            skipped++;
            return false;
        }
        return true;
    }

    private static boolean isHidden(Path path) {
        for (Path name : path) {
            if (name.toString().startsWith(".") && !name.toString().equals("..")) {
                return true;
            }
        }
        return false;
    }

    /** What globs are matched with. Under some locales names of files are of ASCII alone; those of entries are not. */
    private static Path pathOf(String entry) {
        try {
            return Path.of(entry);
        } catch (InvalidPathException e) {
            return Path.of(entry.replaceAll("[^\\x00-\\x7F]", "_"));
        }
    }

    private void finishSource() throws IOException {
        closeZip();
        finishedEntries = 0;
        if (nextSource > counted) {
            finishedSources += sources.get(counted++).bytes();
        }
    }

    private void closeZip() throws IOException {
        if (zip != null) {
            zip.close();
            zip = null;
        }
    }

    /** Opens a stream as {@link #input}, or skips it when it is binary and the user did not name it. */
    private void open(String streamName, InputStream stream, boolean named) throws IOException {
        name = streamName;
        counter = new CountingStream(stream);
        opened = counter;
        input = new ByteInput(opened, spare);
        String inner = name;
        if (PACKED.contains(Corpus.extension(name))) {
            inner = name.substring(0, name.length() - 3);
            opened = new GzipInput(counter);
            input = new ByteInput(opened, spare);
        }
        String extension = Corpus.extension(inner);
        jsonLines = extension.equals("jsonl") || extension.equals("ndjson");
        line = 0;
        if (!named && hasNul()) {
            skipped++;
            closeInput();
            return;
        }
        if (isTar()) { // and named
            throw new CorpusException(name + " is a tar archive: unpack it, or use a zip");
        }
        if (input.require(3)) {
            input.skip(Utf8.markLength(input.buffer, input.start, input.end));
        }
        jsonLines |= extension.equals("json") && holdsJsonLines();
        cutting = options.splitting() == Splitting.BLANK_LINES
                || options.splitting() == Splitting.AUTO && !jsonLines && input.require(AUTO_WHOLE + 1);
    }

    private boolean hasNul() throws IOException {
        input.require(NUL_WINDOW);
        int to = Math.min(input.end, input.start + NUL_WINDOW);
        for (int i = input.start; i < to; i++) {
            if (input.buffer[i] == 0) {
                return true;
            }
        }
        return false;
    }

    private boolean isTar() throws IOException {
        int end = TAR_MARK_AT + TAR_MARK.length;
        return input.require(end) && Arrays.equals(
                input.buffer, input.start + TAR_MARK_AT, input.start + end, TAR_MARK, 0, TAR_MARK.length);
    }

    private void closeInput() throws IOException {
        if (counter != null) {
            opened.close(); // which closes the counter, and gives back what inflating takes
            counter = null;
            spare = input.buffer;
            input = null;
        }
    }

    // JSON lines

    /** Whether a file has them by another name: its first line is an object with the text, and another begins behind it. */
    private boolean holdsJsonLines() throws IOException {
        int length = input.require(1) && input.buffer[input.start] == '{' ? firstLineLength() : 0;
        if (length == 0 || !input.require(length + 2) || input.buffer[input.start + length + 1] != '{') {
            return false;
        }
        take(input.buffer, input.start, input.start + length, input.offset());
        try {
            return new JsonReader(options.replaceInvalid()).readStringField(bytes, from, to, textField); // whose memory goes with it
        } catch (JsonException e) {
            return isReplaceable(e); // and refused when it is read
        }
    }

    /** Bytes before the first line feed; 0 where none follows within the longest line. */
    private int firstLineLength() throws IOException {
        int scanned = 0;
        while (scanned <= options.maxDocumentBytes() && input.require(scanned + 1)) {
            int lineFeed = input.lineFeed(input.start + scanned);
            if (lineFeed >= 0) {
                return lineFeed - input.start;
            }
            scanned = input.end - input.start;
        }
        return 0;
    }

    private boolean nextLine() throws IOException {
        while (true) {
            int length = lineLength();
            if (length < 0) {
                return false;
            }
            line++;
            long offset = input.offset();
            int start = input.start;
            input.skip(Math.min(length + 1, input.end - start));
            if (isBlank(input.buffer, start, start + length)) {
                continue;
            }
            take(input.buffer, start, start + length, offset);
            if (!readField()) {
                throw new CorpusException(origin() + " has no field \"" + options.textField()
                        + "\": set text-field to the one that holds the text");
            }
            bytes = json.field();
            from = 0;
            to = json.fieldLength();
            if (!isBlank(bytes, from, to)) {
                return true;
            }
        }
    }

    private boolean readField() throws CorpusException {
        try {
            return json.readStringField(bytes, from, to, textField);
        } catch (JsonException e) {
            throw new CorpusException(origin() + ": " + e.getMessage()
                    + (isReplaceable(e) ? ": mend it, or replace such characters with --replace-invalid" : ""), e);
        }
    }

    private static boolean isReplaceable(JsonException e) {
        return e.getMessage().startsWith(JsonReader.LONE_SURROGATE);
    }

    /** Bytes before the next line feed or the end, or -1 at the end. */
    private int lineLength() throws IOException {
        int scanned = 0;
        while (true) {
            int lineFeed = input.lineFeed(input.start + scanned);
            scanned = (lineFeed < 0 ? input.end : lineFeed) - input.start;
            if (scanned > options.maxDocumentBytes()) {
                throw tooLong();
            }
            if (lineFeed >= 0) {
                return scanned;
            }
            if (input.atEnd) {
                return scanned > 0 ? scanned : -1;
            }
            input.fill();
        }
    }

    // Text

    private boolean nextText() throws IOException {
        if (cutting) {
            return nextCut();
        }
        while (!input.atEnd) {
            if (input.end - input.start > options.maxDocumentBytes()) {
                throw tooLong();
            }
            input.fill();
        }
        if (isBlank(input.buffer, input.start, input.end)) {
            return false;
        }
        takeText(input.end - input.start, input.end - input.start);
        return true;
    }

    /** Takes the text up to the next blank line that is far enough from here. */
    private boolean nextCut() throws IOException {
        boolean auto = options.splitting() == Splitting.AUTO;
        int most = auto ? AUTO_MOST : options.maxDocumentBytes();
        skipBlankLines();
        int lastLine = 0; // end of the last whole line
        int at = auto ? AUTO_LEAST : 0;
        while (input.require(at + 1)) {
            int lineFeed = input.lineFeed(input.start + at);
            int lineEnd = lineFeed < 0 ? input.end - input.start : lineFeed + 1 - input.start;
            if (lineEnd > most) {
                break;
            }
            at = lineEnd;
            if (lineFeed >= 0) {
                int blank = blankLine(lineEnd);
                if (blank > 0) {
                    takeText(lineEnd, lineEnd + blank);
                    return true;
                }
                lastLine = lineEnd;
            }
        }
        int size = input.end - input.start;
        if (input.atEnd && size <= most) {
            if (size > 0) {
                takeText(size, size);
            }
            return size > 0;
        }
        if (!auto) {
            throw tooLong();
        }
        int cut = lastLine > 0 ? lastLine : characterBoundary(most);
        takeText(cut, cut);
        return true;
    }

    /** Length of the blank line, with its line feed, that starts at {@code start + at}; 0 if it is not blank. */
    private int blankLine(int at) throws IOException {
        int n = 0;
        while (input.require(at + n + 1)) {
            byte b = input.buffer[input.start + at + n++];
            if (b == '\n') {
                return n;
            }
            if (!isSpace(b) || n > options.maxDocumentBytes()) {
                return 0;
            }
        }
        return n;
    }

    private void skipBlankLines() throws IOException {
        int n = blankLine(0);
        while (n > 0) {
            input.skip(n);
            n = blankLine(0);
        }
    }

    private int characterBoundary(int at) {
        int i = at;
        while (i > at - 3 && (input.buffer[input.start + i] & 0xC0) == 0x80) {
            i--;
        }
        return i;
    }

    private void takeText(int length, int consume) throws CorpusException {
        take(input.buffer, input.start, input.start + length, input.offset());
        input.skip(consume);
    }

    /** Makes {@code b[start, stop)}, which stands at {@code offset} of the stream, the current text. */
    private void take(byte[] b, int start, int stop, long offset) throws CorpusException {
        bytes = b;
        from = start;
        to = stop;
        int bad = Utf8.invalidAt(b, start, stop);
        if (bad < 0) {
            return;
        }
        if (!options.replaceInvalid()) {
            throw new CorpusException(String.format(Locale.ROOT,
                    "%s is not UTF-8 at byte %d (0x%02X): convert it, or replace such bytes with --replace-invalid",
                    origin(), offset + bad - start, b[bad]));
        }
        bytes = new String(b, start, stop - start, StandardCharsets.UTF_8).getBytes(StandardCharsets.UTF_8);
        from = 0;
        to = bytes.length;
    }

    private CorpusException tooLong() {
        boolean mayBeCut = !jsonLines && options.splitting() != Splitting.BLANK_LINES;
        return new CorpusException((jsonLines ? name + " line " + (line + 1) : name)
                + " has a document longer than " + options.maxDocumentBytes()
                + " bytes: cut it into shorter ones" + (mayBeCut ? ", or set split to blank-lines" : ""));
    }

    private static boolean isBlank(byte[] b, int from, int to) {
        for (int i = from; i < to; i++) {
            if (!isSpace(b[i]) && b[i] != '\n') {
                return false;
            }
        }
        return true;
    }

    private static boolean isSpace(byte b) {
        return b == ' ' || b == '\t' || b == '\r';
    }

    private static final class CountingStream extends FilterInputStream {
        long count;

        CountingStream(InputStream stream) {
            super(stream);
        }

        @Override
        public int read() throws IOException {
            int b = super.read();
            count += b < 0 ? 0 : 1;
            return b;
        }

        @Override
        public int read(byte[] b, int off, int len) throws IOException {
            int n = super.read(b, off, len);
            count += Math.max(n, 0);
            return n;
        }
    }
}
