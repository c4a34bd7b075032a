/* SPDX-License-Identifier: BSD-3-Clause
   Exact sums of whole rows. Threads that add to one sum, as in conclude.cuh, wait for each other at nearly every
   addition, because all of them meet at the same few digits; that is for rows in doubt. Here each has its own. */
#ifndef SS_CUDA_EXACT
#define SS_CUDA_EXACT

enum { SS_EXACT_THREADS = 256 }; /* of a block, at most */

static inline int64_t plus_digits(int64_t a, int64_t b) { return a + b; }

/* The digits of what each(i, add) adds by add(value, exponent), value 2^exponent, for all i in [first, last): of a sum
   over 2^exponent, for all threads of the group. At most four values for each i: a digit has no carry before the
   end. */
template <int LANES, class F>
static inline ss_exact exact_digits(int64_t first, int64_t last, int64_t exponent, F each)
{
    typedef group<LANES> lanes;
    enum { THREADS = LANES == SS_WARP ? (int)SS_BLOCK : (int)SS_EXACT_THREADS };
    __shared__ int64_t digits[SS_DIGITS * THREADS]; /* neighbouring threads' digits in neighbouring banks */
    int64_t *mine = digits + threadIdx.y * blockDim.x + threadIdx.x;
    ss_exact sum;
    ss_exact_start(&sum, exponent);
#pragma unroll
    for (int d = 0; d < SS_DIGITS; d++) mine[d * THREADS] = 0;
    const auto add = [&](double value, int64_t at) {
        ss_digits cut;
        if (!ss_exact_cut(&sum, value, at, &cut)) return;
        int64_t *from = mine + (int)cut.index * THREADS;
#pragma unroll
        for (int i = 0; i < 3; i++)
            if (cut.index + i >= 0) from[i * THREADS] += cut.sign * cut.part[i];
    };
    SS_ROLLED
    for (int64_t i = first + lanes::rank(); i < last; i += lanes::size()) each(i, add);
#pragma unroll
    for (int d = 0; d < SS_DIGITS; d++) sum.digit[d] = lanes::reduce(mine[d * THREADS], plus_digits);
    return sum;
}

static inline vpair exact_value(ss_exact sum, int64_t exponent)
{
    double hi, lo;
    ss_exact_result(&sum, exponent, &hi, &lo);
    return ss_pair(hi, lo);
}

/* The whole sum over 2^exponent. */
template <int LANES, class F> static inline vpair sum_exactly(int64_t n, int64_t exponent, F each)
{
    return exact_value(exact_digits<LANES>(0, n, exponent, each), exponent);
}

#endif
