/* dispatch.c: tiers, what they need, and their tables: the reference first, then overridden upward. */
#include "cpu.h"
#include "families.h"
#include "table.h"

#define BIT(feature) (1ull << (feature))

/* Every flag in cmake/Tiers.cmake has its bit here; the test tier_flags compares the two lists. */
#define NEEDS_AVX2                                                                                         \
    (BIT(CPU_AVX) | BIT(CPU_AVX2) | BIT(CPU_FMA) | BIT(CPU_F16C) | BIT(CPU_BMI1) | BIT(CPU_BMI2)            \
     | BIT(CPU_LZCNT) | BIT(CPU_POPCNT) | BIT(CPU_MOVBE) | BIT(CPU_OS_YMM))
#define NEEDS_AVX512                                                                                       \
    (NEEDS_AVX2 | BIT(CPU_AVX512F) | BIT(CPU_AVX512CD) | BIT(CPU_AVX512BW) | BIT(CPU_AVX512DQ)              \
     | BIT(CPU_AVX512VL) | BIT(CPU_OS_ZMM))
#define NEEDS_AVX512VNNI (NEEDS_AVX512 | BIT(CPU_AVX512VNNI) | BIT(CPU_AVX512VBMI))
#define NEEDS_AMX                                                                                          \
    (NEEDS_AVX512VNNI | BIT(CPU_AVX512BF16) | BIT(CPU_AMX_TILE) | BIT(CPU_AMX_INT8) | BIT(CPU_AMX_BF16)     \
     | BIT(CPU_OS_AMX))

/* Elsewhere no feature is granted, so tables above the reference are never filled. */
#if defined(__x86_64__)
#define FILL(tier) sterna_fill_##tier
#else
#define FILL(tier) 0
#endif

static const struct {
    const char *name;
    uint64_t needs;
    void (*fill)(sterna_table *);
} TIERS[STERNA_TIERS] = {
    {"reference", 0, sterna_fill_reference},
    {"avx2", NEEDS_AVX2, FILL(avx2)},
    {"avx512", NEEDS_AVX512, FILL(avx512)},
    {"avx512vnni", NEEDS_AVX512VNNI, FILL(avx512vnni)},
    {"amx", NEEDS_AMX, FILL(amx)},
};

static const char *const FEATURES[CPU_FEATURES] = {
    "avx",      "avx2",     "fma",        "f16c",       "bmi1",       "bmi2",     "lzcnt",    "popcnt",
    "movbe",    "os-ymm",   "avx512f",    "avx512cd",   "avx512bw",   "avx512dq", "avx512vl", "os-zmm",
    "avx512vnni", "avx512vbmi", "avx512bf16", "amx-tile", "amx-int8", "amx-bf16", "os-amx",
};

static uint64_t features;
static sterna_table tables[STERNA_TIERS];

static int granted(int32_t tier) {
    return tier >= 0 && tier < STERNA_TIERS && (TIERS[tier].needs & ~features) == 0;
}

/* The tile registers are asked for where nothing else is missing. */
static uint64_t detect(void) {
    const uint64_t found = sterna_cpu_detect(), tiles = 1ull << CPU_OS_AMX;
    return (NEEDS_AMX & ~found) == tiles && sterna_cpu_grants_tiles() ? found | tiles : found;
}

__attribute__((constructor)) static void fill_tables(void) {
    features = detect();
    for (int32_t tier = 0; tier < STERNA_TIERS && granted(tier); tier++) {
        if (tier > 0) tables[tier] = tables[tier - 1];
        TIERS[tier].fill(&tables[tier]);
    }
}

const sterna_table *sterna_table_of(int32_t tier) {
    return granted(tier) ? &tables[tier] : 0;
}

int32_t sterna_abi_version(void) {
    return STERNA_ABI_VERSION;
}

int32_t sterna_best_tier(void) {
    int32_t best = STERNA_REFERENCE;
    while (granted(best + 1)) best++;
    return best;
}

const char *sterna_tier_name(int32_t tier) {
    return tier >= 0 && tier < STERNA_TIERS ? TIERS[tier].name : 0;
}

uint64_t sterna_features(void) {
    return features;
}

uint64_t sterna_tier_features(int32_t tier) {
    return tier >= 0 && tier < STERNA_TIERS ? TIERS[tier].needs : ~0ull;
}

const char *sterna_feature_name(int32_t bit) {
    return bit >= 0 && bit < CPU_FEATURES ? FEATURES[bit] : 0;
}
