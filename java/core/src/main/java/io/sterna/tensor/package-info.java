/**
 * Off-heap memory and its shapes: packed weights, float matrices, quantized activations and
 * gradients, optimizer moments. Each tensor carries its native descriptor, allocated with its data, so a downcall allocates
 * nothing and a closed arena is noticed. No mathematics here.
 */
package io.sterna.tensor;
