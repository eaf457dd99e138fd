/* check_tiers.c: the tiers themselves: names, features, and a status for what is not granted. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tier_traits.h"

static void check(int32_t tier) {
    check_case("tier %d", tier);
    CHECK(sterna_abi_version() == STERNA_ABI_VERSION);
    CHECK(sterna_tier_name(tier) && strcmp(sterna_tier_name(tier), TIER_TRAITS[tier].name) == 0);
    CHECK((sterna_tier_features(tier) & ~sterna_features()) == 0);
    CHECK(tier == 0 || (sterna_tier_features(tier - 1) & ~sterna_tier_features(tier)) == 0);

    check_case("what is no tier");
    CHECK(!sterna_tier_name(-1) && !sterna_tier_name(STERNA_TIERS));
    CHECK(!sterna_feature_name(-1) && !sterna_feature_name(64));
    for (int32_t t = -2; t < STERNA_TIERS + 2; t++)
        for (int bit = 0; bit < 64 && t >= 0 && t < STERNA_TIERS; bit++)
            if (sterna_tier_features(t) >> bit & 1) CHECK(sterna_feature_name(bit));
}

static void bench(int32_t tier) {
    (void)tier;
}

const check_family check_tiers = {"tiers", check, bench, 0};
