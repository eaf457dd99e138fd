/* probe.c: what one thread reaches in plain C; the tiers override the arithmetic. */
#include "dispatch/families.h"

/* Keeps a value alive without storing it. */
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")

static double multiply_int8(int64_t rounds) {
    uint32_t sum[8] = {0};
    int8_t a = 3, b = 5;
    __asm__("" : "+r"(a), "+r"(b));
    for (int64_t i = 0; i < rounds; i++)
        for (int j = 0; j < 8; j++) sum[j] += (uint32_t)(a * b) + (uint32_t)i;
    KEEP(sum);
    return 16.0 * (double)rounds;
}

static double multiply_f32(int64_t rounds) {
    float sum[8] = {0}, a = 0.5f, b = 0.25f;
    __asm__("" : "+x"(a), "+x"(b));
    for (int64_t i = 0; i < rounds; i++)
        for (int j = 0; j < 8; j++) sum[j] = sum[j] * a + b;
    KEEP(sum);
    return 16.0 * (double)rounds;
}

static double read_memory(const uint64_t *buffer, int64_t bytes, int64_t rounds) {
    uint64_t sum[8] = {0};
    for (int64_t r = 0; r < rounds; r++)
        for (int64_t i = 0; i < bytes / 8; i += 8)
            for (int j = 0; j < 8; j++) sum[j] |= buffer[i + j];
    KEEP(sum);
    return (double)bytes * (double)rounds;
}

static double update_memory(uint64_t *buffer, int64_t bytes, int64_t rounds) {
    for (int64_t r = 0; r < rounds; r++)
        for (int64_t i = 0; i < bytes / 8; i++) buffer[i] += 1;
    return 2.0 * (double)bytes * (double)rounds;
}

static int32_t probe(int32_t kind, void *buffer, int64_t bytes, int64_t rounds, double *work) {
    switch (kind) {
    case STERNA_PROBE_INT8: *work = multiply_int8(rounds); return STERNA_OK;
    case STERNA_PROBE_F32: *work = multiply_f32(rounds); return STERNA_OK;
    case STERNA_PROBE_READ: *work = read_memory(buffer, bytes, rounds); return STERNA_OK;
    case STERNA_PROBE_UPDATE: *work = update_memory(buffer, bytes, rounds); return STERNA_OK;
    default: return STERNA_STATUS(2, STERNA_BAD_TYPE);
    }
}

void sterna_reference_probe(sterna_table *t) {
    t->probe = probe;
}
