/* check_probe.c: the probes count what they say, stay inside their buffer, and refuse bad arguments. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "tier_traits.h"

static void check_errors(int32_t tier) {
    check_case("probe, tier %d: errors", tier);
    char *buffer = check_buffer(128, AGAINST_END, 0);
    double work = -1;
    CHECK(sterna_probe(STERNA_TIERS, STERNA_PROBE_F32, buffer, 128, 1, &work) == STERNA_STATUS(1, STERNA_BAD_TIER));
    CHECK(sterna_probe(tier, -1, buffer, 128, 1, &work) == STERNA_STATUS(2, STERNA_BAD_RANGE));
    CHECK(sterna_probe(tier, 6, buffer, 128, 1, &work) == STERNA_STATUS(2, STERNA_BAD_RANGE));
    CHECK(sterna_probe(tier, STERNA_PROBE_F32, NULL, 128, 1, &work) == STERNA_STATUS(3, STERNA_BAD_NULL));
    CHECK(sterna_probe(tier, STERNA_PROBE_F32, buffer + 32, 64, 1, &work) == STERNA_STATUS(3, STERNA_BAD_ALIGNMENT));
    CHECK(sterna_probe(tier, STERNA_PROBE_F32, buffer, 100, 1, &work) == STERNA_STATUS(4, STERNA_BAD_SHAPE));
    CHECK(sterna_probe(tier, STERNA_PROBE_F32, buffer, 128, 0, &work) == STERNA_STATUS(5, STERNA_BAD_RANGE));
    CHECK(sterna_probe(tier, STERNA_PROBE_F32, buffer, 128, 1, NULL) == STERNA_STATUS(6, STERNA_BAD_NULL));
    CHECK(work == -1);
    check_release();
}

/* Work is proportional to rounds; only the update writes, and it writes every byte range. */
static void check_work(int32_t tier, int32_t kind, int64_t bytes) {
    check_case("probe %d, tier %d, %ld bytes", kind, tier, (long)bytes);
    char *buffer = check_buffer((size_t)bytes, AGAINST_END, 0), *before = check_buffer((size_t)bytes, AGAINST_END, 0);
    double once = 0, thrice = 0;
    int32_t status = sterna_probe(tier, kind, buffer, bytes, 1, &once);
    int none = kind <= STERNA_PROBE_BF16 && TIER_TRAITS[tier].operations[kind] == 0;
    CHECK(status == (none ? STERNA_STATUS(2, STERNA_BAD_TYPE) : STERNA_OK));
    if (!none) {
        CHECK(sterna_probe(tier, kind, buffer, bytes, 3, &thrice) == STERNA_OK);
        CHECK(once > 0 && thrice == 3 * once);
    }
    if (kind == STERNA_PROBE_READ) CHECK(once == (double)bytes);
    if (kind == STERNA_PROBE_UPDATE) CHECK(once == 2 * (double)bytes);
    for (int64_t at = 0; at < bytes; at += 8)
        CHECK((memcmp(buffer + at, before + at, 8) != 0) == (kind == STERNA_PROBE_UPDATE));
    check_release();
}

/* A round of products does the operations of some whole number of the tier's instructions, at least four. */
static void check_products(int32_t tier) {
    check_case("probe, tier %d: products", tier);
    void *buffer = check_buffer(64, AGAINST_END, 0);
    /* Rounds, as benches take them: no sum may overflow, but for those in tiles, which wrap and may be emulated, slowly. */
    int64_t many = TIER_TRAITS[tier].bf16_products ? 1 << 8 : 1 << 20;
    for (int32_t kind = STERNA_PROBE_INT8; kind <= STERNA_PROBE_BF16; kind++) {
        double work = 0, instruction = TIER_TRAITS[tier].operations[kind];
        if (instruction == 0) continue;
        CHECK(sterna_probe(tier, kind, buffer, 64, 1, &work) == STERNA_OK);
        CHECK(work >= 4 * instruction && fmod(work, instruction) == 0);
        double one = work;
        CHECK(sterna_probe(tier, kind, buffer, 64, many, &work) == STERNA_OK && work == (double)many * one);
    }
    check_release();
}

static void check(int32_t tier) {
    check_errors(tier);
    check_products(tier);
    for (int32_t kind = STERNA_PROBE_INT8; kind <= STERNA_PROBE_UPDATE; kind++)
        for (int64_t bytes = 64; bytes <= 4096; bytes *= 4) check_work(tier, kind, bytes);
}

static void bench(int32_t tier) {
    static const char *const NAMES[] = {"int8", "int16", "bf16", "f32", "read", "update"};
    for (int32_t kind = STERNA_PROBE_INT8; kind <= STERNA_PROBE_UPDATE; kind++) {
        double ceiling = check_ceiling(tier, kind);
        if (ceiling > 0) check_row("probe", NAMES[kind], "", tier, ceiling * 1e9, 1, kind < STERNA_PROBE_READ ? "GOP/s" : "GB/s", 0);
    }
}

const check_family check_probe = {"probe", check, bench, 0};
