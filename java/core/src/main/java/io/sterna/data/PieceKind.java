package io.sterna.data;

/** What a token of SentencePiece stands for; in its files and llama.cpp's a number, 1 for the first. */
public enum PieceKind {
    /** Text, made by merging. */
    NORMAL,
    /** What has no token. */
    UNKNOWN,
    /** Not text: begins or ends a document. */
    CONTROL,
    /** Text that is looked for before anything is merged. */
    USER_DEFINED,
    /** An id without a text. */
    UNUSED,
    /** A byte of a character that has no token. */
    BYTE;

    /** The number in files. */
    public int number() {
        return ordinal() + 1;
    }

    /**
     * The kind of a number in a file.
     *
     * @throws TokenizerException for a number that stands for none
     */
    public static PieceKind of(long number) throws TokenizerException {
        if (number < 1 || number > values().length) {
            throw new TokenizerException("piece of type " + number + ", which does not exist");
        }
        return values()[(int) number - 1];
    }
}
