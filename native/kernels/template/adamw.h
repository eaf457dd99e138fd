/* adamw.h: AdamW for a block of up to 64 weights. */
#ifndef STERNA_ADAMW_H
#define STERNA_ADAMW_H

#include "kernels/template/moment.h"

/* What all weights of a call share. */
typedef struct adamw_rule {
    round_keys keys;
    float beta1, rest1, beta2, rest2; /* rest = 1 - beta */
    float factor, root_bias2, epsilon, rate;
} adamw_rule;

INLINE adamw_rule make_adamw_rule(const sterna_adamw_step *step) {
    return (adamw_rule){expand_key((uint32_t)step->key, (uint32_t)(step->key >> 32)), step->beta1, 1 - step->beta1,
                        step->beta2, 1 - step->beta2, step->factor, __builtin_sqrtf(step->bias2), step->epsilon,
                        step->rate * step->bias1};
}

/* Deltas of the gradients at g; the moments move on. `first_block`: these blocks begin a row. */
INLINE void adamw_block(const adamw_rule *rule, const float *g, moment_block m, moment_block v, int first_block,
                        moment_words *words, vfloat delta[VECTORS]) {
    vfloat first[VECTORS], second[VECTORS];
    fetch_ahead(m);
    fetch_ahead(v);
    load_moment(m, SIGNED, first);
    load_moment(v, SQUARE, second);
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) {
        int n = lanes_left(m.count, i * LANES);
        vfloat gradient = load_floats(g + (n ? i * LANES : 0), n) * splat(rule->factor);
        first[i] = splat(rule->beta1) * first[i] + splat(rule->rest1) * gradient;
        second[i] = splat(rule->beta2) * second[i] + splat(rule->rest2) * (gradient * gradient);
        vfloat root = square_root(second[i]) * splat(rule->root_bias2) + splat(rule->epsilon);
        delta[i] = splat(rule->rate) * first[i] / root;
    }
    if (m.m->type != STERNA_F32 || v.m->type != STERNA_F32) draw_words(&rule->keys, m.number, first_block, words);
    store_moment(m, SIGNED, first, words);
    store_moment(v, SQUARE, second, words);
}

#endif
