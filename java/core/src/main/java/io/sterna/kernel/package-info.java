/**
 * The native kernels: {@link io.sterna.kernel.NativeLibrary} loads them, {@link io.sterna.kernel.Kernels}
 * is every downcall (check, invoke, status), {@link io.sterna.kernel.Slices} is the threads.
 */
package io.sterna.kernel;
