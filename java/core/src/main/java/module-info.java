/** Training of language models on CPUs in packed low-bit weights. */
module io.sterna {
    exports io.sterna.data;
    exports io.sterna.eval;
    exports io.sterna.infer;
    exports io.sterna.io;
    exports io.sterna.kernel;
    exports io.sterna.nn;
    exports io.sterna.optim;
    exports io.sterna.rng;
    exports io.sterna.tensor;
    exports io.sterna.train;
}
