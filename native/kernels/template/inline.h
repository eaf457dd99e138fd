/* inline.h: what the compiler must do with a function. */
#ifndef STERNA_INLINE_H
#define STERNA_INLINE_H

#define INLINE static inline __attribute__((always_inline))
/* Keeps a loop that needs every register out of functions that hold others. */
#define NEVER_INLINE static __attribute__((noinline))

#endif
