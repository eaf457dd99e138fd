/** How good a trained model is. */
package io.sterna.eval;
