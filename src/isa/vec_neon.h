/* SPDX-License-Identifier: BSD-3-Clause
   Vector vocabulary: NEON on AArch64, 2 doubles or 4 floats. */
#define SS_W 2
#define SS_WF 4
typedef float64x2_t vd;
typedef int64x2_t vi;
typedef uint64x2_t vm;
typedef float32x4_t vf;
typedef const uint64_t *vtab16;

static inline vd v_set1(double a) { return vdupq_n_f64(a); }
static inline vd v_load(const double *p) { return vld1q_f64(p); }
static inline void v_store(double *p, vd a) { vst1q_f64(p, a); }
static inline vd v_load_f32(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
static inline void v_store_f32(float *p, vd a) { vst1_f32(p, vcvt_f32_f64(a)); }
static inline vd v_add(vd a, vd b) { return vaddq_f64(a, b); }
static inline vd v_sub(vd a, vd b) { return vsubq_f64(a, b); }
static inline vd v_mul(vd a, vd b) { return vmulq_f64(a, b); }
static inline vd v_div(vd a, vd b) { return vdivq_f64(a, b); }
static inline vd v_sqrt(vd a) { return vsqrtq_f64(a); }
static inline vd v_fma(vd a, vd b, vd c) { return vfmaq_f64(c, a, b); }
static inline vd v_fms(vd a, vd b, vd c) { return vfmaq_f64(vnegq_f64(c), a, b); }
static inline vd v_fnma(vd a, vd b, vd c) { return vfmsq_f64(c, a, b); }
static inline vm v_lt(vd a, vd b) { return vcltq_f64(a, b); }
static inline vm v_eq(vd a, vd b) { return vceqq_f64(a, b); }
static inline vd v_select(vm m, vd a, vd b) { return vbslq_f64(m, a, b); }
/* The x86 rule: if either is NaN the second operand is returned. */
static inline vd v_max(vd a, vd b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
static inline vd v_min(vd a, vd b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
static inline int v_bits(vm m) { return (int)(vgetq_lane_u64(m, 0) & 1) | (int)(vgetq_lane_u64(m, 1) & 2); }
static inline vi v_int(vd a) { return vreinterpretq_s64_f64(a); }
static inline vd v_dbl(vi a) { return vreinterpretq_f64_s64(a); }
static inline vi vi_set1(int64_t a) { return vdupq_n_s64(a); }
static inline vi vi_add(vi a, vi b) { return vaddq_s64(a, b); }
static inline vi vi_sub(vi a, vi b) { return vsubq_s64(a, b); }
static inline vi vi_and(vi a, vi b) { return vandq_s64(a, b); }
#define vi_sll(a, n) vshlq_n_s64(a, n)
#define vi_srl(a, n) vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_s64(a), n))
static inline vtab16 v_tab16(const uint64_t *t) { return t; }
static inline vi v_tab16_at(vtab16 t, vi i)
{
    int64x2_t value = vdupq_n_s64((int64_t)t[vgetq_lane_s64(i, 0) & 15]);
    return vsetq_lane_s64((int64_t)t[vgetq_lane_s64(i, 1) & 15], value, 1);
}

static inline vf vf_set1(float a) { return vdupq_n_f32(a); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf a) { vst1q_f32(p, a); }
static inline vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
/* A square of SS_W x SS_W values, transposed; the steps from row to row are in bytes. */
static inline void v_transpose(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    const float64x2_t a = vld1q_f64((const double *)from), b = vld1q_f64((const double *)(from + step));
    vst1q_f64((double *)to, vtrn1q_f64(a, b));
    vst1q_f64((double *)(to + to_step), vtrn2q_f64(a, b));
}
static inline void v_transpose_f32(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    const float32x2_t a = vld1_f32((const float *)from), b = vld1_f32((const float *)(from + step));
    vst1_f32((float *)to, vtrn1_f32(a, b));
    vst1_f32((float *)(to + to_step), vtrn2_f32(a, b));
}
#define SS_HAVE_STREAM 0
/* A hint: the line at p will be read; p need not be valid. */
static inline void v_prefetch(const void *p) { __builtin_prefetch(p); }
