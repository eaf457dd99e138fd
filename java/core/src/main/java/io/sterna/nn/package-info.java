/**
 * The LLaMA-structured model: every layer's forward beside its hand-written backward, each with its
 * shapes. Layers own their weights and nothing else; activations belong to the caller, and gradients
 * leave through a gradient sink while they are in the cache.
 */
package io.sterna.nn;
