/* SPDX-License-Identifier: BSD-3-Clause
   Vector vocabulary: one double in a CUDA thread. The names with _rn are never contracted to a fused operation,
   whatever the compiler's options are. */
#define SS_W 1
#define SS_WF 1
typedef double vd;
typedef int64_t vi;
typedef int vm;
typedef float vf;
typedef const uint64_t *vtab16;

static inline vd v_set1(double a) { return a; }
static inline vd v_load(const double *p) { return *p; }
static inline void v_store(double *p, vd a) { *p = a; }
static inline vd v_load_f32(const float *p) { return (double)*p; }
static inline void v_store_f32(float *p, vd a) { *p = (float)a; }
static inline vd v_add(vd a, vd b) { return __dadd_rn(a, b); }
static inline vd v_sub(vd a, vd b) { return __dsub_rn(a, b); }
static inline vd v_mul(vd a, vd b) { return __dmul_rn(a, b); }
static inline vd v_div(vd a, vd b) { return __ddiv_rn(a, b); }
static inline vd v_fma(vd a, vd b, vd c) { return __fma_rn(a, b, c); }
static inline vd v_fms(vd a, vd b, vd c) { return __fma_rn(a, b, -c); }
static inline vd v_fnma(vd a, vd b, vd c) { return __fma_rn(-a, b, c); }
/* If either is NaN the second operand is returned, so v_max(bound, x) keeps a NaN in x. */
static inline vd v_max(vd a, vd b) { return a > b ? a : b; }
static inline vd v_min(vd a, vd b) { return a < b ? a : b; }
static inline vm v_lt(vd a, vd b) { return a < b; }
static inline vm v_eq(vd a, vd b) { return a == b; }
static inline vd v_select(vm m, vd a, vd b) { return m ? a : b; }
static inline int v_bits(vm m) { return m; }
static inline vi v_int(vd a) { return __double_as_longlong(a); }
static inline vd v_dbl(vi a) { return __longlong_as_double(a); }
static inline vi vi_set1(int64_t a) { return a; }
static inline vi vi_add(vi a, vi b) { return (vi)((uint64_t)a + (uint64_t)b); }
static inline vi vi_sub(vi a, vi b) { return (vi)((uint64_t)a - (uint64_t)b); }
static inline vi vi_and(vi a, vi b) { return a & b; }
#define vi_sll(a, n) ((vi)((uint64_t)(a) << (n)))
#define vi_srl(a, n) ((vi)((uint64_t)(a) >> (n)))
/* The 16 entries fill one cache line, so that the lookups of a warp meet in it. */
static inline vtab16 v_tab16(const uint64_t *t) { return t; }
static inline vi v_tab16_at(vtab16 t, vi i) { return (vi)t[(int)i & 15]; }
/* ss_power of math/exp.h: what is added to an entry reaches its upper word only. */
#define SS_HAVE_POWER 1
static inline vd ss_power(vtab16 table, vi n)
{
    const uint64_t entry = table[(int)n & 15];
    return v_dbl((vi)((uint64_t)((uint32_t)(entry >> 32) + ((uint32_t)n << 16)) << 32 | (uint32_t)entry));
}
#define SS_HAVE_STREAM 0

/* Threads add to one exact sum, in shared memory. */
#define SS_EXACT_ADD(digit, part) atomicAdd((unsigned long long *)&(digit), (unsigned long long)(part))
