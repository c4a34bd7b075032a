/* SPDX-License-Identifier: BSD-3-Clause
   What src/cuda/float_pair.cuh and float_terms.cuh promise, measured on the CPU by tests/test_float_pair.py. */
#include "emulate.h"

#include "cuda/kernels.cu"

static double value_of(fpair a) { return (double)a.hi + (double)a.lo; }

/* The worst error over every step-th float of both signs up to `most`: of a term, beside the one in doubles; of e^x if
   `whole`. */
extern "C" double worst_term(float most, int step, int whole)
{
    double worst = 0.0;
    for (int bits = 0; bits <= __float_as_int(most); bits += step)
        for (int sign = -1; sign <= 1; sign += 2) {
            const float x = (float)sign * __int_as_float(bits);
            const double exponent = ss_exponent((double)x);
            const int scale = 127 - f_exponent(x);
            const vpair want = whole ? ss_mantissa((double)x)
                                     : ss_pair_of(ss_exp_single((double)x, ss_scale_bits(exponent, 0), 0));
            const fpair got = f_exp_term(x, scale, whole ? F_WHOLE : F_CUBIC);
            const double error = fabs((((double)got.hi - want.hi) + ((double)got.lo - want.lo)) / want.hi);
            if (!(error <= worst)) worst = error;
        }
    return worst;
}

/* The worst error of log1p of these quotients, and how far from log1p in doubles it is. */
extern "C" double worst_log1p(const double *rest, const double *one, int count, double *apart)
{
    double worst = *apart = 0.0;
    for (int i = 0; i < count; i++) {
        const fpair a = f_pair_of(rest[i]), b = f_pair_of(one[i]);
        const double want = ss_log1p_single(value_of(a), value_of(b)), got = value_of(f_log1p(a, b));
        const long double exact = log1pl((long double)value_of(a) / value_of(b));
        const double error = (double)fabsl((got - exact) / exact), distance = fabs(got / want - 1.0);
        if (!(error <= worst)) worst = error;
        if (!(distance <= *apart)) *apart = distance;
    }
    return worst;
}

/* How many sums are not certain, or -1 if one is and its rounding is not the canonical one, or not certain in doubles
   for an error that is less by the roundings of the test, 2^-48. */
extern "C" int doubtful_sums(const double *sum, int count, double error)
{
    int doubtful = 0;
    for (int i = 0; i < count; i++) {
        vm certain, in_doubles;
        const fpair pair = f_pair_of(sum[i]), found = f_canonical(pair, (float)error, &certain);
        const vpair want = ss_canonical(ss_pair_of(value_of(pair)), SS_CANONICAL_BITS_SINGLE, error - 0x1p-48,
                                        &in_doubles);
        doubtful += !certain;
        if (certain && (!in_doubles || value_of(found) != want.hi)) return -1;
    }
    return doubtful;
}

/* The error of a sum of COUNT terms for each thread and so many threads, beside its bound. */
extern "C" double worst_sum(const double *terms, int threads, int joins)
{
    enum { COUNT = 16 };
    fpair total = {0.0f, 0.0f};
    long double exact = 0.0L;
    for (int i = 0; i < threads; i++) {
        fpair mine[COUNT];
        for (int v = 0; v < COUNT; v++) {
            mine[v] = f_pair_of(terms[i * COUNT + v]);
            exact += (long double)mine[v].hi + (long double)mine[v].lo;
        }
        float_terms::sum sum = float_terms::start();
        float_terms::add<COUNT>(&sum, mine);
        total = float_terms::join(total, sum);
    }
    const long double found = (long double)total.hi + (long double)total.lo;
    return (double)(fabsl(found / exact - 1.0L) / float_terms::error_of_registers(joins, 0));
}

/* Rounds `count` doubles as pairs that err by `error`; certain[i] as the kernels see it. half: 0 for normal results. */
extern "C" void rounded(const double *y, int count, float half, float error, float *value, int *certain)
{
    for (int i = 0; i < count; i++) {
        const fpair pair = f_pair_of(y[i]);
        const float slack = fabsf(pair.hi) * error;
        value[i] = half == 0.0f ? f_rounded(pair, slack, &certain[i]) : f_rounded_to(pair, half, slack, &certain[i]);
    }
}
