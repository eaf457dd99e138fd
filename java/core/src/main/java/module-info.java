/** Training of language models on CPUs in packed low-bit weights. */
module io.sterna {
    exports io.sterna.kernel;
}
