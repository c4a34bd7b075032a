/* SPDX-License-Identifier: BSD-3-Clause
   The types of elements (f16, f32, f64), and where the elements of a row lie. */

enum { SS_CUDA_DIMS = 6 };

/* As ss_job of kernels.h: strides are in bytes, rows run in C order over the kept dimensions, elements of a row over
   the reduced ones. `vector`: rows lie contiguous, start at multiples of 16 bytes, and are as long. count: what the
   sum is divided by, 1 or n. parts: blocks that share a row; share: elements of such a block; emptied: at most so often
   does one of its threads empty its accumulator. ladder_share: rows of a block of the ladder's. */
typedef struct {
    int64_t rows, n, count, vector, parts, share, ladder_share, emptied, kept, reduced;
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

template <class real> struct double_terms;

/* terms: the arithmetic of elements; in_doubles: the same type with that of doubles. `mark` is a NaN that no
   computation gives: the row is left to the ladder (ladder.cuh). */
struct f16 {
    typedef float real;
    typedef uint16_t stored;
    typedef double_terms<float> terms;
    typedef f16 in_doubles;
    static inline real get(stored value) { return half_to_float(value); }
    static inline stored put(double value) { return float_to_half((float)value); }
    static inline stored mark() { return 0x7e5a; }
    static inline int is_marked(stored value) { return value == mark(); }
};

struct f32 {
    typedef float real;
    typedef float stored;
    typedef double_terms<float> terms;
    typedef f32 in_doubles;
    static inline real get(stored value) { return value; }
    static inline stored put(double value) { return (float)value; }
    static inline stored mark() { return __int_as_float(0x7fda5a5a); }
    static inline int is_marked(stored value) { return __float_as_int(value) == 0x7fda5a5a; }
};

struct f64 {
    typedef double real;
    typedef double stored;
    typedef double_terms<double> terms;
    typedef f64 in_doubles;
    static inline real get(stored value) { return value; }
    static inline stored put(double value) { return value; }
    static inline stored mark() { return v_dbl(0x7ffa5a5a5a5a5a5aLL); }
    static inline int is_marked(stored value) { return v_int(value) == 0x7ffa5a5a5a5a5a5aLL; }
};

/* The arithmetic of loops/real_f32.inc.h and real_f64.inc.h by type; `sum` starts, takes terms and ends. A term of
   float32 is one double, in hi; of float64, a pair, scaled by 2^OFFSET.

   Error of a sum: a thread adds s terms to an accumulator before its end is joined to a pair, and the threads join
   theirs in at most 21 steps; those that share a row's parts once more.
   float32: s + 21 roundings of 2^-53, in a stream s + 2 (21 + 1).
   float64: an accumulator starts at 1.5 2^c, c = 300 + log2(MOST) + 3. The rests of its additions are below 2^(c -
   53) each, so adding them up errs by s^2 2^(c - 106), in units of the largest term, 2^300.
   In registers all threads share a scale, s <= 16: 512 of them make 2^-80, and joining their low parts, together
   below 2^(13 + c - 53), errs by 2^-53 of that in each step, 2^-79.
   In a stream each thread has a scale of its own and errs by 2^-85 of its own sum each time it empties an
   accumulator; its low parts are normalised by then, and joining them errs by 2^-106.
   Taking off e^second at most doubles all this. */
enum { SS_MOST = 64 };

template <class real> struct arithmetic;

template <> struct arithmetic<float> {
    enum { SINGLE = 1, OFFSET = OFFSET_f32, BITS = SS_CANONICAL_BITS_SINGLE };
    static inline double reach() { return REACH_f32; }
    static inline double error_of_registers() { return (16 + 21) * 0x1p-52; }
    static inline double error_of_stream(double emptied) { return (SS_MOST + 2 * 22) * 0x1p-52; }
    static inline double tolerance() { return TOLERANCE_SINGLE; }
    typedef vd term_type;
    typedef struct { vd hi; } sum;
    static inline sum start() { sum s = {0.0}; return s; }
    static inline vd term(vd x, vi scale) { return ss_exp_single(x, scale, 0); }
    static inline vd near_term(vd x, vi scale) { return ss_exp_single(x, scale, 1); }
    static inline vpair pair(vd term) { return ss_pair(term, 0.0); }
    static inline vd of_pair(vpair sum) { return v_add(sum.hi, sum.lo); }
    static inline void add(sum *s, vd term) { s->hi = v_add(s->hi, term); }
    static inline vd end(const sum *s) { return s->hi; }
    static inline vd join(vd a, vd b) { return v_add(a, b); }
    static inline vd product(vpair term, vpair factor) { return product_f32(term, factor); }
    typedef scaled_f32 scaled;
    static inline scaled scale_factor(vpair factor, vd d) { return scale_factor_f32(factor, d); }
    static inline vd scaled_product(vpair term, scaled factor) { return scaled_product_f32(term, factor); }
    static inline vpair reciprocal(vpair sum) { return reciprocal_f32(sum); }
    static inline vpair excess(vd peak, vpair rest, vd exponent) { return excess_f32(peak, rest, exponent); }
};

template <> struct arithmetic<double> {
    enum { SINGLE = 0, OFFSET = OFFSET_f64, BITS = SS_CANONICAL_BITS_PAIR };
    static inline double reach() { return REACH_f64; }
    static inline double error_of_registers() { return 0x1p-77; }
    static inline double error_of_stream(double emptied) { return (emptied + 2.0) * 0x1p-84; }
    static inline double tolerance() { return TOLERANCE_PAIR; }
    static inline double begin() { return 0x1.8p309; }
    typedef vpair term_type;
    typedef struct { vd hi, lo; } sum;
    static inline sum start() { sum s = {begin(), 0.0}; return s; }
    static inline vpair term(vd x, vi scale)
    {
        return ss_exp_term(x, scale, v_tab16(SS_EXP_HI), v_tab16(SS_EXP_LO));
    }
    static inline vpair pair(vpair term) { return term; }
    static inline vpair of_pair(vpair sum) { return sum; }
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
    static inline vd product(vpair term, vpair factor) { return product_f64(term, factor); }
    typedef scaled_f64 scaled;
    static inline scaled scale_factor(vpair factor, vd d) { return scale_factor_f64(factor, d); }
    static inline vd scaled_product(vpair term, scaled factor) { return scaled_product_f64(term, factor); }
    static inline vpair reciprocal(vpair sum) { return reciprocal_f64(sum); }
    static inline vpair excess(vd peak, vpair rest, vd exponent) { return excess_f64(peak, rest, exponent); }
};

template <class real> static inline int in_range(real peak, real bound)
{
    return ss_reducible((double)peak) && ss_reducible((double)bound);
}

static inline float larger(float a, float b)
{
#if defined(__CUDACC_RTC__) && __CUDA_ARCH__ >= 800 /* older devices have no such instruction */
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
    SS_ROLLED
    for (int d = (int)g.kept - 1; d > 0; d--) {
        const int64_t i = row % g.kept_shape[d];
        row /= g.kept_shape[d];
        at.x += i * g.kept_x[d];
        at.y += i * g.kept_y[d];
    }
    at.x += row * g.kept_x[0];
    at.y += row * g.kept_y[0];
    return at;
}

static inline int64_t offset_in(int64_t dims, const int64_t *shape, const int64_t *steps, int64_t element)
{
    int64_t offset = 0;
    SS_ROLLED
    for (int d = (int)dims - 1; d > 0; d--) {
        offset += element % shape[d] * steps[d];
        element /= shape[d];
    }
    return offset + element * steps[0];
}

/* Of an element of a row, which has less than 2^32: divisions of 64 bits would make most of the code of a kernel. */
static inline int64_t offset_of(const ss_geometry &g, const int64_t *steps, int64_t element)
{
    int64_t offset = 0;
    unsigned rest = (unsigned)element;
    SS_ROLLED
    for (int d = (int)g.reduced - 1; d > 0; d--) {
        const unsigned length = (unsigned)g.reduced_shape[d];
        offset += (int64_t)(rest % length) * steps[d];
        rest /= length;
    }
    return offset + (int64_t)rest * steps[0];
}

template <class T> static inline typename T::real element_of(const ss_geometry &g, const char *x, int64_t element)
{
    return T::get(*(const typename T::stored *)(x + offset_of(g, g.reduced_x, element)));
}

/* CHUNKS times 16 bytes of a row, a thread's share of a stretch [first, last). Their order is free: neighbours in
   memory belong to neighbouring threads. */
template <class T, int CHUNKS> struct items {
    typedef typename T::real real;
    typedef typename T::stored stored;
    enum { V = 16 / sizeof(stored), COUNT = V * CHUNKS };
    int64_t first, last;
    int rank, size, vector;

    inline int64_t place(int item) const
    {
        return vector ? first + (int64_t)(item / V * size + rank) * V + item % V : first + (int64_t)item * size + rank;
    }

    /* The item that has this place in the first stretch, or -1 where it is another thread's. */
    inline int item_at(int64_t place) const
    {
        const int chunk = vector ? (int)place / V : (int)place;
        return chunk % size != rank ? -1 : vector ? chunk / size * V + (int)place % V : chunk / size;
    }

    /* -inf beyond the end. at(i): the offset of element i where it is not contiguous. */
    template <class F> inline void load_from(const char *x, F at, real *value) const
    {
        if (vector) {
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                const int64_t i = place(c * V);
                stored values[V];
                if (i < last) {
                    const uint4 words = *(const uint4 *)(x + i * (int64_t)sizeof(stored));
                    memcpy(values, &words, 16);
                }
#pragma unroll
                for (int v = 0; v < V; v++) value[c * V + v] = i < last ? T::get(values[v]) : -(real)INFINITY;
            }
        } else {
#pragma unroll
            for (int v = 0; v < COUNT; v++)
                value[v] = place(v) < last ? T::get(*(const stored *)(x + at(place(v)))) : -(real)INFINITY;
        }
    }

    template <class F> inline void store_to(char *y, F at, const stored *value) const
    {
        if (vector) {
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                uint4 words;
                memcpy(&words, value + c * V, 16);
                if (place(c * V) < last) *(uint4 *)(y + place(c * V) * (int64_t)sizeof(stored)) = words;
            }
        } else {
#pragma unroll
            for (int v = 0; v < COUNT; v++)
                if (place(v) < last) *(stored *)(y + at(place(v))) = value[v];
        }
    }

    inline void load(const ss_geometry &g, const char *x, real *value) const
    {
        load_from(x, [&](int64_t i) { return offset_of(g, g.reduced_x, i); }, value);
    }

    inline void store(const ss_geometry &g, char *y, const stored *value) const
    {
        store_to(y, [&](int64_t i) { return offset_of(g, g.reduced_y, i); }, value);
    }
};
