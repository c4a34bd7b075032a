/* SPDX-License-Identifier: BSD-3-Clause
   What logcumsumexp makes of the sum of a prefix near 0, for C and CUDA alike. */
#ifndef SS_PREFIX
#define SS_PREFIX

/* log of the pair 1 + f if its rounding is certain, else NaN. The error of the pair is 2^-65, and 2^-62 is allowed for;
   for float32 so much that no double rounding can matter. */
static double ss_log1p_certain(double hi, double lo, int single)
{
    const vpair f = ss_fast_two_sum(v_set1(hi), v_set1(lo)), log = ss_log1p_pair(f);
    const double value = lane(log.hi), rest = lane(log.lo), slack = fabs(value) * (single ? 0x1p-50 : 0x1p-62);
    const double below = value + (rest - slack), above = value + (rest + slack);
    return (single ? (float)below == (float)above : below == above) ? below : NAN;
}

#endif
