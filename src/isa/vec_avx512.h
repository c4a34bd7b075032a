/* SPDX-License-Identifier: BSD-3-Clause
   Vector vocabulary: AVX-512 F + DQ + VL, 8 doubles or 16 floats. */
#define SS_W 8
#define SS_WF 16
typedef __m512d vd;
typedef __m512i vi;
typedef __mmask8 vm;
typedef __m512 vf;
typedef struct { __m512i lo, hi; } vtab16;

static inline vd v_set1(double a) { return _mm512_set1_pd(a); }
static inline vd v_load(const double *p) { return _mm512_loadu_pd(p); }
static inline void v_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
static inline vd v_load_f32(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
static inline void v_store_f32(float *p, vd a) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(a)); }
static inline vd v_add(vd a, vd b) { return _mm512_add_pd(a, b); }
static inline vd v_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
static inline vd v_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
static inline vd v_div(vd a, vd b) { return _mm512_div_pd(a, b); }
static inline vd v_sqrt(vd a) { return _mm512_sqrt_pd(a); }
static inline vd v_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
static inline vd v_fms(vd a, vd b, vd c) { return _mm512_fmsub_pd(a, b, c); }
static inline vd v_fnma(vd a, vd b, vd c) { return _mm512_fnmadd_pd(a, b, c); }
/* If either is NaN the second operand is returned, so v_max(bound, x) keeps a NaN in x. */
static inline vd v_max(vd a, vd b) { return _mm512_max_pd(a, b); }
static inline vd v_min(vd a, vd b) { return _mm512_min_pd(a, b); }
static inline vm v_lt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
static inline vm v_eq(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
static inline vd v_select(vm m, vd a, vd b) { return _mm512_mask_blend_pd(m, b, a); }
static inline int v_bits(vm m) { return (int)m; }
static inline vi v_int(vd a) { return _mm512_castpd_si512(a); }
static inline vd v_dbl(vi a) { return _mm512_castsi512_pd(a); }
static inline vi vi_set1(int64_t a) { return _mm512_set1_epi64(a); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi64(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm512_sub_epi64(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
#define vi_sll(a, n) _mm512_slli_epi64(a, n)
#define vi_srl(a, n) _mm512_srli_epi64(a, n)
static inline vtab16 v_tab16(const uint64_t *t)
{
    vtab16 table = {_mm512_loadu_si512(t), _mm512_loadu_si512(t + 8)};
    return table;
}
static inline vi v_tab16_at(vtab16 t, vi i) { return _mm512_permutex2var_epi64(t.lo, i, t.hi); }

static inline vf vf_set1(float a) { return _mm512_set1_ps(a); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
/* A square of SS_W x SS_W values, transposed; the steps from row to row are in bytes. */
static inline __m512d v_two_halves(const char *low, const char *high)
{
    return _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd((const double *)low)),
                              _mm256_loadu_pd((const double *)high), 1);
}
static inline void v_transpose(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    for (int half = 0; half < 2; half++, from += 32, to += 4 * to_step) {
        const __m512d a = v_two_halves(from, from + 2 * step), b = v_two_halves(from + step, from + 3 * step);
        const __m512d c = v_two_halves(from + 4 * step, from + 6 * step);
        const __m512d d = v_two_halves(from + 5 * step, from + 7 * step);
        const __m512d even = _mm512_unpacklo_pd(a, b), even_below = _mm512_unpacklo_pd(c, d);
        const __m512d odd = _mm512_unpackhi_pd(a, b), odd_below = _mm512_unpackhi_pd(c, d);
        _mm512_storeu_pd((double *)to, _mm512_shuffle_f64x2(even, even_below, 0x88));
        _mm512_storeu_pd((double *)(to + to_step), _mm512_shuffle_f64x2(odd, odd_below, 0x88));
        _mm512_storeu_pd((double *)(to + 2 * to_step), _mm512_shuffle_f64x2(even, even_below, 0xdd));
        _mm512_storeu_pd((double *)(to + 3 * to_step), _mm512_shuffle_f64x2(odd, odd_below, 0xdd));
    }
}
static inline __m256 v_two_halves_f32(const char *low, const char *high)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)low)),
                                _mm_loadu_ps((const float *)high), 1);
}
static inline void v_transpose_f32(const char *from, ptrdiff_t step, char *to, ptrdiff_t to_step)
{
    for (int half = 0; half < 2; half++, from += 16, to += 4 * to_step) {
        const __m256 a = v_two_halves_f32(from, from + 4 * step), b = v_two_halves_f32(from + step, from + 5 * step);
        const __m256 c = v_two_halves_f32(from + 2 * step, from + 6 * step);
        const __m256 d = v_two_halves_f32(from + 3 * step, from + 7 * step);
        const __m256 ab = _mm256_unpacklo_ps(a, b), ab_next = _mm256_unpackhi_ps(a, b);
        const __m256 cd = _mm256_unpacklo_ps(c, d), cd_next = _mm256_unpackhi_ps(c, d);
        _mm256_storeu_ps((float *)to, _mm256_shuffle_ps(ab, cd, 0x44));
        _mm256_storeu_ps((float *)(to + to_step), _mm256_shuffle_ps(ab, cd, 0xee));
        _mm256_storeu_ps((float *)(to + 2 * to_step), _mm256_shuffle_ps(ab_next, cd_next, 0x44));
        _mm256_storeu_ps((float *)(to + 3 * to_step), _mm256_shuffle_ps(ab_next, cd_next, 0xee));
    }
}
/* Stores past the caches; p is aligned to the vector. */
#define SS_HAVE_STREAM 1
static inline void v_stream(double *p, vd a) { _mm512_stream_pd(p, a); }
static inline void v_stream_f32(float *p, vd a, vd b)
{
    _mm512_stream_ps(p, _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a)), _mm512_cvtpd_ps(b), 1));
}
static inline void v_fence(void) { _mm_sfence(); }
/* A hint: the line at p will be read; p need not be valid. */
static inline void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
