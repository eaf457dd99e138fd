package io.sterna.nn;

import io.sterna.kernel.Kernels;
import io.sterna.kernel.Slices;
import io.sterna.kernel.Team;
import io.sterna.kernel.Worker;
import io.sterna.tensor.FloatMatrix;
import io.sterna.tensor.FloatType;
import io.sterna.tensor.MemoryKind;
import io.sterna.tensor.Workspace;

/**
 * What layers compute with: the kernels, the threads, and for each worker a tile: memory for a few rows of
 * a parameter that stays in the cache while a gradient becomes an update.
 */
public final class Engine {
    /** Floats of a tile, unless {@link #MIN_TILE_ROWS} rows need more: 384 rows of 768, within an L2 cache. */
    private static final long TILE = 288 << 10;
    /** Each tile packs all of its input anew: fewer rows are not worth that, whatever cache they fit in. */
    private static final long MIN_TILE_ROWS = 128;
    /** Rows of a tile are a multiple of this, the last one's aside: products are computed in blocks of as many. */
    private static final long TILE_UNIT = 32;
    /** A parameter of enough rows is cut into this many tiles at least: those of a block keep several workers busy. */
    private static final long MIN_TILES = 2;
    /** Tokens of a slice are a multiple of this, unless there are no more. */
    static final long TOKENS = 16;
    /** The same of a product, whose slices unpack all weights: no shorter than that is worth. */
    private static final long PRODUCT_TOKENS = 32;

    private final Kernels kernels;
    private final Slices slices;
    private final Tile[] tiles;

    /** A worker's tile and the windows it works with. */
    static final class Tile {
        private final FloatMatrix memory;
        private final FloatMatrix rows;
        private final FloatMatrix operand;

        private Tile(Workspace.Section section, long size) {
            this.memory = FloatMatrix.allocate(section, FloatType.F32, 1, size);
            this.rows = FloatMatrix.window(section);
            this.operand = FloatMatrix.window(section);
        }
    }

    /** Without tiles: what passes compute with that change no parameter. */
    public Engine(Kernels kernels, Slices slices, int workers, Workspace workspace) {
        this(kernels, slices, workers, workspace.section(MemoryKind.SCRATCH), 1);
    }

    /**
     * Tiles for {@code workers} workers.
     *
     * @param maxCols columns of the widest parameter
     */
    public Engine(Kernels kernels, Slices slices, int workers, Workspace workspace, long maxCols) {
        this(kernels, slices, workers, workspace.section(MemoryKind.SCRATCH), Math.max(TILE, MIN_TILE_ROWS * maxCols));
    }

    private Engine(Kernels kernels, Slices slices, int workers, Workspace.Section section, long tile) {
        this.kernels = kernels;
        this.slices = slices;
        this.tiles = new Tile[workers];
        for (int i = 0; i < workers; i++) {
            tiles[i] = new Tile(section, tile);
        }
    }

    /** The kernels. */
    public Kernels kernels() {
        return kernels;
    }

    /** The threads. */
    public Slices slices() {
        return slices;
    }

    /** How many threads there are. */
    int workers() {
        return tiles.length;
    }

    /** The worker's tile as a matrix (rows, cols) with whatever it held; valid until the worker's next call. */
    public FloatMatrix tile(Worker worker, long rows, long cols) {
        Tile tile = tiles[worker.index()];
        return tile.rows.shaped(tile.memory, rows, cols);
    }

    /** The worker's window over rows of a matrix; valid until the worker's next call of this or {@link #tile}. */
    public FloatMatrix rows(Worker worker, FloatMatrix matrix, long row0, long row1) {
        return tiles[worker.index()].rows.overRows(matrix, row0, row1);
    }

    /** The worker's other window, over a part of a matrix; valid until the worker's next call of this. */
    public FloatMatrix part(Worker worker, FloatMatrix matrix, long row0, long row1, long col0, long col1) {
        return tiles[worker.index()].operand.over(matrix, row0, row1, col0, col1);
    }

    /**
     * Rows of a tile of a parameter (rows, cols), whose tiles are about equal. It depends on the shape alone, never on
     * the threads, so that what happens to a tile is reproducible.
     */
    public static long tileRows(long rows, long cols) {
        long most = Math.max(MIN_TILE_ROWS, TILE / cols / TILE_UNIT * TILE_UNIT);
        long tiles = Math.max(MIN_TILES, Math.ceilDiv(rows, most));
        return Math.ceilDiv(Math.ceilDiv(rows, tiles), TILE_UNIT) * TILE_UNIT;
    }

    /** Runs an operation on each token in slices; few tokens may each be one. */
    static void tokens(long tokens, Team team, Slices.RowBody body) {
        team.rows(tokens, tokens > TOKENS ? TOKENS : 1, body);
    }

    /** y = x, in slices of tokens. */
    void copy(FloatMatrix x, FloatMatrix y, Team team) {
        tokens(x.rows(), team, (r0, r1, worker) -> kernels.copy(x, y, r0, r1));
    }

    /** Runs a product on each token in slices, one for each worker, since each of them packs all weights. */
    void products(long tokens, Slices.RowBody body) {
        slices.tiles(tokens, Math.ceilDiv(Math.ceilDiv(tokens, workers()), PRODUCT_TOKENS) * PRODUCT_TOKENS, body);
    }
}
