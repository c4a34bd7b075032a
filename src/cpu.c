/* SPDX-License-Identifier: BSD-3-Clause
   Which tables this processor runs. */
#include "kernels.h"

#if SS_HAVE_AVX
#include <cpuid.h>

static unsigned long long ss_xcr0(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((unsigned long long)high << 32) | low;
}

/* Bit 0: AVX2 and FMA; bit 1: AVX-512 F, DQ, VL as well; the operating system must save the registers, too. */
static int ss_features(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28;
    if ((c & (fma | osxsave | avx)) != (fma | osxsave | avx)) return 0;
    const unsigned long long state = ss_xcr0();
    if ((state & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 5))) return 0;
    const unsigned f = 1u << 16, dq = 1u << 17, vl = 1u << 31;
    return (b & (f | dq | vl)) == (f | dq | vl) && (state & 0xe6) == 0xe6 ? 3 : 1;
}
#endif

const ss_kernels *const *ss_available(void)
{
    static const ss_kernels *tables[4];
    int count = 0;
#if SS_HAVE_AVX
    const int features = ss_features();
    if (features & 2) tables[count++] = &ss_kernels_avx512;
    if (features & 1) tables[count++] = &ss_kernels_avx2;
#endif
#if SS_HAVE_NEON
    tables[count++] = &ss_kernels_neon;
#endif
    tables[count++] = &ss_kernels_base;
    tables[count] = NULL;
    return tables;
}
