/** Optimizers: their state, and how a gradient tile becomes a delta tile; learning-rate schedules. */
package io.sterna.optim;
