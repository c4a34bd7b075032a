/* Natural numbers of many 64-bit limbs, least significant first, for ladder.c. */
#ifndef STABLESOFT_LADDER_LIMBS_H
#define STABLESOFT_LADDER_LIMBS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t hi, lo;
} ss_u128;

/* Where long arrays live. On a GPU, where one thread of a block climbs at a time, its shared memory: stacks of this
   size for every thread would take gigabytes. Hence no such array has an initialiser. */
#ifndef SS_LIMBS
#define SS_LIMBS
#endif

/* A GPU's compiler would inline these functions everywhere, which makes ten times the code; `here` they shall be. */
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define SS_APART __noinline__
#else
#define SS_APART
#endif

#if defined(__CUDACC__)
static inline ss_u128 mul64(uint64_t a, uint64_t b)
{
    ss_u128 r = {__umul64hi(a, b), a * b};
    return r;
}
#elif defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 ss_wide;
static inline ss_u128 mul64(uint64_t a, uint64_t b)
{
    ss_wide p = (ss_wide)a * b;
    ss_u128 r = {(uint64_t)(p >> 64), (uint64_t)p};
    return r;
}
#else
static inline ss_u128 mul64(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), mid2 = a0 * b1 + (uint32_t)mid;
    ss_u128 r = {a1 * b1 + (mid >> 32) + (mid2 >> 32), (mid2 << 32) | (uint32_t)low};
    return r;
}
#endif

enum { LMAX = 64, NMAX = LMAX + 4 }; /* NMAX is the length of ss_ladder_sum.limb */

static inline uint64_t add_here(uint64_t *a, const uint64_t *b, int n) /* a += b */
{
    uint64_t carry = 0;
    for (int i = 0; i < n; i++) {
        uint64_t s = a[i] + carry;
        carry = s < carry;
        a[i] = s + b[i];
        carry += a[i] < s;
    }
    return carry;
}
SS_APART static uint64_t add_n(uint64_t *a, const uint64_t *b, int n) { return add_here(a, b, n); }

static inline uint64_t sub_here(uint64_t *a, const uint64_t *b, int n) /* a -= b; the borrow */
{
    uint64_t borrow = 0;
    for (int i = 0; i < n; i++) {
        uint64_t d = a[i] - borrow;
        borrow = d > a[i];
        uint64_t e = d - b[i];
        borrow += e > d;
        a[i] = e;
    }
    return borrow;
}
SS_APART static uint64_t sub_n(uint64_t *a, const uint64_t *b, int n) { return sub_here(a, b, n); }

SS_APART static void neg_n(uint64_t *a, int n)
{
    uint64_t carry = 1;
    for (int i = 0; i < n; i++) {
        a[i] = ~a[i] + carry;
        carry = carry && a[i] == 0;
    }
}

SS_APART static int cmp_n(const uint64_t *a, const uint64_t *b, int n)
{
    while (n-- > 0)
        if (a[n] != b[n]) return a[n] < b[n] ? -1 : 1;
    return 0;
}

SS_APART static int top_bit(const uint64_t *a, int n) /* position of the highest set bit; -1 for zero */
{
    while (n-- > 0)
        if (a[n]) {
            int b = 0;
            for (uint64_t v = a[n]; v >>= 1;) b++;
            return 64 * n + b;
        }
    return -1;
}

static inline void shr_here(uint64_t *a, int n, int bits) /* a >>= bits, bits >= 0 */
{
    int words = bits >> 6, off = bits & 63;
    for (int i = 0; i < n; i++) {
        uint64_t lo = i + words < n ? a[i + words] : 0, hi = i + words + 1 < n ? a[i + words + 1] : 0;
        a[i] = off ? lo >> off | hi << (64 - off) : lo;
    }
}
SS_APART static void shr_n(uint64_t *a, int n, int bits) { shr_here(a, n, bits); }

SS_APART static void shl_n(uint64_t *a, int n, int bits)
{
    int words = bits >> 6, off = bits & 63;
    for (int i = n - 1; i >= 0; i--) {
        uint64_t hi = i - words >= 0 ? a[i - words] : 0, lo = i - words - 1 >= 0 ? a[i - words - 1] : 0;
        a[i] = off ? hi << off | lo >> (64 - off) : hi;
    }
}

/* out = a * b, W limbs of fraction, truncated; less than W + 2 units too small. out may be a or b. */
SS_APART static void mul_fix(uint64_t *out, const uint64_t *a, const uint64_t *b, int W)
{
    SS_LIMBS uint64_t t[2 * NMAX];
    memset(t, 0, (size_t)(W + 4) * sizeof t[0]);
    for (int i = 0; i <= W; i++) {
        uint64_t carry = 0;
        int j = W - 1 - i, c;
        if (!a[i]) continue;
        if (j < 0) j = 0;
        for (; j <= W; j++) {
            ss_u128 p = mul64(a[i], b[j]);
            c = i + j - (W - 1);
            p.lo += carry;
            p.hi += p.lo < carry;
            t[c] += p.lo;
            carry = p.hi + (t[c] < p.lo);
        }
        t[i + 2] += carry; /* column i + W + 1; no row before this one has reached it */
    }
    memcpy(out, t + 1, (size_t)(W + 1) * sizeof t[0]);
}

SS_APART static void mul_small(uint64_t *a, int n, uint64_t m) /* a[0..n] = a[0..n-1] * m */
{
    uint64_t carry = 0;
    for (int i = 0; i < n; i++) {
        ss_u128 p = mul64(a[i], m);
        a[i] = p.lo + carry;
        carry = p.hi + (a[i] < p.lo);
    }
    a[n] = carry;
}

SS_APART static void div_small(uint64_t *a, int n, uint32_t m)
{
    uint64_t rem = 0;
    while (n-- > 0) {
        uint64_t h = rem << 32 | a[n] >> 32, l = (h % m) << 32 | (uint32_t)a[n];
        a[n] = (h / m) << 32 | l / m;
        rem = l % m;
    }
}

/* z = p / d with W limbs of fraction, 0 <= p < d, 1 <= d < 4; a few units too small. p is destroyed.
   Digits of 30 bits, each at most 2 too small, so that the remainder stays in [0, 3 d). */
SS_APART static void div_fix(uint64_t *z, uint64_t *p, const uint64_t *d, int W)
{
    SS_LIMBS uint64_t t[NMAX + 1];
    double dd = (double)d[W] + ldexp((double)d[W - 1], -64);
    memset(z, 0, (size_t)(W + 1) * sizeof z[0]);
    for (int pos = 64 * W - 30; pos > -30; pos -= 30) {
        shl_n(p, W + 1, 30);
        double digit = floor(((double)p[W] + ldexp((double)p[W - 1], -64)) / dd) - 1;
        if (!(digit > 0)) continue;
        uint64_t v = (uint64_t)digit;
        memcpy(t, d, (size_t)(W + 1) * sizeof t[0]);
        mul_small(t, W + 1, v);
        sub_n(p, t, W + 1);
        memset(t, 0, (size_t)(W + 1) * sizeof t[0]);
        if (pos < 0) {
            t[0] = v >> -pos;
        } else {
            t[pos >> 6] = v << (pos & 63);
            if (pos & 63) t[(pos >> 6) + 1] = v >> (64 - (pos & 63));
        }
        add_n(z, t, W + 1);
    }
}

#endif
