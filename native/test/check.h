/*
 * check.h: what the families' tests share. A family is a file check_<family>.c with a `check` function
 * that runs every kernel of the family on one tier against the reference (or float64), and a `bench`
 * function that times them. One binary, the same test body for every tier.
 *
 * Buffers come from check_buffer: between two unreadable pages, flush against the upper or the lower
 * one, the rest of the page filled with a canary. An access outside faults; a stray write is found.
 */
#ifndef STERNA_CHECK_KERN_H
#define STERNA_CHECK_KERN_H

#include <stddef.h>
#include <stdint.h>

#include "sterna.h"

typedef struct check_family {
    const char *name;
    void (*check)(int32_t tier); /* called for every granted tier, the reference included */
    void (*bench)(int32_t tier);
    int by_reference; /* results are held against the reference alone, so its own against themselves */
} check_family;

/* Names the case that runs now: printed when it fails or faults. Counts one case. */
void check_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Records a failure of the current case; only the first few of a family are printed. */
void check_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fails the current case when the condition does not hold. */
#define CHECK(condition)                                                                                   \
    do {                                                                                                   \
        if (!(condition)) check_fail("%s:%d: %s", __FILE__, __LINE__, #condition);                          \
    } while (0)

enum check_place { AGAINST_END, AGAINST_START };

/* `bytes` bytes that end right before an unreadable page (less `offset` bytes), or begin right after one
 * (plus `offset`). Filled with a pattern that is neither zero nor a small float. */
void *check_buffer(size_t bytes, enum check_place place, size_t offset);

/* Fails the current case when a byte around any live buffer changed; then releases all of them. */
void check_release(void);

/* A 64-byte aligned scratch of STERNA_SCRATCH_BYTES, the same for all calls, with guards. */
void *check_scratch(void);

/* Byte-equality of two arrays of elements; reports the first difference. */
void check_equal(const char *what, const void *got, const void *want, size_t count, size_t element);

/* |got - want| <= bound[i] for every element (bound may be one value for all: stride 0). */
void check_near(const char *what, const float *got, const double *want, const double *bound,
                size_t bound_stride, size_t count);

/* Bytes of an element of either float type, and from a matrix's first element to its last. */
static inline size_t check_element_bytes(int32_t type) {
    return type == STERNA_F32 ? 4 : 2;
}

static inline size_t check_matrix_bytes(const sterna_matrix *x) {
    return (size_t)((x->rows - 1) * x->stride + x->cols) * check_element_bytes(x->type);
}

/* Deterministic test data. */
uint64_t check_random(void);                     /* 64 random bits */
int64_t check_range(int64_t low, int64_t high);  /* uniform in low...high */
float check_normal(void);                        /* about N(0, 1) */
void check_seed(uint64_t seed);

/* Timing: calls `body(argument)` until about `seconds` passed, at least 3 times; the least seconds a call. */
double check_time(void (*body)(void *), void *argument, double seconds);

/* One line of the bench table; `work` is what one call does, in operations or bytes; unit "GOP/s" or "GB/s";
 * ceiling in the same unit (0: none). */
void check_row(const char *kernel, const char *grid, const char *shape, int32_t tier, double work,
               double seconds, const char *unit, double ceiling);

/* The ceiling of one thread measured in this run (STERNA_PROBE_...), in 1e9 a second; 0 when the tier has none. */
double check_ceiling(int32_t tier, int32_t probe);

#endif
