/*
 * sterna.h: the C interface of Sterna's kernels.
 *
 * Every kernel is a pure function of one slice: it allocates nothing, starts no thread, keeps no
 * state, prints nothing and never exits. Memory, threads and scheduling belong to the caller, who
 * cuts the work into slices and calls the same kernel for each, from any thread. Two calls may run at
 * the same time when the bytes they write do not overlap with bytes the other reads or writes.
 *
 * Tiers. The first argument of a kernel names the instruction-set tier to run on. The reference tier
 * defines the result. Kernels marked EXACT give the same bytes on every tier and for every way of
 * cutting slices; kernels marked FLOAT give the same bytes for every way of cutting slices on one
 * tier, and stay within a stated bound of float64 across tiers. A NaN is any NaN: where a result is one,
 * its sign and payload may differ.
 *
 * Status. A kernel returns STERNA_OK, or a negative status made by STERNA_STATUS(argument, reason):
 * the 1-based position of the argument at fault and why. On a negative status nothing was written, unless a
 * function says otherwise.
 *
 * Memory. Sizes are in elements unless they end in _bytes. Floats and scales are aligned to 4 bytes,
 * bf16 to 2, moments and matrices to their element, codes to 1 byte; scratch to 64 bytes. Inputs and
 * outputs must not overlap unless a function says "in place". No kernel reads or writes a byte
 * outside the rows, columns and lengths that its arguments describe. Rows, columns and strides are at
 * most 2^40, and rows times stride (columns where there is none) at most 2^56.
 */
#ifndef STERNA_H
#define STERNA_H

#include <stdint.h>

#if defined(_WIN32)
#define STERNA_API __declspec(dllexport)
#else
#define STERNA_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a prototype, a constant, a struct or a meaning below changes. */
#define STERNA_ABI_VERSION 11

/* ---------------------------------------------------------------- status */

#define STERNA_OK 0
#define STERNA_BAD_NULL 1      /* a pointer is null */
#define STERNA_BAD_ALIGNMENT 2 /* a pointer or stride breaks the stated alignment */
#define STERNA_BAD_SHAPE 3     /* rows, cols, stride or group do not fit the other arguments */
#define STERNA_BAD_RANGE 4     /* a number is outside its stated range */
#define STERNA_BAD_TYPE 5      /* an element type, grid or scaling the kernel does not take */
#define STERNA_BAD_TIER 6      /* no such tier, or the CPU or the OS does not grant it */
#define STERNA_BAD_VALUE 7     /* data with no meaning: a token out of range, a byte that is no 5 trits */
#define STERNA_NONFINITE 8     /* a NaN or an infinity where only finite numbers make sense */

#define STERNA_STATUS(argument, reason) (-((argument) * 16 + (reason)))

/* ---------------------------------------------------------------- tiers */

#define STERNA_REFERENCE 0
#define STERNA_AVX2 1
#define STERNA_AVX512 2
#define STERNA_AVX512VNNI 3
#define STERNA_AMX 4
#define STERNA_TIERS 5

STERNA_API int32_t sterna_abi_version(void);

/* The highest tier that this CPU and OS grant (cpuid, xgetbv and, for AMX, the arch_prctl permission, which the
 * library requests for the whole process when it is loaded, where the tier lacks nothing else). Thread-safe; the answer
 * never changes. */
STERNA_API int32_t sterna_best_tier(void);

/* The name of a tier ("avx512vnni"), or null when there is no such tier. */
STERNA_API const char *sterna_tier_name(int32_t tier);

/* CPU and OS features as bits, and the bits a tier needs; a tier is granted when it needs no bit that
 * is missing. sterna_feature_name gives the name of bit 0...63, or null. */
STERNA_API uint64_t sterna_features(void);
STERNA_API uint64_t sterna_tier_features(int32_t tier);
STERNA_API const char *sterna_feature_name(int32_t bit);

/* ---------------------------------------------------------------- data */

/* Bytes of scratch that a kernel with a `scratch` argument may use; 64-byte aligned, one per thread. */
#define STERNA_SCRATCH_BYTES 2097152

/* Element types. */
#define STERNA_F32 0
#define STERNA_BF16 1 /* upper half of an f32; conversion rounds to nearest even unless SR is stated */
#define STERNA_I8 2   /* moments only: block-wise int8 */

/* A row-major float matrix: element (r, c) of type F32 or BF16 is data[r * stride + c]. */
typedef struct sterna_matrix {
    void *data;
    int64_t rows, cols;
    int64_t stride; /* elements from one row to the next, at least cols */
    int32_t type;   /* STERNA_F32 or STERNA_BF16 */
    int32_t reserved;
} sterna_matrix;

/* Activations quantized per token: x(r, c) = codes[r * stride + c] * scales[r]; codes in -127...127. */
typedef struct sterna_quantized {
    int8_t *codes;
    float *scales; /* (rows) */
    int64_t rows, cols;
    int64_t stride; /* bytes from one row to the next, at least cols */
} sterna_quantized;

/* Grids: the codes a weight may take. The value of an n-bit grid is n; code range is Qn...Qp. */
#define STERNA_BINARY 1  /* {-1, 1}, 1 bit */
#define STERNA_INT2 2    /* -2...1 */
#define STERNA_INT3 3    /* -4...3 */
#define STERNA_INT4 4    /* -8...7 */
#define STERNA_INT5 5    /* -16...15 */
#define STERNA_INT6 6    /* -32...31 */
#define STERNA_INT7 7    /* -64...63 */
#define STERNA_INT8 8    /* -128...127 */
#define STERNA_TERNARY 9 /* {-1, 0, 1}, 2 bits in memory */

/* Scaling: how many weights share a scale. */
#define STERNA_PER_TENSOR 0 /* scales (1) */
#define STERNA_PER_ROW 1    /* scales (rows) */
#define STERNA_PER_GROUP 2  /* scales (rows, ceil(cols / group)); group a multiple of 64 */

/*
 * A packed weight matrix W (rows = output features N, cols = input features K): weight = code * scale.
 *
 * Layout of the codes. A row is a run of blocks of 64 weights; the last block is padded with zero
 * bits. A block of an n-bit grid takes 8 n bytes: one plane for each power of two in n, highest first
 * (n = 7: planes of 4, 2 and 1 bits; n = 8: one plane of 8). The planes split a code's n bits from the
 * top: the first plane holds its highest bits. A plane of w bits takes 8 w bytes; its byte i holds the
 * fields of weights i, i + 8 w, i + 16 w, ... of the block, the first in the lowest bits.
 * The n bits are the code in two's complement; binary stores 0 for -1 and 1 for +1; ternary is the
 * 2-bit grid without -2. Rows follow each other without gap, sterna_row_bytes(grid, cols) apart.
 * Padding is zero and stays zero; for binary it is not a weight and never enters a sum.
 */
typedef struct sterna_packed {
    uint8_t *codes;
    float *scales;
    int64_t rows, cols;
    int32_t grid;
    int32_t scaling;
    int64_t group; /* columns that share a scale, when PER_GROUP; otherwise 0 */
} sterna_packed;

#define STERNA_BLOCK 64

/* Largest K of an int8 product: |sum| <= 255 * 127 * K must stay below 2^31 in the biased form that
 * the fast tiers accumulate (code + 2^(n-1), unsigned, times activation). */
#define STERNA_MAX_COLS 65536

/* Bytes of a packed row, or a negative status for a bad grid or cols. */
STERNA_API int64_t sterna_row_bytes(int32_t grid, int64_t cols);

/* Optimizer state of one tensor: moment(r, c) at data[r * cols + c], in F32, BF16 or I8.
 * I8 is block-wise: 64 columns of a row share a scale, scales (rows, ceil(cols / 64)).
 * A signed moment is code * scale, scale = absmax / 127. A square (AdamW's v) is kept as its root:
 * sqrt(v) = code * scale, code 0...255 unsigned, scale = max / 255, and code at least 1 while max > 0.
 * A block whose largest is below 2^-100 becomes zero. BF16 and I8 are written by stochastic rounding. */
typedef struct sterna_moment {
    void *data;
    float *scales; /* I8 only, otherwise null */
    int64_t rows, cols;
    int32_t type;
    int32_t reserved;
} sterna_moment;

/* ---------------------------------------------------------------- random numbers (EXACT) */

/* Philox 4x32-10 (Salmon et al., SC 2011): blocks of four words for counters counter, counter + 1, ...
 * (128-bit increment), out[4 * i + w]. */
STERNA_API int32_t sterna_philox(int32_t tier, const uint32_t *counter /* 4 */, const uint32_t *key /* 2 */,
                                 uint32_t *out, int64_t blocks);

/* The key of a tensor's random bits in a step: the first two words of Philox with counter
 * (tensor, low step, high step, 0x53544552) and key seed; word 0 is the low half. */
STERNA_API uint64_t sterna_key(uint64_t seed, uint32_t tensor, uint64_t step);

/*
 * Which bits an element gets. Element (r, c) of a tensor with K columns lies in block
 * b = r * ceil(K / 64) + c / 64 at place j = c % 64, and gets word j / 16 of the Philox output for
 * key and counter (low32(b * 16 + j % 16), high32(...), stream, 0). Streams keep uses apart:
 */
#define STERNA_STREAM_WEIGHT 0
#define STERNA_STREAM_MOMENT 1
#define STERNA_STREAM_NORMAL 3
#define STERNA_STREAM_GRADIENT 4
/* u = (word >> 8) * 2^-24, uniform in [0, 1). */

/* Normal numbers, mean 0: x(r, c) for rows row0...row1-1 of a tensor with x->cols columns, where x's
 * first row is row0; Box-Muller on the words of elements (r, c) and (r, c ^ 16) of STREAM_NORMAL, in
 * our own log, sin and cos, so that every machine makes the same bytes. */
STERNA_API int32_t sterna_normal(int32_t tier, uint64_t key, float deviation, const sterna_matrix *x,
                                 int64_t row0, int64_t row1);

/* ---------------------------------------------------------------- packed weights (EXACT) */

/* Statistics of rows row0...row1-1 of x (x's first row is row 0), by runs of `group` columns (group 0:
 * the whole row): stats[(r * groups + g) * 4 + ...] = sum |x|, max |x|, sum x, sum x^2 in float64,
 * summed in 16 lanes by column, then as a fixed tree. */
STERNA_API int32_t sterna_statistics(int32_t tier, const sterna_matrix *x, int64_t group, double *stats,
                                     int64_t row0, int64_t row1);

/* Rows row0...row1-1 of w become the codes nearest to x / scale (ties to even, clipped to the grid;
 * binary: sign, 0 counts as +1). x's first row is row0. The quotient is x * (1 / scale) in f32. Scales are
 * positive with a finite inverse, or BAD_VALUE; a NaN or infinity in x gives NONFINITE and changes nothing. */
STERNA_API int32_t sterna_encode(int32_t tier, const sterna_matrix *x, const sterna_packed *w,
                                 int64_t row0, int64_t row1);

/* x = code * scale for rows row0...row1-1 of w; x's first row is row0. */
STERNA_API int32_t sterna_decode(int32_t tier, const sterna_packed *w, const sterna_matrix *x,
                                 int64_t row0, int64_t row1);

/* counts[code - Qn] += 1 for every weight of rows row0...row1-1; 256 counters. BAD_VALUE for a ternary -2. */
STERNA_API int32_t sterna_histogram(int32_t tier, const sterna_packed *w, int64_t *counts, int64_t row0,
                                    int64_t row1);

/* Ternary at rest: ceil(cols / 5) bytes a row, byte = sum of (code + 1) * 3^i over 5 weights, the first
 * in the lowest place; missing ones count as 0 + 1. Unpack refuses a byte above 242, or one in which missing ones count
 * as anything else (BAD_VALUE). */
STERNA_API int32_t sterna_trits_pack(const sterna_packed *w, uint8_t *trits, int64_t row0, int64_t row1);
STERNA_API int32_t sterna_trits_unpack(const uint8_t *trits, const sterna_packed *w, int64_t row0,
                                       int64_t row1);

/* ---------------------------------------------------------------- activations (EXACT) */

/* Per-token absmax int8, as BitNet b1.58 (Ma et al., arXiv 2402.17764) has it:
 * a = max(max|x|, 1e-5), code = clip(round(127 x / a)), scale = a / 127.
 * Computed as x * (127 / a) in f32, rounded to nearest even, clipped to -127...127.
 * A NaN or infinity in a row gives NONFINITE; rows of the slice may have been written by then. */
STERNA_API int32_t sterna_quantize(int32_t tier, const sterna_matrix *x, const sterna_quantized *q,
                                   int64_t row0, int64_t row1);

/* RMSNorm (Zhang and Sennrich 2019): y = x / sqrt(mean(x^2) + epsilon) * gain (gain: 1 row); inv_rms (rows) is kept
 * for the backward.
 * epsilon is at least 2^-126. Sums run in 16 lanes by column, then as a fixed tree.
 * _quantize is y in int8, which x * gain already is in proportion to: a = max(inv_rms * max|x * gain|, 1e-5), code =
 * x * gain * (127 / a * inv_rms) rounded to nearest even, scale = a / 127; all 0 where the squares overflow. A gain
 * beyond 1e18, or not finite, is NONFINITE, before anything is written; a NaN or infinity in x as above. */
STERNA_API int32_t sterna_rmsnorm(int32_t tier, const sterna_matrix *x, const sterna_matrix *gain,
                                  float epsilon, const sterna_matrix *y, float *inv_rms, int64_t row0,
                                  int64_t row1);
STERNA_API int32_t sterna_rmsnorm_quantize(int32_t tier, const sterna_matrix *x, const sterna_matrix *gain,
                                           float epsilon, const sterna_quantized *q, float *inv_rms,
                                           int64_t row0, int64_t row1);

/* dx = inv_rms * (g - xhat * mean(g * xhat)), g = dy * gain, xhat = x * inv_rms, which is finite; adds to dx when
 * accumulate is 1. dx may be dy (in place) when accumulate is 0. dgain (cols) = sum over the rows of the slice, in order,
 * of dy * xhat: each slice has a dgain of its own. */
STERNA_API int32_t sterna_rmsnorm_backward(int32_t tier, const sterna_matrix *x, const sterna_matrix *gain,
                                           const float *inv_rms, const sterna_matrix *dy,
                                           const sterna_matrix *dx, int32_t accumulate, float *dgain,
                                           int64_t row0, int64_t row1);

/* Rotary positions (Su et al. 2021) in place, halves as pairs (i, i + head_dim / 2), for every head of head_dim columns.
 * table (positions, head_dim): cosines then sines. The position of row r is first + r % length.
 * direction 1 turns forward, -1 back (the gradient). */
STERNA_API int32_t sterna_rope(int32_t tier, const sterna_matrix *x, int64_t head_dim,
                               const sterna_matrix *table, int64_t length, int64_t first,
                               int32_t direction, int64_t row0, int64_t row1);

/* SwiGLU (Shazeer 2020): y = silu(gate) * up, silu(a) = a / (1 + exp(-a)) with our own exp. */
STERNA_API int32_t sterna_swiglu(int32_t tier, const sterna_matrix *gate, const sterna_matrix *up,
                                 const sterna_matrix *y, int64_t row0, int64_t row1);
/* dgate and dup from dy; dgate may be gate and dup may be up (in place). */
STERNA_API int32_t sterna_swiglu_backward(int32_t tier, const sterna_matrix *gate, const sterna_matrix *up,
                                          const sterna_matrix *dy, const sterna_matrix *dgate,
                                          const sterna_matrix *dup, int64_t row0, int64_t row1);

/* y += x; and y = x with conversion of the type. */
STERNA_API int32_t sterna_add(int32_t tier, const sterna_matrix *x, const sterna_matrix *y, int64_t row0,
                              int64_t row1);
STERNA_API int32_t sterna_copy(int32_t tier, const sterna_matrix *x, const sterna_matrix *y, int64_t row0,
                               int64_t row1);

/* Keys or values x (tokens, heads * head_dim) go behind the `first` tokens that y (heads * capacity, head_dim), where
 * those of a head lie together, holds of every head: row h * capacity + first + r of y = columns h * head_dim... of row
 * r of x, converted as sterna_copy does, or quantized as sterna_quantize does, a scale for each head of a token.
 * With by_column 1, as attention wants the keys of a cache, every STERNA_KEY_BLOCK rows lie by column: column c of row
 * r stands where y's data has element r / BLOCK * BLOCK * stride + c * BLOCK + r % BLOCK; scales stay where they are.
 * BAD_RANGE where the capacity, y's rows divided by the heads, is too small; BAD_SHAPE where it is, by column, no
 * multiple of the block or a head is wider than 256. NONFINITE leaves y's new rows undefined. */
#define STERNA_KEY_BLOCK 64
STERNA_API int32_t sterna_append(int32_t tier, const sterna_matrix *x, const sterna_matrix *y, int64_t first,
                                 int32_t by_column);
STERNA_API int32_t sterna_append_quantized(int32_t tier, const sterna_matrix *x, const sterna_quantized *q,
                                           int64_t first, int32_t by_column);

/* y(r) = table(ids[r]) for rows row0...row1-1. BAD_VALUE for an id outside the table. */
STERNA_API int32_t sterna_gather(int32_t tier, const sterna_matrix *table, const int32_t *ids,
                                 const sterna_matrix *y, int64_t row0, int64_t row1);
/* dtable(ids[r] - id0) += dy(r) for all rows r of dy, in order, whose id lies in id0...id0 + dtable->rows - 1.
 * A slice is a range of ids. dtable is F32. */
STERNA_API int32_t sterna_scatter_add(int32_t tier, const sterna_matrix *dy, const int32_t *ids,
                                      int64_t id0, const sterna_matrix *dtable);

/* Softmax cross-entropy over the vocabulary in chunks. logits (T, chunk) holds columns
 * vocab0...vocab0 + chunk - 1. The first pass folds a chunk into max, sum (of exp(logit - max)) and target
 * (the target's logit); start with max = -infinity, sum = 0. A target of -1 is ignored: the row keeps its
 * max, sum and target. A target below -1 is BAD_VALUE. The loss of token t is max + log(sum) - target.
 * A chunk cannot tell a target beyond the vocabulary from one of another chunk: the caller checks for it, or the
 * row's target stays what it was, and where that is 0 its loss is the log of the sum alone. */
STERNA_API int32_t sterna_cross_entropy(int32_t tier, const sterna_matrix *logits, int64_t vocab0,
                                        const int32_t *targets, float *max, float *sum, float *target,
                                        int64_t row0, int64_t row1);
/* The second pass: gradient (T, chunk) = (softmax - onehot) * factor; 0 where the target is -1. It may be the logits
 * themselves, or bf16 rows that begin where the rows of f32 logits do; otherwise it lies apart. */
STERNA_API int32_t sterna_cross_entropy_gradient(int32_t tier, const sterna_matrix *logits, int64_t vocab0,
                                                 const int32_t *targets, const float *max,
                                                 const float *sum, float factor,
                                                 const sterna_matrix *gradient, int64_t row0, int64_t row1);

/* ---------------------------------------------------------------- linear layers */

/* EXACT. y(t, n) = sum_k q(t, k) code(n, k), in int32, times q.scales[t] * scale, for output rows row0...row1-1 of w and
 * all tokens. Per group: group sums are scaled and added in f32 in order of the group, then times q.scales[t]:
 * y = (sum_g (float)sum_g * scale_g) * q.scales[t]. Where residual is not null, y = residual + that, in f32; it is shaped
 * as y, F32 or BF16, and may be y (in place). */
STERNA_API int32_t sterna_linear(int32_t tier, const sterna_quantized *q, const sterna_packed *w,
                                 const sterna_matrix *y, const sterna_matrix *residual, int64_t row0,
                                 int64_t row1, void *scratch);

/* Flags of the products below. */
#define STERNA_ACCUMULATE 1  /* add to the result */
#define STERNA_TRANSPOSE_A 2 /* a is stored (K, M) */
#define STERNA_TRANSPOSE_B 4 /* b is stored (N, K) */
/* Operands may be rounded to bf16 where the tier has a bf16 matrix unit. Here as in all else that such units compute,
 * numbers below 2^-126 count as 0, operands and sums alike, and f32 beyond the largest bf16 become infinite. */
#define STERNA_ALLOW_BF16 8
/* Operands may be rounded to 16-bit fixed point where the tier multiplies that faster than f32: what a result sums, in
 * runs, to the nearest step, of so many up to the run's largest magnitude. Gradients: dy times the scale it meets there,
 * runs of at most 512, 32,767 steps. gemm: a row of op(a), 8,191 steps, and a column of op(b), 2,047 steps, runs of 128;
 * not where sterna_gemm says that operands are not rounded. */
#define STERNA_ALLOW_INT16 16

/* FLOAT. dx(t, k) = sum_n dy(t, n) code(n, k) scale for tokens row0...row1-1. Flags: ACCUMULATE, ALLOW_INT16.
 * Tiers with a bf16 matrix unit round dy * scale to bf16; sums are f32. */
STERNA_API int32_t sterna_input_gradient(int32_t tier, const sterna_matrix *dy, const sterna_packed *w,
                                         const sterna_matrix *dx, int32_t flags, int64_t row0,
                                         int64_t row1, void *scratch);

/* FLOAT. dw(n - row0, k) = sum_t dy(t, n) q(t, k) q.scales[t] for output rows row0...row1-1; dw is F32 and
 * its first row is row0. Flags as above. */
STERNA_API int32_t sterna_weight_gradient(int32_t tier, const sterna_matrix *dy, const sterna_quantized *q,
                                          const sterna_matrix *dw, int32_t flags, int64_t row0,
                                          int64_t row1, void *scratch);

/* FLOAT. c = op(a) op(b) for rows row0...row1-1 of c (M, N), sums of K numbers. a, b, c F32 or BF16. Flags: all. Where c
 * has at most 8 rows, b is transposed, a not, and K is at most MAX_COLS, operands are not rounded, and from AVX2 up all
 * tiers give the same bytes. */
STERNA_API int32_t sterna_gemm(int32_t tier, const sterna_matrix *a, const sterna_matrix *b,
                               const sterna_matrix *c, int32_t flags, int64_t row0, int64_t row1,
                               void *scratch);

/* ---------------------------------------------------------------- int8 gradients (EXACT) */

/* Tokens that share a scale of an output feature's gradient. */
#define STERNA_GRADIENT_GROUP 256

/* The gradient of a linear layer's output, transposed: what the weight gradient sums for output feature n and
 * token t, dy(t, n) * x.scales[t], is about codes[n * stride + t] * scales[n * ceil(cols / 256) + t / 256];
 * codes in -127...127. */
typedef struct sterna_gradient {
    int8_t *codes;
    float *scales;      /* (rows, ceil(cols / 256)) */
    int64_t rows, cols; /* output features N, tokens T */
    int64_t stride;     /* bytes from one row to the next, at least cols */
} sterna_gradient;

/*
 * Rounds dy to int8 twice, without bias: for the input gradient by token, by_token(t, n) ~ dy(t, n) *
 * row_scales[n], with a scale a token; for the weight gradient by feature, by_feature(n, t) ~ dy(t, n) *
 * x_scales[t], with a scale for every group of tokens. Row r of dy and of by_token is token first + r of
 * by_feature and of x_scales (T), so that dy may be a range of tokens. Either output may be null: then
 * row_scales or x_scales is not read. row_scales (N) are the scales of weights that have one a row; null: 1.
 *
 * v = dy(t, n) * row_scales[n] or dy(t, n) * x_scales[t], in f32; a = max |v| over what shares a scale;
 * scale = a / 127; z = v * (127 / a * 65536), to the nearest integer, ties to even; code = floor((z + u) /
 * 65536): its mean is z / 65536. An a below 2^-100 gives scale 0 and codes 0. u is a half of the word of
 * element (first + r, n) of STREAM_GRADIENT in a tensor with N columns: the upper for by_token, the lower
 * for by_feature. A slice takes whole groups: first and row0 are multiples of 256; so is row1, unless it is
 * dy's last row. There by_feature must end too, or a group does. A v that is not finite gives NONFINITE, and
 * nothing is written.
 */
STERNA_API int32_t sterna_quantize_gradient(int32_t tier, const sterna_matrix *dy, const float *row_scales,
                                            const float *x_scales, const sterna_quantized *by_token,
                                            const sterna_gradient *by_feature, int64_t first, uint64_t key,
                                            int64_t row0, int64_t row1);

/* dx(t, k) = (sum_n q(t, n) code(n, k), in int32, times scale) times q.scales[t] for tokens row0...row1-1; adds
 * when accumulate is 1. scale is w's, PER_TENSOR; PER_ROW it is 1, because q already holds the rows' scales;
 * PER_GROUP is BAD_TYPE. */
STERNA_API int32_t sterna_input_gradient_int8(int32_t tier, const sterna_quantized *q, const sterna_packed *w,
                                              const sterna_matrix *dx, int32_t accumulate, int64_t row0,
                                              int64_t row1, void *scratch);

/* dw(n - row0, k) = the sum over groups, in order, of (float)sum * g.scales[n, group], where sum is that of
 * g(n, t) q(t, k) over the group's tokens, in int32; for output rows row0...row1-1. dw is F32 and its first row
 * is row0. With accumulate 1 the sum begins with dw, so that groups may be added in several calls. Scales of x are
 * not read: g holds them. */
STERNA_API int32_t sterna_weight_gradient_int8(int32_t tier, const sterna_gradient *g, const sterna_quantized *x,
                                               const sterna_matrix *dw, int32_t accumulate, int64_t row0,
                                               int64_t row1, void *scratch);

/* ---------------------------------------------------------------- attention (FLOAT) */

/*
 * Causal attention in blocks with grouped-query heads, without a (length, length) matrix in memory (Dao et al. 2022).
 * q, out, dq, dout (sequences * length, heads * head_dim); k, v, dk, dv (sequences * (past + length),
 * kv_heads * head_dim); lse (heads, sequences * length): log of the softmax's denominator, kept for
 * the backward. Query i of a sequence sees keys 0...past + i. A unit is (sequence, kv head): unit =
 * sequence * kv_heads + kv_head. Softmax scale 1 / sqrt(head_dim). head_dim is a multiple of 2, at most
 * 256. The backward takes past = 0 only. Tiers with a bf16 matrix unit round the operands of the products
 * to bf16; sums and the softmax are f32. A number that is not finite shows in every query that sees it, but for a key
 * whose score is -infinity, which gets no weight; one of v may show in the queries just before too, which are computed
 * with it. The forward reads quantized keys or values, shaped like k and v, instead of those, where they are not null;
 * the backward takes none.
 *
 * With a capacity above 0, forward only, the keys and values of a head lie together, with room for so many, at least
 * past + length and a multiple of STERNA_KEY_BLOCK: k and v are (sequences * kv_heads * capacity, head_dim), and unit u
 * has rows u * capacity and on; those of k lie by column, as sterna_append writes them.
 *
 * On a tier, a query's result is the same bytes whatever other queries the call has, and wherever its keys and values
 * lie, for as long as their numbers are the same; and the same on all tiers from AVX2 up without a bf16 matrix unit.
 */
typedef struct sterna_attention {
    int64_t sequences, length, past, heads, kv_heads, head_dim, capacity;
    const sterna_matrix *q, *k, *v, *out;
    float *lse;
    const sterna_matrix *dout, *dq, *dk, *dv; /* backward only */
    const sterna_quantized *quantized_k, *quantized_v; /* forward only; may be null */
} sterna_attention;

STERNA_API int32_t sterna_attention_forward(int32_t tier, const sterna_attention *a, int64_t unit0,
                                            int64_t unit1, void *scratch);
STERNA_API int32_t sterna_attention_backward(int32_t tier, const sterna_attention *a, int64_t unit0,
                                             int64_t unit1, void *scratch);

/* ---------------------------------------------------------------- updates (EXACT) */

#define STERNA_STOCHASTIC 0
#define STERNA_NEAREST 1

/*
 * The stochastic-rounding update of rows row0...row1-1 of w (Zhao et al., arXiv 2412.04787). In grid steps
 * z = code * keep - delta * (1 / scale), clipped to [Qn, Qp]; the new code is floor(z) + [u < z - floor(z)]
 * (binary: on the grid of step 2 between -1 and 1); NEAREST takes the nearest code, ties to even (binary:
 * sign, 0 counts as +1). keep is 1 - lr * weight_decay, in 0...1. delta's first row is row0. *flips += codes
 * that changed. Scales are positive with a finite inverse, or BAD_VALUE. A non-finite delta gives NONFINITE
 * and changes nothing.
 */
STERNA_API int32_t sterna_update_packed(int32_t tier, const sterna_packed *w, const sterna_matrix *delta,
                                        float keep, uint64_t key, int32_t rounding, int64_t *flips,
                                        int64_t row0, int64_t row1);

/* w = w * keep - delta for float weights; BF16 is written by SR (NEAREST: nearest even). delta's first row is
 * row0 of w. A non-finite delta gives NONFINITE and changes nothing. */
STERNA_API int32_t sterna_update_float(int32_t tier, const sterna_matrix *w, const sterna_matrix *delta,
                                       float keep, uint64_t key, int32_t rounding, int64_t row0,
                                       int64_t row1);

/*
 * Optimizers turn a gradient tile into a delta tile in place: g (row1 - row0, cols), F32, its first row
 * is row0 of the moments. squares[i] (row1 - row0) receives the sum of g^2 of each row in float64 (before
 * `factor`), for norms; may be null. `factor` scales g first (clipping, accumulation). A scaled g whose square
 * is not finite in f32 (NaN, infinite, beyond 1.8e19) gives NONFINITE: squares are written, nothing else.
 * key seeds SR of the state, from sterna_key. beta and momentum lie in 0...1, epsilon is at least 2^-126.
 *
 * A state in BF16 or I8 is rounded stochastically by u, a half of an element's word of STREAM_MOMENT: the upper for a
 * first moment (or momentum), the lower for a second. BF16: as update_float. I8: x is a first moment, or the root of a
 * second; a = max |x| over a block; scale = a / top, top 127 or 255; z = x * (65536 * (top / a)) to the nearest integer,
 * ties to even; code = floor((z + u) / 65536): its mean is z / 65536. A second moment's code is at least 1 unless its
 * block is zero; an a below 2^-100 gives scale 0 and codes 0.
 */

/* m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; delta = rate * m * bias1 / (sqrt(v) * sqrt(bias2) + epsilon),
 * with bias1 = 1 / (1 - b1^t), bias2 = 1 / (1 - b2^t) (Loshchilov and Hutter; decay is `keep` of the update). */
typedef struct sterna_adamw_step {
    float rate, beta1, beta2, epsilon, bias1, bias2, factor;
    int32_t reserved;
    uint64_t key;
} sterna_adamw_step;
STERNA_API int32_t sterna_adamw(int32_t tier, const sterna_adamw_step *step, const sterna_matrix *g,
                                const sterna_moment *m, const sterna_moment *v, double *squares,
                                int64_t row0, int64_t row1);

/* sterna_adamw, then sterna_update_packed with its delta and step's key, in one pass over the state: the same
 * squares, moments, codes and flips. g is used up: what it holds afterwards has no meaning. On NONFINITE
 * codes and flips are unchanged; moments too, unless a finite gradient met moments or a step that make its
 * delta infinite or a NaN. m and v have the shape of w. */
STERNA_API int32_t sterna_adamw_packed(int32_t tier, const sterna_adamw_step *step, const sterna_matrix *g,
                                       const sterna_moment *m, const sterna_moment *v, double *squares,
                                       const sterna_packed *w, float keep, int32_t rounding, int64_t *flips,
                                       int64_t row0, int64_t row1);

/* m = momentum m + g; delta = rate * m (m null: delta = rate * g). */
typedef struct sterna_sgd_step {
    float rate, momentum, factor;
    int32_t reserved;
    uint64_t key;
} sterna_sgd_step;
STERNA_API int32_t sterna_sgd(int32_t tier, const sterna_sgd_step *step, const sterna_matrix *g,
                              const sterna_moment *m, double *squares, int64_t row0, int64_t row1);

/*
 * Adafactor (Shazeer and Stern 2018). The caller folds row and column sums of g^2 into the factored
 * second moment and hands over, for the step, u(r, c) = g * (factor * row_factor[r]) * col_factor[c], with r
 * the row of the tensor; all three factors are finite.
 * sterna_column_squares: sums[c] = sum over rows, in order, of g^2, for columns col0...col1-1 (float64).
 * sterna_row_squares: squares[r - row0] of rows row0...row1-1 of g. sterna_adafactor_squares: sum of u^2 of
 * each row, for update clipping. sterna_adafactor: m = beta1 m + (1 - beta1) u; delta = rate * m (m null: rate * u).
 */
typedef struct sterna_adafactor_step {
    float rate, beta1, factor;
    int32_t reserved;
    uint64_t key;
} sterna_adafactor_step;
STERNA_API int32_t sterna_row_squares(int32_t tier, const sterna_matrix *g, double *squares, int64_t row0,
                                      int64_t row1);
STERNA_API int32_t sterna_column_squares(int32_t tier, const sterna_matrix *g, double *sums, int64_t col0,
                                         int64_t col1);
STERNA_API int32_t sterna_adafactor_squares(int32_t tier, const sterna_adafactor_step *step,
                                            const sterna_matrix *g, const float *row_factor,
                                            const float *col_factor, double *squares, int64_t row0,
                                            int64_t row1);
STERNA_API int32_t sterna_adafactor(int32_t tier, const sterna_adafactor_step *step, const sterna_matrix *g,
                                    const float *row_factor, const float *col_factor,
                                    const sterna_moment *m, int64_t row0, int64_t row1);

/* ---------------------------------------------------------------- ceilings of the machine */

/* What one thread reaches with nothing in its way: the yardstick of the benches. Runs `rounds` rounds
 * and writes what was done to *work: operations (a multiply-add counts as two) or bytes moved. buffer is aligned to 64 and
 * bytes a positive multiple of 64, for every probe. */
#define STERNA_PROBE_INT8 0   /* the tier's widest int8 multiply-add, operands in registers */
#define STERNA_PROBE_INT16 1  /* int16 multiply-add in vectors; BAD_TYPE where the tier has none */
#define STERNA_PROBE_BF16 2   /* bf16 multiply-add, likewise */
#define STERNA_PROBE_F32 3    /* f32 fused multiply-add */
#define STERNA_PROBE_READ 4   /* reads buffer (bytes) once a round */
#define STERNA_PROBE_UPDATE 5 /* reads and writes back buffer (bytes) once a round: 2 * bytes moved */
STERNA_API int32_t sterna_probe(int32_t tier, int32_t probe, void *buffer, int64_t bytes, int64_t rounds,
                                double *work);

#ifdef __cplusplus
}
#endif
#endif
