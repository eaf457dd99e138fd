/**
 * Files: Sterna's checkpoints, the formats of others, safetensors and GGUF, and the JSON that they all carry. What is
 * written is there as a whole or not at all, also after a crash; what is read may be damaged or hostile, and the
 * exception then names file and field, before memory is taken for what a field promises.
 */
package io.sterna.io;
