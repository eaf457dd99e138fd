package io.sterna.data;

import java.util.List;
import java.util.Objects;

/**
 * How text is read from a corpus. Immutable; start from {@link #defaults} and change with the
 * {@code with} methods.
 *
 * @param textField        field of a JSON line that holds the text
 * @param include          globs a file of a folder or zip must match one of ("*.java" is matched against the
 *                         name, a glob with '/' against the path inside the folder or zip); empty means all
 * @param splitting        how a text file becomes documents
 * @param maxDocumentBytes longest document (for JSON lines: longest line), in bytes; a longer one is an error,
 *                         so that memory stays bounded
 * @param replaceInvalid   true: each malformed UTF-8 sequence becomes U+FFFD; false: it is an error
 * @param heldOutShare     share of documents held out as dev set, in [0, 1), chosen by {@link HeldOut}
 */
public record CorpusOptions(
        String textField,
        List<String> include,
        Splitting splitting,
        int maxDocumentBytes,
        boolean replaceInvalid,
        double heldOutShare) {

    /** How a text file becomes documents. JSON lines are always one document a line. */
    public enum Splitting {
        /**
         * A file up to 256 KiB is one document. A longer one is cut at the first blank line at least 4 KiB
         * after the last cut; where none follows within 64 KiB, at the last line end, or between characters.
         */
        AUTO,
        /** One document a file. */
        FILE,
        /** Documents are separated by blank lines (white space only). */
        BLANK_LINES
    }

    /** @throws IllegalArgumentException for a longest document or a share outside its range; the message names it */
    public CorpusOptions {
        Objects.requireNonNull(textField, "textField");
        Objects.requireNonNull(splitting, "splitting");
        include = List.copyOf(include);
        if (maxDocumentBytes < 1024 || maxDocumentBytes > 1 << 29) {
            throw new IllegalArgumentException(
                    "longest document is " + maxDocumentBytes + " bytes, must be 1 KiB to 512 MiB");
        }
        if (!(heldOutShare >= 0 && heldOutShare < 1)) {
            throw new IllegalArgumentException("held-out share is " + heldOutShare + ", must be in [0, 1)");
        }
    }

    /** Field "text", all files, {@link Splitting#AUTO}, 64 MiB, strict UTF-8, 1 % held out. */
    public static CorpusOptions defaults() {
        return new CorpusOptions("text", List.of(), Splitting.AUTO, 64 << 20, false, 0.01);
    }

    /** These options with another field of JSON lines. */
    public CorpusOptions withTextField(String field) {
        return new CorpusOptions(field, include, splitting, maxDocumentBytes, replaceInvalid, heldOutShare);
    }

    /** These options with only files that match one of some globs. */
    public CorpusOptions withInclude(String... globs) {
        return new CorpusOptions(
                textField, List.of(globs), splitting, maxDocumentBytes, replaceInvalid, heldOutShare);
    }

    /** These options with another rule for text files. */
    public CorpusOptions withSplitting(Splitting rule) {
        return new CorpusOptions(textField, include, rule, maxDocumentBytes, replaceInvalid, heldOutShare);
    }

    /** These options with another longest document, 1 KiB to 512 MiB. */
    public CorpusOptions withMaxDocumentBytes(int bytes) {
        return new CorpusOptions(textField, include, splitting, bytes, replaceInvalid, heldOutShare);
    }

    /** These options with malformed UTF-8 replaced or refused. */
    public CorpusOptions withReplaceInvalid(boolean replace) {
        return new CorpusOptions(textField, include, splitting, maxDocumentBytes, replace, heldOutShare);
    }

    /** These options with another share of documents held out. */
    public CorpusOptions withHeldOutShare(double share) {
        return new CorpusOptions(textField, include, splitting, maxDocumentBytes, replaceInvalid, share);
    }
}
