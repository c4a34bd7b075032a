/* SPDX-License-Identifier: BSD-3-Clause
   Sigmoid cross-entropy in pairs of floats beside that in doubles, on the CPU, for tests/test_float_logistic.py. */
#include "emulate.h"

#include "cuda/kernels.cu"
#include "cuda/ladder.cuh"
#include "cuda/items.cuh"
#include "cuda/labels.cuh"
#include "cuda/losses.cuh"
#include "cuda/sigmoid.cuh"
#include "cuda/float_logistic.cuh"

/* The largest errors, in units of what is claimed: of both parts of the logistic function, of loss and slope. doubtful:
   losses and slopes that doubles decide. wrong: those that are said to be certain and are not what doubles give. */
typedef struct {
    int64_t count, doubtful[2], wrong[2];
    double error[4];
} findings;

static void compare(double *worst, fpair got, double want, double error)
{
    const double apart = (double)got.hi - want * 0x1p64 + (double)got.lo;
    if (fabs(apart) < 0x1p-108 || !(error > 0.0 && error < INFINITY)) return; /* below all results, or exact */
    if (!(fabs(apart) <= *worst * error)) *worst = fabs(apart) / error;
}

static void compare(findings *found, int which, const f_value &value, double want)
{
    vm certain;
    const float got = settled<f32_in_floats>(value, &certain), right = (float)want;
    certain &= value.error < INFINITY;
    found->doubtful[which] += !certain;
    found->wrong[which] += certain && memcmp(&got, &right, sizeof(got)) != 0;
    vm half;
    const uint16_t short_one = settled<f16_in_floats>(value, &half);
    found->wrong[which] += half && value.error < INFINITY && short_one != f16::put(want);
    compare(found->error + 2 + which, value.y, want, value.error);
}

extern "C" void compare_logits(findings *found, const float *x, const float *t, int count, double scale)
{
    const ss_loss_options o = {.scale_hi = scale};
    for (int i = 0; i < count; i++) {
        double slope;
        ss_logistic in_doubles;
        const double loss = logit_in_doubles(x[i], t[i], &o, &slope);
        const f_logistic s = f_logistic_of(x[i]);
        logistic<float>::of((double)x[i], &in_doubles);
        compare(found, 0, f_plain_loss(s, x[i], t[i]), loss);
        compare(found, 1, f_plain_slope(s, x[i], t[i], f_factor_of(scale)), slope);
        if (!s.beside && s.worse == 1.0f) compare(found->error, s.log, in_doubles.log.hi, s.log.hi * F_LOG_ERROR);
        compare(found->error + 1, s.smaller, in_doubles.smaller.hi, s.smaller.hi * s.worse * F_SMALLER_ERROR);
    }
    found->count += count;
}
