/** The training step: forward, backward with the update inside, and the memory it needs. */
package io.sterna.train;
