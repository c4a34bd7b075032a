/* SPDX-License-Identifier: BSD-3-Clause
   The elementwise functions in pairs of floats beside those in doubles, on the CPU, for
   tests/test_float_elementwise.py. */
#include "emulate.h"

#include "cuda/kernels.cu"
#include "cuda/ladder.cuh"
#include "cuda/elementwise.cuh"

/* error: the largest, in units of what the function claims. doubtful: results that doubles decide, and not the ladder.
   wrong: those that are said to be certain and are not what doubles give, in float32 or in float16, or are not final
   there either. */
typedef struct {
    int64_t count, doubtful, wrong;
    double error;
} findings;

template <class T> static int differs(const f_value &value, double want)
{
    vm certain;
    const typename T::stored got = settled<T>(value, &certain), right = T::put(want);
    return certain && want == want && memcmp(&got, &right, sizeof(got)) != 0;
}

static void compare(findings *found, const f_value &value, double want, vm near)
{
    vm certain;
    const float result = settled<f32_in_floats>(value, &certain);
    found->count++;
    found->doubtful += !certain && !near;
    found->wrong += certain && near && fabs(want) < INFINITY;
    found->wrong += differs<f32_in_floats>(value, want) || differs<f16_in_floats>(value, want);
    found->wrong += certain && (result != result) != (want != want);
    if (!(fabs(want) < INFINITY && value.error > 0.0f && value.error < INFINITY)) return;
    const double scale = value.lifted ? 0x1p64 : 1.0;
    const double apart = (double)value.y.hi - want * scale + (double)value.y.lo;
    if (fabs(apart) < 0x1p-172 * scale) return; /* arguments are clamped where all that is left is 0 */
    const double error = fabs(apart) / (double)value.error;
    if (!(error <= found->error)) found->error = error;
}

template <class F> static void compare_bits(findings *found, int64_t first, int64_t last, int64_t step)
{
    for (int64_t bits = first; bits <= last; bits += step) {
        const float x = __int_as_float((int)(uint32_t)bits);
        compare(found, F::in_floats(x), F::at(x), 0);
    }
}

/* Every step-th float by its bits, first..last. */
#define SS_COMPARE(name) \
    extern "C" void compare_##name(findings *found, int64_t first, int64_t last, int64_t step) \
    { \
        compare_bits<of_##name>(found, first, last, step); \
    }
SS_COMPARE(expit)
SS_COMPARE(log_expit)
SS_COMPARE(softplus)
SS_COMPARE(logit)
SS_COMPARE(log1mexp)

extern "C" void compare_two(findings *found, const float *a, const float *b, int count, int subtract)
{
    for (int i = 0; i < count; i++) {
        vm near;
        const double want = subtract ? logsubexp_at(a[i], b[i], &near) : logaddexp_at(a[i], b[i], &near);
        compare(found, subtract ? f_logsubexp(a[i], b[i]) : f_logaddexp(a[i], b[i]), want, near);
    }
}
