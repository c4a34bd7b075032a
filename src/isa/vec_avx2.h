/* SPDX-License-Identifier: BSD-3-Clause
   Vector vocabulary: AVX2 + FMA, 4 doubles or 8 floats. */
#define SS_W 4
#define SS_WF 8
typedef __m256d vd;
typedef __m256i vi;
typedef __m256d vm;
typedef __m256 vf;
typedef const uint64_t *vtab16;

static inline vd v_set1(double a) { return _mm256_set1_pd(a); }
static inline vd v_load(const double *p) { return _mm256_loadu_pd(p); }
static inline void v_store(double *p, vd a) { _mm256_storeu_pd(p, a); }
static inline vd v_load_f32(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
static inline void v_store_f32(float *p, vd a) { _mm_storeu_ps(p, _mm256_cvtpd_ps(a)); }
static inline vd v_add(vd a, vd b) { return _mm256_add_pd(a, b); }
static inline vd v_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
static inline vd v_mul(vd a, vd b) { return _mm256_mul_pd(a, b); }
static inline vd v_div(vd a, vd b) { return _mm256_div_pd(a, b); }
static inline vd v_sqrt(vd a) { return _mm256_sqrt_pd(a); }
static inline vd v_fma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }
static inline vd v_fms(vd a, vd b, vd c) { return _mm256_fmsub_pd(a, b, c); }
static inline vd v_fnma(vd a, vd b, vd c) { return _mm256_fnmadd_pd(a, b, c); }
/* If either is NaN the second operand is returned, so v_max(bound, x) keeps a NaN in x. */
static inline vd v_max(vd a, vd b) { return _mm256_max_pd(a, b); }
static inline vd v_min(vd a, vd b) { return _mm256_min_pd(a, b); }
static inline vm v_lt(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
static inline vm v_eq(vd a, vd b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
static inline vd v_select(vm m, vd a, vd b) { return _mm256_blendv_pd(b, a, m); }
static inline int v_bits(vm m) { return _mm256_movemask_pd(m); }
static inline vi v_int(vd a) { return _mm256_castpd_si256(a); }
static inline vd v_dbl(vi a) { return _mm256_castsi256_pd(a); }
static inline vi vi_set1(int64_t a) { return _mm256_set1_epi64x(a); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi64(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm256_sub_epi64(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
#define vi_sll(a, n) _mm256_slli_epi64(a, n)
#define vi_srl(a, n) _mm256_srli_epi64(a, n)
static inline vtab16 v_tab16(const uint64_t *t) { return t; }
static inline vi v_tab16_at(vtab16 t, vi i)
{
    return _mm256_i64gather_epi64((const long long *)t, _mm256_and_si256(i, _mm256_set1_epi64x(15)), 8);
}

static inline vf vf_set1(float a) { return _mm256_set1_ps(a); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
/* A square of SS_W x SS_W values, transposed; the steps from row to row are in bytes. */
static inline __m256d v_two_halves(const char *low, const char *high)
{
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd((const double *)low)),
                                _mm_loadu_pd((const double *)high), 1);
}
static inline void v_transpose(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    for (int half = 0; half < 2; half++, from += 16, to += 2 * to_step) {
        const __m256d a = v_two_halves(from, from + 2 * step), b = v_two_halves(from + step, from + 3 * step);
        _mm256_storeu_pd((double *)to, _mm256_unpacklo_pd(a, b));
        _mm256_storeu_pd((double *)(to + to_step), _mm256_unpackhi_pd(a, b));
    }
}
static inline void v_transpose_f32(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    __m128 a = _mm_loadu_ps((const float *)from), b = _mm_loadu_ps((const float *)(from + step));
    __m128 c = _mm_loadu_ps((const float *)(from + 2 * step)), d = _mm_loadu_ps((const float *)(from + 3 * step));
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps((float *)to, a);
    _mm_storeu_ps((float *)(to + to_step), b);
    _mm_storeu_ps((float *)(to + 2 * to_step), c);
    _mm_storeu_ps((float *)(to + 3 * to_step), d);
}
#define SS_HAVE_STREAM 1
static inline void v_stream(double *p, vd a) { _mm256_stream_pd(p, a); }
static inline void v_stream_f32(float *p, vd a, vd b)
{
    _mm256_stream_ps(p, _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(a)), _mm256_cvtpd_ps(b), 1));
}
static inline void v_fence(void) { _mm_sfence(); }
/* A hint: the line at p will be read; p need not be valid. */
static inline void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
