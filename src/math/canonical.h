/* SPDX-License-Identifier: BSD-3-Clause
   The canonical sum: rounded to a precision that the hot loops reach whatever their order (docs/design.md). */
#ifndef SS_MATH_CANONICAL_H
#define SS_MATH_CANONICAL_H

/* Bits kept below the leading one, and the proven relative error of any hot loop. A loop adds at most TILE / 4W =
   1024 / W terms to one accumulator before it is emptied into a pair; subtracting e^second, as panels do, at most
   doubles the relative error.
   float32: 1024 / W * 2^-53 * 2.  float64: 2^-73 / W^2 * 2, see accumulate in loops/real_f64.inc.h. */
#define SS_CANONICAL_BITS_SINGLE 30
#define SS_CANONICAL_BITS_PAIR 60
#define SS_SUM_ERROR_SINGLE (0x1p-42 / SS_W)
#define SS_SUM_ERROR_PAIR (0x1p-72 / (SS_W * SS_W))

/* |peak + excess| below this part of excess is left to the ladder (FN(logarithm) has the reasoning). */
#define TOLERANCE_PAIR 0.25
#define TOLERANCE_SINGLE 0.125

/* Rounds a normalised positive pair to `bits` below its leading one. Monotone, hence the test below.
   A pair of terms has few bits below its high part: a few in a hundred sums would lie on the tie between two roundings
   to 60 bits, where no error is small enough to be certain. So what is rounded lies a little above the sum, where
   hardly any sum has its ties, and numbers of fewer than 60 bits are still left as they are. */
#define SS_CANONICAL_ABOVE 0.01 /* of the spacing */
static inline vpair ss_canonical_round(vpair sum, int bits)
{
    /* 1.5 * 2^(exponent of sum.hi + 52 - bits): adding it rounds to a multiple of 2^(exponent - bits) */
    vi exponent = vi_and(v_int(sum.hi), vi_set1(0x7ff0000000000000LL));
    vd magic = v_dbl(vi_add(vi_add(exponent, vi_set1((int64_t)(52 - bits) * ((int64_t)1 << 52))),
                            vi_set1(0x0008000000000000LL)));
    if (bits <= 52) return ss_pair_of(v_sub(v_add(sum.hi, magic), magic));
    vd spacing = v_mul(v_dbl(exponent), v_set1(ldexp(1.0, -bits)));
    return ss_fast_two_sum(sum.hi, v_sub(v_add(v_fma(spacing, v_set1(SS_CANONICAL_ABOVE), sum.lo), magic), magic));
}

#ifndef SS_DOUBT
#define SS_DOUBT 1.0 /* tests multiply errors by it, so that all that can be is summed exactly */
#endif

/* The canonical rounding of `sum`; *certain: the lanes in which no sum within `error` (relative) rounds elsewhere. */
static inline vpair ss_canonical(vpair sum, int bits, double error, vm *certain)
{
    vd slack = v_mul(sum.hi, v_set1(error * SS_DOUBT));
    vpair below = ss_canonical_round(ss_fast_two_sum(sum.hi, v_sub(sum.lo, slack)), bits);
    vpair above = ss_canonical_round(ss_fast_two_sum(sum.hi, v_add(sum.lo, slack)), bits);
    *certain = v_eq(v_sub(above.hi, below.hi), v_sub(below.lo, above.lo));
    return below;
}

#endif
