/* The level of two limbs, where nearly every sum ends: terms and their sum in units of 2^-126. For ladder.c, and for
   the lanes of a GPU, which add such terms in parallel. */
#ifndef STABLESOFT_LADDER_FAST_H
#define STABLESOFT_LADDER_FAST_H

#define INV_LN2 1.4426950408889634

static inline double floor_k(double x) { return floor(x * INV_LN2); }

static inline ss_u128 mulhi(ss_u128 a, ss_u128 b) /* 0 to 3 units too small */
{
    ss_u128 r = mul64(a.hi, b.hi);
    uint64_t p = mul64(a.hi, b.lo).hi, q = mul64(a.lo, b.hi).hi;
    r.lo += p;
    r.hi += r.lo < p;
    r.lo += q;
    r.hi += r.lo < q;
    return r;
}

static inline ss_u128 add(ss_u128 a, ss_u128 b)
{
    ss_u128 r = {a.hi + b.hi, a.lo + b.lo};
    r.hi += r.lo < b.lo;
    return r;
}

/* e^x = 2^*k * result, 1 <= result < 2.2. Error in units of 2^-126: reduction 1.6, tables and their product 4,
   polynomial (5 products of 3, 6 of 2, the coefficients, in 2^-128, times 2.2) 19, last product 3: below 28. */
static inline ss_u128 exp_fast(double x, double kd, int64_t *kp)
{
    /* x - k ln2 with the sign of x taken off both; fraction (f1, f0), integer part g */
    int64_t k = (int64_t)kd;
    uint64_t bits, ka = (uint64_t)(k < 0 ? -k : k), x2 = 0, x1 = 0, x0 = 0;
    memcpy(&bits, &x, sizeof bits);
    int p = (int)(bits >> 52 & 0x7ff) - 1075 + 128;
    uint64_t m = (bits & 0xfffffffffffffu) | 0x10000000000000u;
    if (p >= 64) { /* |x| <= 2^46: p <= 122 */
        int s = p - 64;
        x1 = m << s;
        x2 = s > 11 ? m >> (64 - s) : 0;
    } else if (p >= 0) {
        x0 = m << p;
        x1 = p > 11 ? m >> (64 - p) : 0;
    } else if (p > -64 && bits << 1) {
        x0 = m >> -p;
    }
    ss_u128 a = mul64(ka, LN2[0]), b = mul64(ka, LN2[1]);
    uint64_t c = mul64(ka, LN2[2]).hi, g = a.hi, f1 = a.lo, f0 = b.lo + c;
    uint64_t t = b.hi + (f0 < c);
    f1 += t;
    g += f1 < t;
    /* r = k ln2 - x (negative x) or x - k ln2 */
    uint64_t s1 = f1 - x1, bo = f0 < x0, bb = (f1 < x1) | (s1 < bo);
    uint64_t r0 = f0 - x0, r1 = s1 - bo, r2 = g - x2 - bb;
    if (!(bits >> 63)) {
        r0 = ~r0 + 1;
        r1 = ~r1 + (r0 == 0);
        r2 = ~r2 + (r0 == 0 && r1 == 0);
    }
    if (r2 >> 63) {
        r0 += LN2[1];
        r1 += LN2[0] + (r0 < LN2[1]);
        k--;
    }
    *kp = k;
    ss_u128 tau = {r1 << 10 | r0 >> 54, r0 << 10};
    uint64_t h = EXP_C[10].lo;
    h = EXP_C[9].lo + mul64(h, tau.hi).hi;
    h = EXP_C[8].lo + mul64(h, tau.hi).hi;
    h = EXP_C[7].lo + mul64(h, tau.hi).hi;
    h = EXP_C[6].lo + mul64(h, tau.hi).hi;
    ss_u128 H = {0, mul64(h, tau.hi).hi};
    H = add(EXP_C[5], H);
    H = add(EXP_C[4], mulhi(H, tau));
    H = add(EXP_C[3], mulhi(H, tau));
    H = add(EXP_C[2], mulhi(H, tau));
    H = add(EXP_C[1], mulhi(H, tau));
    H = mulhi(H, tau);
    ss_u128 A = EXP_A[r1 >> 59];
    A = add(A, mulhi(A, EXP_B[r1 >> 54 & 31]));
    return add(A, mulhi(A, H));
}

/* e^x at the scale 2^scale with 3 limbs of fraction, k = floor_k(x); 0 where it is less than a unit. weight: NULL, or
   what multiplies it, in units of 2^-64. */
static inline void fast_term(double x, double kd, const uint64_t *weight, int we, double scale, uint64_t *t)
{
    int64_t k;
    ss_u128 v = exp_fast(x, kd, &k);
    if (weight) {
        uint64_t c = mul64(v.lo, *weight).hi;
        v = mul64(v.hi, *weight);
        v.lo += c;
        v.hi += v.lo < c;
    }
    int64_t s = (int64_t)scale - k - we;
    t[0] = t[3] = 0;
    t[1] = v.lo;
    t[2] = v.hi;
    if (s >= 64) {
        shr_n(t, 3, (int)s);
    } else if (s) {
        t[0] = v.lo << (64 - s);
        t[1] = v.lo >> s | v.hi << (64 - s);
        t[2] = v.hi >> s;
    }
}

/* Brings a sum of such terms to two limbs of fraction; returns its error in units. Each term is within 40 * 2^-126 of
   itself, hence so is their sum; the limb dropped adds 2 units. */
static double fast_sum(uint64_t *acc, double terms, int subtract)
{
    shl_n(acc, 4, 2);
    for (int i = 0; i < 3; i++) acc[i] = acc[i + 1];
    return 160 * (subtract ? 6 : (double)acc[2] + 1) + ldexp(terms, -60) + 2;
}

#endif
