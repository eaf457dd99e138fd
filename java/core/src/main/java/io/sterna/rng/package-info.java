/** Counter-based random numbers: every random bit is a pure function of a key and a counter. */
package io.sterna.rng;
