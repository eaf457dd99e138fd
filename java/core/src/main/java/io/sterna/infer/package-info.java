/** Text from trained models. */
package io.sterna.infer;
