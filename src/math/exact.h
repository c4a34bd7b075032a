/* SPDX-License-Identifier: BSD-3-Clause
   Exact sum of doubles: base-2^32 digits at absolute bit positions, added as integers, so no order can change them.
   A number is cut digit by digit (towards zero); digits below the window are dropped, as the number alone decides.
   Method: superaccumulator, Neal 2015 (arXiv 1505.05571), with a window of 8 digits below the largest term. */
#ifndef SS_MATH_EXACT_H
#define SS_MATH_EXACT_H

/* How a part joins a digit. The vocabulary of a GPU, whose threads share one sum, brings an atomic addition; its rows
   are too short for a carry in between. */
#ifdef SS_EXACT_ADD
#define SS_EXACT_SHARED 1
#else
#define SS_EXACT_SHARED 0
#define SS_EXACT_ADD(digit, part) ((digit) += (part))
#endif

/* Before a loop that a GPU's compiler shall not unroll: that would take registers from all that is around it. */
#ifdef __CUDACC_RTC__
#define SS_ROLLED _Pragma("unroll 1")
#else
#define SS_ROLLED
#endif

enum { SS_DIGITS = 10, SS_DIGITS_BELOW = 6 };

typedef struct {
    int64_t digit[SS_DIGITS]; /* digit[i] counts 2^(32 (i + first)) */
    int64_t first;
    int pending; /* additions since the last carry */
} ss_exact;

static inline void ss_exact_start(ss_exact *sum, int64_t exponent)
{
    memset(sum, 0, sizeof *sum);
    sum->first = (exponent >> 5) - SS_DIGITS_BELOW; /* arithmetic shift: floor */
}

static inline void ss_exact_carry(ss_exact *sum)
{
    for (int i = 0; i < SS_DIGITS - 1; i++) {
        int64_t carry = sum->digit[i] >> 32;
        sum->digit[i] -= carry * ((int64_t)1 << 32);
        sum->digit[i + 1] += carry;
    }
    sum->pending = 0;
}

/* value * 2^exponent in digits: sign * part[i] belongs to digit[index + i], and to none where index + i is negative. */
typedef struct {
    int64_t index, sign, part[3];
} ss_digits;

/* 0 where no digit lies within the window. */
static inline int ss_exact_cut(const ss_exact *sum, double value, int64_t exponent, ss_digits *cut)
{
    if (value == 0.0) return 0;
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int64_t biased = (bits >> 52) & 0x7ff;
    int64_t mantissa = bits & 0xfffffffffffffLL;
    if (biased) mantissa |= (int64_t)1 << 52; else biased = 1;
    int64_t position = biased - 1075 + exponent - 32 * sum->first; /* of the mantissa's last bit */
    cut->sign = bits < 0 ? -1 : 1;
    cut->index = position >> 5;
    int shift = (int)(position & 31);
    if (cut->index < -3 || cut->index >= SS_DIGITS - 2) return 0;
    uint64_t low = (uint64_t)mantissa << shift; /* 64 of up to 84 bits */
    uint64_t high = shift ? (uint64_t)mantissa >> (64 - shift) : 0;
    cut->part[0] = (int64_t)(low & 0xffffffffu);
    cut->part[1] = (int64_t)(low >> 32);
    cut->part[2] = (int64_t)high;
    return 1;
}

/* Adds value * 2^exponent. */
static inline void ss_exact_add(ss_exact *sum, double value, int64_t exponent)
{
    ss_digits cut;
    if (!ss_exact_cut(sum, value, exponent, &cut)) return;
    for (int i = 0; i < 3; i++)
        if (cut.index + i >= 0) SS_EXACT_ADD(sum->digit[cut.index + i], cut.sign * cut.part[i]);
    if (!SS_EXACT_SHARED && ++sum->pending == (1 << 29)) ss_exact_carry(sum);
}

/* The sum over 2^exponent as a pair; relative error 2^-100 (truncation far below the canonical precision). */
static inline void ss_exact_result(ss_exact *sum, int64_t exponent, double *hi, double *lo)
{
    ss_exact_carry(sum);
    double high = 0.0, low = 0.0;
    for (int i = SS_DIGITS - 1; i >= 0; i--) {
        double digit = ldexp((double)sum->digit[i], (int)(32 * (i + sum->first) - exponent));
        double total = high + digit, part = total - high;
        low += (high - (total - part)) + (digit - part);
        high = total;
    }
    *hi = high + low;
    *lo = low - (*hi - high);
}

#endif
