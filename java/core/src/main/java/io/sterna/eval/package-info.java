/**
 * How good a trained model is: how well it predicts a text, and how many multiple-choice questions it
 * answers, scored as lm-evaluation-harness does.
 */
package io.sterna.eval;
