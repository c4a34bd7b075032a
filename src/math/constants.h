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

// ---- log ----
//
// z in [1, 2), entry i = its top 7 mantissa bits. From the split index on, y = z/2 (and the exponent goes up by one),
// below it y = z. log y = -log(inv) + log1p(f), f = y inv - 1.

// The first index that is halved: z >= 1 + 53/128 = 1.4140625. Origin: docs/constants/log.py.
static const int SS_LOG_SPLIT_INDEX = 53;

// inv: the multiple of 2^-7 with the least max |f| on its interval; 1 for the entries next to z = 1 and z = 2.
// max |f| = 2^-7 over all entries, and f = y inv - 1 is exactly a double. Origin: docs/constants/log.py.
static const double SS_LOG_INV[128] = {
    0x1.0000000000000p+0, 0x1.fc00000000000p-1, 0x1.f800000000000p-1, 0x1.f400000000000p-1,
    0x1.f000000000000p-1, 0x1.ec00000000000p-1, 0x1.e800000000000p-1, 0x1.e400000000000p-1,
    0x1.e000000000000p-1, 0x1.dc00000000000p-1, 0x1.d800000000000p-1, 0x1.d400000000000p-1,
    0x1.d400000000000p-1, 0x1.d000000000000p-1, 0x1.cc00000000000p-1, 0x1.c800000000000p-1,
    0x1.c400000000000p-1, 0x1.c400000000000p-1, 0x1.c000000000000p-1, 0x1.bc00000000000p-1,
    0x1.b800000000000p-1, 0x1.b800000000000p-1, 0x1.b400000000000p-1, 0x1.b000000000000p-1,
    0x1.ac00000000000p-1, 0x1.ac00000000000p-1, 0x1.a800000000000p-1, 0x1.a400000000000p-1,
    0x1.a400000000000p-1, 0x1.a000000000000p-1, 0x1.9c00000000000p-1, 0x1.9c00000000000p-1,
    0x1.9800000000000p-1, 0x1.9400000000000p-1, 0x1.9400000000000p-1, 0x1.9000000000000p-1,
    0x1.9000000000000p-1, 0x1.8c00000000000p-1, 0x1.8800000000000p-1, 0x1.8800000000000p-1,
    0x1.8400000000000p-1, 0x1.8400000000000p-1, 0x1.8000000000000p-1, 0x1.8000000000000p-1,
    0x1.7c00000000000p-1, 0x1.7800000000000p-1, 0x1.7800000000000p-1, 0x1.7400000000000p-1,
    0x1.7400000000000p-1, 0x1.7000000000000p-1, 0x1.7000000000000p-1, 0x1.6c00000000000p-1,
    0x1.6c00000000000p-1, 0x1.6a00000000000p+0, 0x1.6800000000000p+0, 0x1.6600000000000p+0,
    0x1.6400000000000p+0, 0x1.6200000000000p+0, 0x1.6000000000000p+0, 0x1.5e00000000000p+0,
    0x1.5c00000000000p+0, 0x1.5a00000000000p+0, 0x1.5800000000000p+0, 0x1.5600000000000p+0,
    0x1.5400000000000p+0, 0x1.5200000000000p+0, 0x1.5000000000000p+0, 0x1.5000000000000p+0,
    0x1.4e00000000000p+0, 0x1.4c00000000000p+0, 0x1.4a00000000000p+0, 0x1.4800000000000p+0,
    0x1.4600000000000p+0, 0x1.4600000000000p+0, 0x1.4400000000000p+0, 0x1.4200000000000p+0,
    0x1.4000000000000p+0, 0x1.3e00000000000p+0, 0x1.3e00000000000p+0, 0x1.3c00000000000p+0,
    0x1.3a00000000000p+0, 0x1.3800000000000p+0, 0x1.3800000000000p+0, 0x1.3600000000000p+0,
    0x1.3400000000000p+0, 0x1.3200000000000p+0, 0x1.3200000000000p+0, 0x1.3000000000000p+0,
    0x1.2e00000000000p+0, 0x1.2e00000000000p+0, 0x1.2c00000000000p+0, 0x1.2a00000000000p+0,
    0x1.2a00000000000p+0, 0x1.2800000000000p+0, 0x1.2600000000000p+0, 0x1.2600000000000p+0,
    0x1.2400000000000p+0, 0x1.2200000000000p+0, 0x1.2200000000000p+0, 0x1.2000000000000p+0,
    0x1.1e00000000000p+0, 0x1.1e00000000000p+0, 0x1.1c00000000000p+0, 0x1.1c00000000000p+0,
    0x1.1a00000000000p+0, 0x1.1800000000000p+0, 0x1.1800000000000p+0, 0x1.1600000000000p+0,
    0x1.1600000000000p+0, 0x1.1400000000000p+0, 0x1.1200000000000p+0, 0x1.1200000000000p+0,
    0x1.1000000000000p+0, 0x1.1000000000000p+0, 0x1.0e00000000000p+0, 0x1.0e00000000000p+0,
    0x1.0c00000000000p+0, 0x1.0a00000000000p+0, 0x1.0a00000000000p+0, 0x1.0800000000000p+0,
    0x1.0800000000000p+0, 0x1.0600000000000p+0, 0x1.0600000000000p+0, 0x1.0400000000000p+0,
    0x1.0400000000000p+0, 0x1.0200000000000p+0, 0x1.0200000000000p+0, 0x1.0000000000000p+0,
};

// RN(-log inv). Origin: docs/constants/log.py.
static const double SS_LOG_HI[128] = {
    0x0.0p+0, 0x1.010157588de71p-7, 0x1.0205658935847p-6, 0x1.8492528c8cabfp-6,
    0x1.0415d89e74444p-5, 0x1.466aed42de3eap-5, 0x1.894aa149fb343p-5, 0x1.ccb73cdddb2ccp-5,
    0x1.08598b59e3a07p-4, 0x1.2aa04a44717a5p-4, 0x1.4d3115d207eacp-4, 0x1.700d30aeac0e1p-4,
    0x1.700d30aeac0e1p-4, 0x1.9335e5d594989p-4, 0x1.b6ac88dad5b1cp-4, 0x1.da727638446a2p-4,
    0x1.fe89139dbd566p-4, 0x1.fe89139dbd566p-4, 0x1.1178e8227e47cp-3, 0x1.23d712a49c202p-3,
    0x1.365fcb0159016p-3, 0x1.365fcb0159016p-3, 0x1.4913d8333b561p-3, 0x1.5bf406b543db2p-3,
    0x1.6f0128b756abcp-3, 0x1.6f0128b756abcp-3, 0x1.823c16551a3c2p-3, 0x1.95a5adcf7017fp-3,
    0x1.95a5adcf7017fp-3, 0x1.a93ed3c8ad9e3p-3, 0x1.bd087383bd8adp-3, 0x1.bd087383bd8adp-3,
    0x1.d1037f2655e7bp-3, 0x1.e530effe71012p-3, 0x1.e530effe71012p-3, 0x1.f991c6cb3b379p-3,
    0x1.f991c6cb3b379p-3, 0x1.07138604d5862p-2, 0x1.1178e8227e47cp-2, 0x1.1178e8227e47cp-2,
    0x1.1bf99635a6b95p-2, 0x1.1bf99635a6b95p-2, 0x1.269621134db92p-2, 0x1.269621134db92p-2,
    0x1.314f1e1d35ce4p-2, 0x1.3c25277333184p-2, 0x1.3c25277333184p-2, 0x1.4718dc271c41bp-2,
    0x1.4718dc271c41bp-2, 0x1.522ae0738a3d8p-2, 0x1.522ae0738a3d8p-2, 0x1.5d5bddf595f30p-2,
    0x1.5d5bddf595f30p-2, -0x1.62c82f2b9c795p-2, -0x1.5d1bdbf5809cap-2, -0x1.5767717455a6cp-2,
    -0x1.51aad872df82dp-2, -0x1.4be5f957778a1p-2, -0x1.4618bc21c5ec2p-2, -0x1.404308686a7e4p-2,
    -0x1.3a64c556945eap-2, -0x1.347dd9a987d55p-2, -0x1.2e8e2bae11d31p-2, -0x1.2895a13de86a3p-2,
    -0x1.22941fbcf7966p-2, -0x1.1c898c16999fbp-2, -0x1.1675cababa60ep-2, -0x1.1675cababa60ep-2,
    -0x1.1058bf9ae4ad5p-2, -0x1.0a324e27390e3p-2, -0x1.0402594b4d041p-2, -0x1.fb9186d5e3e2bp-3,
    -0x1.ef0adcbdc5936p-3, -0x1.ef0adcbdc5936p-3, -0x1.e27076e2af2e6p-3, -0x1.d5c216b4fbb91p-3,
    -0x1.c8ff7c79a9a22p-3, -0x1.bc286742d8cd6p-3, -0x1.bc286742d8cd6p-3, -0x1.af3c94e80bff3p-3,
    -0x1.a23bc1fe2b563p-3, -0x1.9525a9cf456b4p-3, -0x1.9525a9cf456b4p-3, -0x1.87fa06520c911p-3,
    -0x1.7ab890210d909p-3, -0x1.6d60fe719d21dp-3, -0x1.6d60fe719d21dp-3, -0x1.5ff3070a793d4p-3,
    -0x1.526e5e3a1b438p-3, -0x1.526e5e3a1b438p-3, -0x1.44d2b6ccb7d1ep-3, -0x1.371fc201e8f74p-3,
    -0x1.371fc201e8f74p-3, -0x1.29552f81ff523p-3, -0x1.1b72ad52f67a0p-3, -0x1.1b72ad52f67a0p-3,
    -0x1.0d77e7cd08e59p-3, -0x1.fec9131dbeabbp-4, -0x1.fec9131dbeabbp-4, -0x1.e27076e2af2e6p-4,
    -0x1.c5e548f5bc743p-4, -0x1.c5e548f5bc743p-4, -0x1.a926d3a4ad563p-4, -0x1.a926d3a4ad563p-4,
    -0x1.8c345d6319b21p-4, -0x1.6f0d28ae56b4cp-4, -0x1.6f0d28ae56b4cp-4, -0x1.51b073f06183fp-4,
    -0x1.51b073f06183fp-4, -0x1.341d7961bd1d1p-4, -0x1.16536eea37ae1p-4, -0x1.16536eea37ae1p-4,
    -0x1.f0a30c01162a6p-5, -0x1.f0a30c01162a6p-5, -0x1.b42dd711971bfp-5, -0x1.b42dd711971bfp-5,
    -0x1.77458f632dcfcp-5, -0x1.39e87b9febd60p-5, -0x1.39e87b9febd60p-5, -0x1.f829b0e783300p-6,
    -0x1.f829b0e783300p-6, -0x1.7b91b07d5b11bp-6, -0x1.7b91b07d5b11bp-6, -0x1.fc0a8b0fc03e4p-7,
    -0x1.fc0a8b0fc03e4p-7, -0x1.fe02a6b106789p-8, -0x1.fe02a6b106789p-8, 0x0.0p+0,
};

// RN(-log inv - SS_LOG_HI). Origin: docs/constants/log.py.
static const double SS_LOG_LO[128] = {
    0x0.0p+0, 0x1.46662d417ced0p-62, 0x1.27c8e8416e71fp-60, -0x1.d192d0619fa67p-60,
    0x1.c05cf1d753622p-59, -0x1.cdd6f7f4a137ep-59, 0x1.a8be97660a23dp-60, -0x1.e48fb0500efd4p-59,
    -0x1.dd7009902bf32p-58, -0x1.d15d38d2fa3f7p-58, 0x1.769f42c7842ccp-58, -0x1.72566212cdd05p-61,
    -0x1.72566212cdd05p-61, -0x1.478a85704ccb7p-58, -0x1.0057eed1ca59fp-59, 0x1.401fa71733019p-58,
    -0x1.ac9f4215f9393p-58, -0x1.ac9f4215f9393p-58, -0x1.0e63a5f01c691p-58, -0x1.6e38161051d69p-57,
    0x1.7d411a5b944adp-58, 0x1.7d411a5b944adp-58, -0x1.0d5604930f135p-58, -0x1.1f5b44c0df7e7p-61,
    -0x1.8de59c21e166cp-57, -0x1.8de59c21e166cp-57, -0x1.1232ce70be781p-57, 0x1.142c507fb7a3dp-58,
    0x1.142c507fb7a3dp-58, 0x1.bcafa9de97203p-57, 0x1.dd355f6a516d7p-60, 0x1.dd355f6a516d7p-60,
    0x1.60629242471a2p-57, 0x1.2276041f43042p-59, 0x1.2276041f43042p-59, 0x1.f665066f980a2p-57,
    0x1.f665066f980a2p-57, 0x1.cdb16ed4e9138p-56, -0x1.0e63a5f01c691p-57, -0x1.0e63a5f01c691p-57,
    -0x1.12aeb84249223p-57, -0x1.12aeb84249223p-57, 0x1.e0efadd9db02bp-56, 0x1.e0efadd9db02bp-56,
    -0x1.3d69909e5c3dcp-56, -0x1.2ad27e50a8ec6p-56, -0x1.2ad27e50a8ec6p-56, 0x1.8fb4c14c56eefp-60,
    0x1.8fb4c14c56eefp-60, -0x1.8f7e9b38a6979p-57, -0x1.8f7e9b38a6979p-57, -0x1.6541148cbb8a2p-56,
    -0x1.6541148cbb8a2p-56, -0x1.7b7af915300e5p-57, -0x1.4236383dc7fe1p-56, -0x1.526adb283660cp-56,
    -0x1.3927ac19f55e3p-59, 0x1.259b35b04813dp-57, -0x1.f42decdeccf1dp-56, 0x1.0bcfb6082ce6dp-56,
    0x1.c68651945f97cp-57, 0x1.4dd4c580919f8p-57, 0x1.8f4cdb95ebdf9p-56, -0x1.7ad24c13f040ep-56,
    0x1.76f5eb09628afp-56, 0x1.0e5c62aff1c44p-60, -0x1.ce63eab883717p-61, -0x1.ce63eab883717p-61,
    -0x1.89fa0ab4cb31dp-58, -0x1.7dcfde8061c03p-56, 0x1.28ec217a5022dp-57, 0x1.caaae64f21acbp-57,
    -0x1.48637950dc20dp-57, -0x1.48637950dc20dp-57, 0x1.61578001e0162p-59, -0x1.6e443597e4d40p-57,
    0x1.4f689f8434012p-57, -0x1.4fce744870f55p-58, -0x1.4fce744870f55p-58, 0x1.398cff3641985p-58,
    -0x1.93711b07a998cp-59, -0x1.d904c1d4e2e26p-57, -0x1.d904c1d4e2e26p-57, 0x1.bf7fdbfa08d9ap-57,
    -0x1.be36b2d6a0608p-59, 0x1.caae268ecd179p-57, 0x1.caae268ecd179p-57, 0x1.bc60efafc6f6ep-58,
    0x1.746ff8a470d3ap-57, 0x1.746ff8a470d3ap-57, -0x1.9f4f6543e1f88p-57, -0x1.de6cb62af18a0p-58,
    -0x1.de6cb62af18a0p-58, -0x1.301771c407dbfp-57, -0x1.483023472cd74p-58, -0x1.483023472cd74p-58,
    -0x1.9a5dc5e9030acp-57, 0x1.5746b9981b36cp-58, 0x1.5746b9981b36cp-58, 0x1.61578001e0162p-60,
    -0x1.5d617ef8161b1p-60, -0x1.5d617ef8161b1p-60, -0x1.942f48aa70ea9p-58, -0x1.942f48aa70ea9p-58,
    0x1.4a697ab3424a9p-61, 0x1.906d99184b992p-58, 0x1.906d99184b992p-58, -0x1.a49e39a1a8be4p-58,
    -0x1.a49e39a1a8be4p-58, 0x1.b599f227becbbp-58, 0x1.79da3e8c22cdap-60, 0x1.79da3e8c22cdap-60,
    -0x1.85f325c5bbacdp-59, -0x1.85f325c5bbacdp-59, 0x1.eb9759c130499p-60, 0x1.eb9759c130499p-60,
    -0x1.18d3ca87b9296p-59, 0x1.5bfa937f551bbp-59, 0x1.5bfa937f551bbp-59, -0x1.33e3f04f1ef23p-60,
    -0x1.33e3f04f1ef23p-60, 0x1.5b602ace3a510p-60, 0x1.5b602ace3a510p-60, 0x1.83092c59642a1p-62,
    0x1.83092c59642a1p-62, 0x1.e44b7e3711ebfp-67, 0x1.e44b7e3711ebfp-67, 0x0.0p+0,
};

// a0..a7: log1p(f) ~ f - f^2/2 + f^3 (a0 + a1 f + ... + a7 f^7), |f| <= 2^-7 (1 + 2^-20); minimax of the error
// relative to f, which is about 2^-73.92. Origin: docs/constants/log.py.
static const double SS_LOG1P[8] = {
    0x1.5555555555555p-2, -0x1.0000000000000p-2, 0x1.99999999a9d78p-3, -0x1.5555555555647p-3,
    0x1.24924218357c5p-3, -0x1.ffffffdd7e0b0p-4, 0x1.c8fa450af7f28p-4, -0x1.99a5ac20ac2d3p-4,
};

#endif  // STABLESOFT_MATH_CONSTANTS_H
