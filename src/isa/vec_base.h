/* SPDX-License-Identifier: BSD-3-Clause
   Vector vocabulary: plain C, one double. fma() of the C library is exact on every machine; where the processor has no
   such instruction this is slow, and still right. */
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
static inline vd v_add(vd a, vd b) { return a + b; }
static inline vd v_sub(vd a, vd b) { return a - b; }
static inline vd v_mul(vd a, vd b) { return a * b; }
static inline vd v_div(vd a, vd b) { return a / b; }
static inline vd v_sqrt(vd a) { return sqrt(a); }
static inline vd v_fma(vd a, vd b, vd c) { return fma(a, b, c); }
static inline vd v_fms(vd a, vd b, vd c) { return fma(a, b, -c); }
static inline vd v_fnma(vd a, vd b, vd c) { return fma(-a, b, c); }
/* If either is NaN the second operand is returned, so v_max(bound, x) keeps a NaN in x. */
static inline vd v_max(vd a, vd b) { return a > b ? a : b; }
static inline vd v_min(vd a, vd b) { return a < b ? a : b; }
static inline vm v_lt(vd a, vd b) { return a < b; }
static inline vm v_eq(vd a, vd b) { return a == b; }
static inline vd v_select(vm m, vd a, vd b) { return m ? a : b; }
static inline int v_bits(vm m) { return m; }
static inline vi v_int(vd a) { vi b; memcpy(&b, &a, 8); return b; }
static inline vd v_dbl(vi a) { vd b; memcpy(&b, &a, 8); return b; }
static inline vi vi_set1(int64_t a) { return a; }
static inline vi vi_add(vi a, vi b) { return (vi)((uint64_t)a + (uint64_t)b); }
static inline vi vi_sub(vi a, vi b) { return (vi)((uint64_t)a - (uint64_t)b); }
static inline vi vi_and(vi a, vi b) { return a & b; }
#define vi_sll(a, n) ((vi)((uint64_t)(a) << (n)))
#define vi_srl(a, n) ((vi)((uint64_t)(a) >> (n)))
static inline vtab16 v_tab16(const uint64_t *t) { return t; }
static inline vi v_tab16_at(vtab16 t, vi i) { return (vi)t[i & 15]; }

static inline vf vf_set1(float a) { return a; }
static inline vf vf_load(const float *p) { return *p; }
static inline void vf_store(float *p, vf a) { *p = a; }
static inline vf vf_max(vf a, vf b) { return a > b ? a : b; }
static inline vf vf_min(vf a, vf b) { return a < b ? a : b; }
/* A square of SS_W x SS_W values, transposed; the steps from row to row are in bytes. */
static inline void v_transpose(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    (void)step, (void)to_step;
    memcpy(to, from, sizeof(double));
}
static inline void v_transpose_f32(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    (void)step, (void)to_step;
    memcpy(to, from, sizeof(float));
}
#define SS_HAVE_STREAM 0
/* A hint: the line at p will be read; p need not be valid. */
static inline void v_prefetch(const void *p) { (void)p; }
