/* SPDX-License-Identifier: BSD-3-Clause
   The types of elements (f16, f32, f64), and where the elements of a row lie. */

enum { SS_CUDA_DIMS = 6 };

/* As ss_job of kernels.h: strides are in bytes, rows run in C order over the kept dimensions, elements of a row over the
   reduced ones. `vector`: rows lie contiguous, start at multiples of 16 bytes, and are as long. */
typedef struct {
    int64_t rows, n, vector, parts, kept, reduced;
    int64_t kept_shape[SS_CUDA_DIMS], kept_x[SS_CUDA_DIMS], kept_y[SS_CUDA_DIMS];
    int64_t reduced_shape[SS_CUDA_DIMS], reduced_x[SS_CUDA_DIMS], reduced_y[SS_CUDA_DIMS];
} ss_geometry;

#ifdef __CUDACC_RTC__
static inline float half_to_float(uint16_t half)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}
static inline uint16_t float_to_half(float value)
{
    uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
}
#endif

/* `mark` is a NaN that no computation gives: the row is left to the ladder (ladder.cuh). */
struct f16 {
    typedef float real;
    typedef uint16_t stored;
    static inline real get(stored value) { return half_to_float(value); }
    static inline stored put(double value) { return float_to_half((float)value); }
    static inline stored mark() { return 0x7e5a; }
    static inline int is_marked(stored value) { return value == mark(); }
};

struct f32 {
    typedef float real;
    typedef float stored;
    static inline real get(stored value) { return value; }
    static inline stored put(double value) { return (float)value; }
    static inline stored mark() { return __int_as_float(0x7fda5a5a); }
    static inline int is_marked(stored value) { return __float_as_int(value) == 0x7fda5a5a; }
};

struct f64 {
    typedef double real;
    typedef double stored;
    static inline real get(stored value) { return value; }
    static inline stored put(double value) { return value; }
    static inline stored mark() { return v_dbl(0x7ffa5a5a5a5a5a5aLL); }
    static inline int is_marked(stored value) { return v_int(value) == 0x7ffa5a5a5a5a5a5aLL; }
};

/* The arithmetic of loops/real_f32.inc.h and real_f64.inc.h by type; `sum` starts, takes terms and ends. A term of float32 is
   one double, in hi; of float64, a pair, scaled by 2^OFFSET.

   Error of a sum: an accumulator takes at most MOST terms before its end is joined to a pair, and the threads join theirs in
   at most 20 steps.
   float32: MOST + 20 + 1 roundings of 2^-53.
   float64: an accumulator starts at 1.5 2^c, c = 300 + log2(MOST) + 3. The rests of its additions are below 2^(c - 53) each, so
   adding them up errs by MOST^2 2^(c - 106) = 2^-85 of the largest term, 2^300. Where all threads share a scale, 1024 of
   them make that 2^-75; where each has its own, it errs by so much of its own sum each time it empties an accumulator, which
   is at most MOST_EMPTIED = 2^11 times: 2^-74. A join errs by 2^-53 of the low parts, which is less than these.
   Taking off e^second at most doubles all this: 2^-73, and 2^-72 is assumed. */
enum { SS_MOST = 64, SS_MOST_EMPTIED = 2048 };

template <class real> struct arithmetic;

template <> struct arithmetic<float> {
    enum { SINGLE = 1, OFFSET = OFFSET_f32, BITS = SS_CANONICAL_BITS_SINGLE };
    static inline double reach() { return REACH_f32; }
    static inline double error() { return (SS_MOST + 21) * 0x1p-52; }
    static inline double tolerance() { return TOLERANCE_SINGLE; }
    typedef vd term_type;
    typedef struct { vd hi; } sum;
    static inline sum start() { sum s = {0.0}; return s; }
    static inline vd term(vd x, vi scale) { return ss_exp_single(x, scale, v_tab16(SS_EXP_HI)); }
    static inline vpair pair(vd term) { return ss_pair(term, 0.0); }
    static inline void add(sum *s, vd term) { s->hi = v_add(s->hi, term); }
    static inline vd end(const sum *s) { return s->hi; }
    static inline vd join(vd a, vd b) { return v_add(a, b); }
    static inline vd scaled(vd a, vd scale) { return v_mul(a, scale); }
};

template <> struct arithmetic<double> {
    enum { SINGLE = 0, OFFSET = OFFSET_f64, BITS = SS_CANONICAL_BITS_PAIR };
    static inline double reach() { return REACH_f64; }
    static inline double error() { return 0x1p-72; }
    static inline double tolerance() { return TOLERANCE_PAIR; }
    static inline double begin() { return 0x1.8p309; }
    typedef vpair term_type;
    typedef struct { vd hi, lo; } sum;
    static inline sum start() { sum s = {begin(), 0.0}; return s; }
    static inline vpair term(vd x, vi scale)
    {
        return ss_exp_pair(x, 0.0, scale, v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO));
    }
    static inline vpair pair(vpair term) { return term; }
    static inline void add(sum *s, vpair term)
    {
        vd total = v_add(s->hi, term.hi), left = v_sub(term.hi, v_sub(total, s->hi));
        s->hi = total;
        s->lo = v_add(s->lo, v_add(left, term.lo));
    }
    static inline vpair end(const sum *s)
    {
        vpair total = ss_fast_two_sum(v_sub(s->hi, begin()), s->lo);
        return ss_pair(v_mul(total.hi, 0x1p-300), v_mul(total.lo, 0x1p-300));
    }
    static inline vpair join(vpair a, vpair b)
    {
        vpair high = ss_two_sum(a.hi, b.hi);
        return ss_fast_two_sum(high.hi, v_add(high.lo, v_add(a.lo, b.lo)));
    }
    static inline vpair scaled(vpair a, vd scale) { return ss_pair(v_mul(a.hi, scale), v_mul(a.lo, scale)); }
};

static inline float larger(float a, float b)
{
#ifdef __CUDACC_RTC__
    float c;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(c) : "f"(a), "f"(b));
    return c;
#else
    return a != a || a > b ? a : b;
#endif
}
static inline float smaller(float a, float b) { return a < b ? a : b; }
static inline double larger(double a, double b) { return v_max(a, b); }
static inline double smaller(double a, double b) { return v_min(a, b); }

static inline double product(vd term, vpair factor) { return product_f32(ss_pair(term, 0.0), factor); }
static inline double product(vpair term, vpair factor) { return product_f64(term, factor); }
static inline double difference(float x, double peak, vpair excess) { return difference_f32((double)x, peak, excess); }
static inline double difference(double x, double peak, vpair excess) { return difference_f64(x, peak, excess); }

/* ---- places ---- */

typedef struct {
    const char *x;
    char *y;
} ss_place;

static inline ss_place place_of(const ss_geometry &g, const char *x, char *y, int64_t row)
{
    ss_place at = {x, y};
    for (int d = (int)g.kept - 1; d >= 0; d--) {
        const int64_t i = d ? row % g.kept_shape[d] : row;
        if (d) row /= g.kept_shape[d];
        at.x += i * g.kept_x[d];
        at.y += i * g.kept_y[d];
    }
    return at;
}

static inline int64_t offset_of(const ss_geometry &g, const int64_t *steps, int64_t element)
{
    int64_t offset = 0;
    for (int d = (int)g.reduced - 1; d > 0; d--) {
        offset += element % g.reduced_shape[d] * steps[d];
        element /= g.reduced_shape[d];
    }
    return offset + element * steps[0];
}

template <class T> static inline typename T::real element_of(const ss_geometry &g, const char *x, int64_t element)
{
    return T::get(*(const typename T::stored *)(x + offset_of(g, g.reduced_x, element)));
}

template <class T> static inline void put_element(const ss_geometry &g, char *y, int64_t element, double value)
{
    *(typename T::stored *)(y + offset_of(g, g.reduced_y, element)) = T::put(value);
}

/* 16 bytes at once: the elements from `element` on, where `vector` allows it. */
template <class T> struct sixteen {
    enum { ELEMENTS = 16 / sizeof(typename T::stored) };
    typename T::stored value[ELEMENTS];
};

template <class T> static inline sixteen<T> load_sixteen(const char *x)
{
    const uint4 words = *(const uint4 *)x;
    sixteen<T> values;
    memcpy(&values, &words, 16);
    return values;
}

template <class T> static inline void store_sixteen(char *y, const sixteen<T> &values)
{
    uint4 words;
    memcpy(&words, &values, 16);
    *(uint4 *)y = words;
}
