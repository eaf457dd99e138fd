/* tier_flags.c: whatever a tier's files are compiled with, its row in dispatch.c asks the CPU for.
 *
 * tier_flags.h is written by CMake: {"avx2", "AVX2"}, one line for each instruction-set macro that the
 * compiler defines with the tier's flags and not without them, so implied flags are there too. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "sterna.h"

static const struct {
    const char *tier, *macro;
} COMPILED_WITH[] = {
#include "tier_flags.h"
};

/* Every CPU with AVX has these; __EVEX256__ and __EVEX512__ name encodings of AVX-512, not features. */
static const char *const GIVEN_WITH_AVX[] = {"SSE3", "SSSE3", "SSE4_1", "SSE4_2", "CRC32", "XSAVE", "EVEX256", "EVEX512"};

static int given_with_avx(const char *macro) {
    for (size_t i = 0; i < sizeof GIVEN_WITH_AVX / sizeof *GIVEN_WITH_AVX; i++)
        if (strcmp(macro, GIVEN_WITH_AVX[i]) == 0) return 1;
    return 0;
}

/* The macro AMX_TILE, or AMXTILE in older clang, is the feature amx-tile: letters and digits count. */
static int same_name(const char *macro, const char *feature) {
    if (strcmp(macro, "BMI") == 0) macro = "BMI1";
    for (;;) {
        macro += *macro == '_';
        feature += *feature == '-';
        if (tolower((unsigned char)*macro) != *feature) return 0;
        if (!*feature) return 1;
        macro++, feature++;
    }
}

static int tier_of(const char *name) {
    int32_t tier = 0;
    while (sterna_tier_name(tier) && strcmp(sterna_tier_name(tier), name) != 0) tier++;
    return tier;
}

static int asks_for(int32_t tier, const char *macro) {
    for (int32_t bit = 0; bit < 64; bit++)
        if (sterna_feature_name(bit) && same_name(macro, sterna_feature_name(bit)))
            return sterna_tier_features(tier) >> bit & 1;
    return 0;
}

int main(void) {
    int failures = 0, checked = 0;
    for (size_t i = 0; i < sizeof COMPILED_WITH / sizeof *COMPILED_WITH; i++) {
        const char *tier = COMPILED_WITH[i].tier, *macro = COMPILED_WITH[i].macro;
        if (given_with_avx(macro)) continue;
        checked++;
        if (asks_for(tier_of(tier), macro)) continue;
        printf("FAIL tier %s is compiled with %s, and dispatch.c does not ask for it\n", tier, macro);
        failures++;
    }
    printf("%d flags of tiers, %d failures\n", checked, failures);
    return failures > 0 || checked < 30;
}
