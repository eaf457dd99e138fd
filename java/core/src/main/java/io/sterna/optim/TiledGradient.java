package io.sterna.optim;

import io.sterna.tensor.FloatMatrix;

/** The whole gradient of a tensor (rows, cols), to be had as often as needed, tile by tile. */
public interface TiledGradient {
    /** What is done with a tile. */
    interface TileBody {
        /** @param tile F32 (row1 - row0, cols): rows row0 ... row1 - 1, valid until this returns */
        void run(FloatMatrix tile, long row0, long row1);
    }

    /** The rows and columns of a tensor, and the rows of its tiles, but for the last one, which may have fewer. */
    record Size(long rows, long cols, long tileRows) {
        /** How many tiles there are. */
        public long tiles() {
            return Math.ceilDiv(rows, tileRows);
        }
    }

    /** Its size. */
    Size size();

    /** Does something with each tile, in any order and from several threads. */
    void forEach(TileBody body);
}
