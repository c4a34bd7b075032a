// SPDX-License-Identifier: BSD-3-Clause
//
// Constants of the exponential and the logarithm, for C, C++ and CUDA. Kept by hand; docs/constants/exp.py and
// docs/constants/log.py derive every value, and tests/test_constants.py compares this file with them bit for bit.
// RN is rounding to the nearest double. Errors are those of the polynomial with its double coefficients, in exact
// arithmetic; evaluating it in doubles adds its own.

#ifndef STABLESOFT_MATH_CONSTANTS_H
#define STABLESOFT_MATH_CONSTANTS_H

#include <stdint.h>

// ---- exp ----

// RN(1/ln 2). Origin: docs/constants/exp.py.
static const double SS_LOG2E = 0x1.71547652b82fep+0;

// RN(ln 2); shared by exp and log. Origin: docs/constants/exp.py.
static const double SS_LN2_HI = 0x1.62e42fefa39efp-1;

// RN(ln 2 - SS_LN2_HI). Origin: docs/constants/exp.py.
static const double SS_LN2_LO = 0x1.abc9e3b39803fp-56;

// 1.5 * 2^48: adding it rounds to a multiple of 1/16 and leaves that multiple in the low mantissa bits.
// Origin: docs/constants/exp.py.
static const double SS_EXP_MAGIC = 0x1.8000000000000p+48;

// bits(RN(2^(j/16))) - (j << 48), mod 2^64: adding k << 48, k = 16 e + j, gives the bits of 2^e RN(2^(j/16)).
// Origin: docs/constants/exp.py.
static const uint64_t SS_EXP_HI[16] = {
    0x3ff0000000000000ULL, 0x3fefb5586cf9890fULL, 0x3fef72b83c7d517bULL, 0x3fef387a6e756238ULL,
    0x3fef06fe0a31b715ULL, 0x3feedea64c123422ULL, 0x3feebfdad5362a27ULL, 0x3feeab07dd485429ULL,
    0x3feea09e667f3bcdULL, 0x3feea11473eb0187ULL, 0x3feeace5422aa0dbULL, 0x3feec49182a3f090ULL,
    0x3feee89f995ad3adULL, 0x3fef199bdd85529cULL, 0x3fef5818dcfba487ULL, 0x3fefa4afa2a490daULL,
};

// The rest, bits(RN(2^(j/16) - RN(2^(j/16)))) - (j << 48), mod 2^64, used in the same way. Entry 0 stands for 2^-120
// instead of 0, because the exponent of a zero cannot be shifted. Origin: docs/constants/exp.py.
static const uint64_t SS_EXP_LO[16] = {
    0x3870000000000000ULL, 0x3c97a62e4adc610bULL, 0xbc7f9041b9d78a76ULL, 0x3c96b07eb6c70573ULL,
    0x3c82f46ad23182e4ULL, 0x3c85da0911f09ebcULL, 0x3c774397afec42e2ULL, 0x3c8f324c054647adULL,
    0xbc93dd3413b26456ULL, 0xbc7b1577ee04992fULL, 0x3c8ce9f156864b27ULL, 0x3c717c46b071f2beULL,
    0x3c8ba1cd345dcc81ULL, 0x3c741065895048ddULL, 0x3c74ed02d75b3707ULL, 0xbc8f9c23179c2893ULL,
};

// c0, c1, c2: e^r ~ lead (c0 + r (c1 + r (c2 + r))), |r| <= ln2/32 (1 + 2^-20); minimax of the relative error, which is
// about 2^-29.70. Origin: docs/constants/exp.py.
static const double SS_EXP_CUBIC[3] = {
    0x1.80024eccae023p+2, 0x1.80024ee4533dbp+2, 0x1.800626cac4e4fp+1,
};

// bits(RN(lead 2^(j/16))) - (j << 48), mod 2^64, used as SS_EXP_HI is. Origin: docs/constants/exp.py.
static const uint64_t SS_EXP_CUBIC_POWER[16] = {
    0x3fc5553482a35943ULL, 0x3fc546fe4a95d6d8ULL, 0x3fc5437c8572d441ULL, 0x3fc54b2887b7af48ULL,
    0x3fc55e81050c1affULL, 0x3fc57e0a4d245e9fULL, 0x3fc5aa4e8b55a44fULL, 0x3fc5e3de08fae508ULL,
    0x3fc62b4f72ca5912ULL, 0x3fc68140213cbe36ULL, 0x3fc6732a32149f31ULL, 0x3fc62d9be8dd25e8ULL,
    0x3fc5f04ecc70b1bbULL, 0x3fc5bba06bb8aa5aULL, 0x3fc58ff27a043719ULL, 0x3fc56daafdfae258ULL,
};

// d0..d5: e^r - 1 ~ r + r^2 (d0 + d1 r + ... + d5 r^5) on the same interval; minimax of the error relative to e^r,
// which is about 2^-66.24. Origin: docs/constants/exp.py.
static const double SS_EXP7[6] = {
    0x1.0000000000004p-1, 0x1.5555555555545p-3, 0x1.5555555484dd7p-5, 0x1.111111125c475p-7,
    0x1.6c183db988bc5p-10, 0x1.a0190db7ef537p-13,
};

// The same numbers in floats, whose sums they are but for 2^-48 of them; for GPUs that are slow with doubles.

// 16 SS_LOG2E. Origin: docs/constants/exp.py.
static const float SS_FLOAT_LOG2E[2] = {0x1.715476p+4f, 0x1.4ae0c0p-22f};

// SS_LN2_HI / 16, exactly. Origin: docs/constants/exp.py.
static const float SS_FLOAT_LN2[3] = {0x1.62e430p-5f, -0x1.05c610p-33f, -0x1.000000p-57f};

// SS_EXP_CUBIC, high and low part of each. Origin: docs/constants/exp.py.
static const float SS_FLOAT_CUBIC[6] = {
    0x1.80024ep+2f, 0x1.995c04p-23f, 0x1.80024ep+2f, 0x1.c8a67cp-23f,
    0x1.800626p+1f, 0x1.9589cap-24f,
};

// e^r / lead without the cubic, up to r^6. Origin: docs/constants/exp.py.
static const float SS_FLOAT_REST[7] = {
    0x1.d8b01ap-28f, -0x1.0427b2p-26f, -0x1.ebfb5ap-14f, 0x1.89e2b6p-16f,
    0x1.00018ap-2f, 0x1.999c10p-5f, 0x1.1112b6p-7f,
};

// RN(lead 2^(j/16)), high and low part of each. Origin: docs/constants/exp.py.
static const float SS_FLOAT_POWER[32] = {
    0x1.555348p-3f, 0x1.51aca2p-30f, 0x1.646fe4p-3f, 0x1.52badcp-28f,
    0x1.7437c8p-3f, 0x1.5cb510p-29f, 0x1.84b288p-3f, 0x1.edebd2p-29f,
    0x1.95e810p-3f, 0x1.4306c0p-29f, 0x1.a7e0a4p-3f, 0x1.a48bd4p-28f,
    0x1.baa4e8p-3f, 0x1.6ab48ap-28f, 0x1.ce3de0p-3f, 0x1.1f5ca0p-28f,
    0x1.e2b4f8p-3f, -0x1.a6b4dep-28f, 0x1.f81402p-3f, 0x1.3cbe36p-31f,
    0x1.0732a4p-2f, -0x1.bd6c1ap-27f, 0x1.12d9bep-2f, 0x1.1ba4bcp-27f,
    0x1.1f04ecp-2f, 0x1.8e1638p-27f, 0x1.2bba06p-2f, 0x1.77154cp-27f,
    0x1.38ff28p-2f, -0x1.7ef23ap-28f, 0x1.46dab0p-2f, -0x1.028ed4p-29f,
};

// ---- log ----
//
// z in [1, 2), entry i = z rounded to 1 + i/16 (2 counts as 1 of the next exponent). From the split index on, y = z/2
// (and the exponent goes up by one), below it y = z. log y = -log(inv) + log1p(f), f = y inv - 1. The tables hold the
// bits of doubles, for the table lookup of the vector vocabulary.

// The first index that is halved: z >= 1 + 6.5/16 = 1.40625. Origin: docs/constants/log.py.
static const int SS_LOG_SPLIT_INDEX = 7;

// inv: the multiple of 2^-10 with the least max |f| on its interval; 1 for the entry next to z = 1 and z = 2.
// max |f| = 2^-5 over all entries. Origin: docs/constants/log.py.
static const uint64_t SS_LOG_INV[16] = {
    0x3ff0000000000000ULL, 0x3fee200000000000ULL, 0x3fec700000000000ULL, 0x3feaf00000000000ULL,
    0x3fe9980000000000ULL, 0x3fe8600000000000ULL, 0x3fe7480000000000ULL, 0x3ff6440000000000ULL,
    0x3ff5540000000000ULL, 0x3ff47c0000000000ULL, 0x3ff3b00000000000ULL, 0x3ff2f80000000000ULL,
    0x3ff2480000000000ULL, 0x3ff1a80000000000ULL, 0x3ff1100000000000ULL, 0x3ff0840000000000ULL,
};

// RN(-log inv). Origin: docs/constants/log.py.
static const uint64_t SS_LOG_HI[16] = {
    0x0000000000000000ULL, 0x3faeea31c006b87cULL, 0x3fbe3707ee30487bULL, 0x3fc60b3100b09476ULL,
    0x3fcc97f8079d44ecULL, 0x3fd16b5ccbacfb73ULL, 0x3fd45b8c0a17df13ULL, 0xbfd5262deeb98879ULL,
    0xbfd26561f133862dULL, 0xbfcfa01c3bb57cbcULL, 0xbfca8becfc882f19ULL, 0xbfc5c940075972b9ULL,
    0xbfc10f8e422539b1ULL, 0xbfb9375e55595edeULL, 0xbfb075983598e471ULL, 0xbfa03d5d85e73eefULL,
};

// RN(-log inv - SS_LOG_HI). Origin: docs/constants/log.py.
static const uint64_t SS_LOG_LO[16] = {
    0x0000000000000000ULL, 0xbc43e4fc93b7b66cULL, 0x3c509ccecd579d99ULL, 0xbc55b2623e05016bULL,
    0x3c661a8c6e6c4ee7ULL, 0x3c766fbd28b40935ULL, 0x3c7dbe305eaf5a20ULL, 0xbc5823ddad7fcfa1ULL,
    0xbc610cdf548bd15cULL, 0xbc41c0a3c50f47adULL, 0x3c5e8c37918c39ebULL, 0xbc5adccb73379cc5ULL,
    0xbc58f798d39f1b7dULL, 0x3c4e463f9e4dd920ULL, 0xbc480da5333c45b8ULL, 0xbc22c1da539d60edULL,
};

// a0..a8: log1p(f) ~ f - f^2/2 + f^3 (a0 + a1 f + ... + a8 f^8), |f| <= 2^-5 (1 + 2^-20); minimax of the error
// relative to f, which is about 2^-67.97. Origin: docs/constants/log.py.
static const double SS_LOG1P[9] = {
    0x1.5555555555555p-2, -0x1.ffffffffffeffp-3, 0x1.999999999a7d6p-3, -0x1.5555555780bcep-3,
    0x1.2492491f1d1b0p-3, -0x1.ffffcf943db71p-4, 0x1.c71c760443078p-4, -0x1.9a732aac1338ap-4,
    0x1.74ed1093affc2p-4,
};

// The same in floats: each inv with the high and the low part of its -log inv. Origin: docs/constants/log.py.
static const float SS_FLOAT_INVERSE[48] = {
    0x1.000000p+0f, 0x0p+0f, 0x0p+0f, 0x1.e20000p-1f, 0x1.eea31cp-5f, 0x1.ae1f00p-39f,
    0x1.c70000p-1f, 0x1.e3707ep-4f, 0x1.c60910p-29f, 0x1.af0000p-1f, 0x1.60b310p-3f, 0x1.6128ecp-32f,
    0x1.998000p-1f, 0x1.c97f80p-3f, 0x1.e7513cp-29f, 0x1.860000p-1f, 0x1.16b5ccp-2f, 0x1.759f6ep-27f,
    0x1.748000p-1f, 0x1.45b8c0p-2f, 0x1.42fbe2p-27f, 0x1.644000p+0f, -0x1.5262dep-2f, -0x1.d73110p-27f,
    0x1.554000p+0f, -0x1.265620p-2f, 0x1.d98f3ap-27f, 0x1.47c000p+0f, -0x1.fa01c4p-3f, 0x1.12a0d0p-29f,
    0x1.3b0000p+0f, -0x1.a8bed0p-3f, 0x1.bbe874p-30f, 0x1.2f8000p+0f, -0x1.5c9400p-3f, -0x1.d65caep-29f,
    0x1.248000p+0f, -0x1.10f8e4p-3f, -0x1.129cd8p-30f, 0x1.1a8000p+0f, -0x1.9375e6p-4f, 0x1.54d424p-29f,
    0x1.110000p+0f, -0x1.075984p-4f, 0x1.4ce372p-29f, 0x1.084000p+0f, -0x1.03d5d8p-5f, -0x1.79cfbcp-31f,
};

// a0 as high and low part, a1..a4. Origin: docs/constants/log.py.
static const float SS_FLOAT_LOG1P[6] = {
    0x1.555556p-2f, -0x1.555556p-27f, -0x1.000000p-2f, 0x1.99999ap-3f, -0x1.555556p-3f, 0x1.24924ap-3f,
};

// b0..b5: log((1 + s) / (1 - s)) ~ 2 s + s w (b0 + b1 w + ... + b5 w^5), w = s^2, |s| <= 1/5 (1 + 2^-21); minimax of
// the error relative to 2 s, which is about 2^-42.40. Origin: docs/constants/log.py.
static const double SS_LOG_SINGLE[6] = {
    0x1.55555555d71b4p-1, 0x1.9999999c3509fp-2, 0x1.2492352b4b3f3p-2, 0x1.c71c347c1bd16p-3,
    0x1.7520c18128105p-3, 0x1.3bed12235ffd3p-3,
};

// The same in floats: b0, b1 and b2 as high and low part. Origin: docs/constants/log.py.
static const float SS_FLOAT_LOG[9] = {
    0x1.555556p-1f, -0x1.5451cap-26f, 0x1.99999ap-2f, -0x1.8f2bd8p-28f, 0x1.249236p-2f,
    -0x1.a96982p-27f, 0x1.c71c34p-3f, 0x1.7520c2p-3f, 0x1.3bed12p-3f,
};

// ---- log1p of e, 0 <= e <= 1 ----
//
// Entry j = 15 e rounded. log1p e = -log(inv) + log1p(g), g = (1 + e) inv - 1.

// inv: near 1 / (1 + j/15), and so chosen that -log inv is a double but for 2^-64. Origin: docs/constants/log.py.
static const uint64_t SS_UNIT_INV[16] = {
    0x3ff0000000000000ULL, 0x3fee000000100000ULL, 0x3fec3c3c3c763c3cULL, 0x3feaaaaaae48aaabULL,
    0x3fe9435e51c19436ULL, 0x3fe8000005400000ULL, 0x3fe6db6dbf176db7ULL, 0x3fe5d174606b45d1ULL,
    0x3fe4de9bd6626f4eULL, 0x3fe400000a9e0000ULL, 0x3fe3333333c33333ULL, 0x3fe276276fc22762ULL,
    0x3fe1c71c81171c72ULL, 0x3fe124924d269249ULL, 0x3fe08d3dcda0d3ddULL, 0x3fe0000010640000ULL,
};

// RN(-log inv). Origin: docs/constants/log.py.
static const uint64_t SS_UNIT_LOG[16] = {
    0x0000000000000000ULL, 0x3fb08598b515b17eULL, 0x3fc0055889cc86bfULL, 0x3fc756500087c9a9ULL,
    0x3fce41fcc6d5173dULL, 0x3fd269620334db94ULL, 0x3fd588c2c204ce2dULL, 0x3fd882f1e5c0ba13ULL,
    0x3fdb5b3e1b39c4efULL, 0x3fde1489f82d8d3dULL, 0x3fe058aef9911452ULL, 0x3fe199faaf7f067cULL,
    0x3fe2cf25df48f1cfULL, 0x3fe3f9126da8d4dfULL, 0x3fe5188a44ff1c43ULL, 0x3fe62e42de323a00ULL,
};

// q0..q8: log1p(g) ~ g + g^2 (q0 + q1 g + ... + q8 g^8), |g| <= 1/30 (1 + 2^-20); minimax of the error relative to g,
// which is about 2^-61.33. Origin: docs/constants/log.py.
static const double SS_UNIT[9] = {
    -0x1.0000000000000p-1, 0x1.55555555554a9p-2, -0x1.ffffffffffcb6p-3, 0x1.9999999c7de59p-3,
    -0x1.5555555a43fb0p-3, 0x1.24922a57eb703p-3, -0x1.ffffaee20b6a2p-4, 0x1.c81e9ccaabb7cp-4,
    -0x1.9aafe75e16b14p-4,
};

// The same with four coefficients; the error is about 2^-31.10. Origin: docs/constants/log.py.
static const double SS_UNIT_SINGLE[4] = {
    -0x1.fffffbb88a89fp-2, 0x1.55554d97f0998p-2, -0x1.003c905fb99e3p-2, 0x1.9a23501dc92efp-3,
};

// The same in floats: each inv and its -log inv, high and low part of both. Origin: docs/constants/log.py.
static const float SS_FLOAT_UNIT[64] = {
    0x1.000000p+0f, 0x0p+0f, 0x0p+0f, 0x0p+0f,
    0x1.e00000p-1f, 0x1.000000p-33f, 0x1.08598cp-4f, -0x1.5d49d0p-29f,
    0x1.c3c3c4p-1f, -0x1.c4e1e2p-28f, 0x1.005588p-3f, 0x1.3990d8p-28f,
    0x1.aaaaaap-1f, 0x1.c91556p-26f, 0x1.756500p-3f, 0x1.0f9352p-32f,
    0x1.9435e6p-1f, -0x1.c7cd7ap-26f, 0x1.e41fccp-3f, 0x1.b545d0p-29f,
    0x1.800000p-1f, 0x1.500000p-27f, 0x1.269620p-2f, 0x1.9a6dcap-29f,
    0x1.6db6dcp-1f, -0x1.d12492p-30f, 0x1.588c2cp-2f, 0x1.026716p-29f,
    0x1.5d1746p-1f, 0x1.ad1744p-31f, 0x1.882f1ep-2f, 0x1.702e84p-28f,
    0x1.4de9bep-1f, -0x1.33b216p-26f, 0x1.b5b3e2p-2f, -0x1.318ec4p-28f,
    0x1.400000p-1f, 0x1.53c000p-26f, 0x1.e148a0p-2f, -0x1.f49cb0p-28f,
    0x1.333334p-1f, -0x1.87999ap-26f, 0x1.058af0p-1f, -0x1.9bbaecp-27f,
    0x1.276276p-1f, 0x1.f844ecp-26f, 0x1.199faap-1f, 0x1.efe0d0p-26f,
    0x1.1c71c8p-1f, 0x1.171c72p-29f, 0x1.2cf25ep-1f, -0x1.6e1c62p-30f,
    0x1.124924p-1f, 0x1.a4d24ap-26f, 0x1.3f9126p-1f, 0x1.b51a9cp-26f,
    0x1.08d3dcp-1f, 0x1.b41a7cp-26f, 0x1.5188a4p-1f, 0x1.3fc710p-27f,
    0x1.000002p-1f, -0x1.f38000p-26f, 0x1.62e42ep-1f, -0x1.cdc600p-29f,
};

// q0 and q1 of the four, high and low part of each, q2 and q3. Origin: docs/constants/log.py.
static const float SS_FLOAT_UNIT_SINGLE[6] = {
    -0x1.fffffcp-2f, 0x1.1dd5d8p-28f, 0x1.55554ep-2f, -0x1.a03d9ap-28f, -0x1.003c90p-2f, 0x1.9a2350p-3f,
};

#endif  // STABLESOFT_MATH_CONSTANTS_H
