/* SPDX-License-Identifier: BSD-3-Clause
   The elementwise functions over math/elementwise.h. In ss_geometry `rows` counts the elements, which run over the kept
   dimensions; the strides of a second argument stand in reduced_x. */

#include "cuda/float_elementwise.cuh"

static inline double expit_of_f32(double x)
{
    expits_of_f32(&x, 1, &x);
    return x;
}

#define SS_UNARY(name) \
    struct of_##name { \
        static inline double at(float x) { return name##_of_f32((double)x); } \
        static inline double at(double x) { return name##_of_f64(x); } \
        static inline f_value in_floats(float x) { return f_##name(x); } \
    };
SS_UNARY(expit)
SS_UNARY(log_expit)
SS_UNARY(softplus)
SS_UNARY(logit)
SS_UNARY(log1mexp)

/* The elements of this thread. */
template <class T> static inline items<T, 1> items_of(const ss_geometry &g)
{
    const int64_t all = (int64_t)items<T, 1>::COUNT * blockDim.x, first = (int64_t)blockIdx.x * all;
    const items<T, 1> mine = {first, first + all < g.rows ? first + all : g.rows, (int)threadIdx.x, (int)blockDim.x,
                              (int)g.vector};
    return mine;
}

/* In a function of its own: it is wanted for one element in some ten thousand. */
template <class F> __noinline__ static double decided(float x) { return F::at(x); }

template <class T, class F> static inline void unary(const char *x, char *y, const ss_geometry &g)
{
    const items<T, 1> mine = items_of<T>(g);
    typename T::real value[items<T, 1>::COUNT];
    typename T::stored result[items<T, 1>::COUNT];
    mine.load_from(x, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_x, i); }, value);
    if constexpr (T::terms::IN_DOUBLES) {
#pragma unroll
        for (int v = 0; v < items<T, 1>::COUNT; v++) result[v] = T::put(F::at(value[v]));
    } else {
        unsigned doubtful = 0;
#pragma unroll
        for (int v = 0; v < items<T, 1>::COUNT; v++) {
            vm certain;
            result[v] = settled<T>(F::in_floats(value[v]), &certain);
            if (!certain) doubtful |= 1u << v;
        }
#pragma unroll
        for (int v = 0; v < items<T, 1>::COUNT; v++)
            if (doubtful >> v & 1) result[v] = T::put(decided<F>(value[v]));
    }
    mine.store_to(y, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_y, i); }, result);
}

#ifdef SS_WITH_LADDER
/* Calls f in each thread that wants it, one after the other: what it uses is shared by the block. For all threads. */
template <class F> static inline void one_at_a_time(int wanted, F f)
{
    __shared__ unsigned turn;
    while (__syncthreads_or(wanted)) {
        if (threadIdx.x == 0) turn = ~0u;
        __syncthreads();
        if (wanted) atomicMin(&turn, (unsigned)threadIdx.x);
        __syncthreads();
        if (threadIdx.x == turn) {
            f();
            wanted = 0;
        }
    }
}

static inline double logaddexp_at(float a, float b, vm *near) { return logaddexp_of_f32((double)a, (double)b, near); }
static inline double logaddexp_at(double a, double b, vm *near) { return logaddexp_of_f64(a, b, near); }
static inline double logsubexp_at(float a, float b, vm *near) { return logsubexp_of_f32((double)a, (double)b, near); }
static inline double logsubexp_at(double a, double b, vm *near) { return logsubexp_of_f64(a, b, near); }

/* ss_ladder_logaddexp and ss_ladder_logsubexp, whose row is read by fetch_row here. */
__noinline__ static double ladder_of_two(double a, double b, int subtract, int single)
{
    const double row[2] = {a, b};
    const ss_row_reader reader = {NULL, (const char *)row, 8};
    if (!subtract) return ss_ladder_logsumexp(NULL, &reader, 2, 0, 1.0, single);
    const task both = {NULL, &reader, 2, 0, floor_k(a), 1, 0};
    SS_LIMBS ss_ladder_sum sum;
    sum_anew(&sum, 0, 0);
    return climb(&both, &sum, 1.0, single);
}

template <int SUBTRACT, class real> static inline double of_two(real a, real b, vm *near)
{
    return SUBTRACT ? logsubexp_at(a, b, near) : logaddexp_at(a, b, near);
}
template <int SUBTRACT> __noinline__ static double two_decided(float a, float b, vm *near)
{
    return of_two<SUBTRACT>(a, b, near);
}

template <class T, int SUBTRACT>
static inline void binary(const char *x, char *y, const void *more, const ss_geometry &g)
{
    enum { COUNT = items<T, 1>::COUNT };
    const items<T, 1> mine = items_of<T>(g);
    typename T::real a[COUNT], b[COUNT];
    typename T::stored result[COUNT];
    mine.load_from(x, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_x, i); }, a);
    mine.load_from((const char *)more, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.reduced_x, i); }, b);
    unsigned cancelled = 0, doubtful = ~0u;
    if constexpr (!T::terms::IN_DOUBLES) {
        doubtful = 0;
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            vm certain;
            result[v] = settled<T>(SUBTRACT ? f_logsubexp(a[v], b[v]) : f_logaddexp(a[v], b[v]), &certain);
            if (!certain) doubtful |= 1u << v;
        }
    }
#pragma unroll
    for (int v = 0; v < COUNT; v++) {
        if (!(doubtful >> v & 1)) continue;
        vm near;
        double value;
        if constexpr (T::terms::IN_DOUBLES)
            value = of_two<SUBTRACT>(a[v], b[v], &near);
        else
            value = two_decided<SUBTRACT>(a[v], b[v], &near);
        if (near && fabs(value) < INFINITY && mine.place(v) < mine.last) cancelled |= 1u << v;
        result[v] = T::put(value);
    }
    one_at_a_time(cancelled != 0, [&] {
#pragma unroll
        for (int v = 0; v < COUNT; v++) {
            const int single = arithmetic<typename T::real>::SINGLE;
            if (cancelled >> v & 1) result[v] = T::put(ladder_of_two((double)a[v], (double)b[v], SUBTRACT, single));
        }
    });
    mine.store_to(y, [&](int64_t i) { return offset_in(g.kept, g.kept_shape, g.kept_y, i); }, result);
}
#endif
