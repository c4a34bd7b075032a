/* SPDX-License-Identifier: BSD-3-Clause
   One digest per instruction set over the same inputs; all must be equal, on one machine and between machines.
   Needs no Python, so that it also runs under an emulator:

     aarch64-linux-gnu-gcc -std=c11 -O2 -ffp-contract=off -static tests/bits.c src/[a-z]*.c src/isa/[a-z]*.c -lm -o bits
     qemu-aarch64-static ./bits */
#include "../src/kernels.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 5000, MOST = 70 * 200 };

static uint64_t state;
static int unequal;

/* splitmix64, as a double in [0, 1) */
static double uniform(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static uint64_t digest(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* rows x n, along the last axis or, `across`, along the first. The operation after the last one is logcumsumexp. */
static uint64_t run(const ss_kernels *kernels, int type, int operation, int rows, int n, int across, double width,
                    uint64_t hash)
{
    static double x[MOST], y[MOST];
    const ptrdiff_t size = type ? 8 : 4;
    float *single = (float *)x;
    for (int i = 0; i < rows * n; i++) {
        const double value = (uniform() - 0.75) * width;
        if (type) x[i] = value; else single[i] = (float)value;
    }
    memset(y, 0, sizeof y);
    ss_job job;
    memset(&job, 0, sizeof job);
    job.cumulative = operation > SS_LOGMEANEXP ? SS_INCLUSIVE : SS_WHOLE;
    job.operation = job.cumulative ? SS_LOGSUMEXP : (enum ss_operation)operation;
    job.x = (const char *)x;
    job.y = (char *)y;
    job.rows = rows;
    job.n = n;
    job.kept = job.reduced = 1;
    job.temperature = 1.0;
    job.kept_shape[0] = rows;
    job.reduced_shape[0] = n;
    job.kept_x[0] = across ? size : n * size;
    job.reduced_x[0] = job.reduced_y[0] = across ? rows * size : size;
    job.kept_y[0] = job.operation >= SS_LOGSUMEXP && !job.cumulative ? size : job.kept_x[0];
    static double terms[(LONGEST / SS_TILE + 1) * 2 * SS_TERMS];
    uint64_t found[2];
    for (int keep = 0; keep < 2; keep++) {
        job.terms = keep ? terms : NULL;
        kernels->rows[type](&job, 0, rows);
        found[keep] = digest(hash, y, sizeof y);
    }
    if (found[0] != found[1]) printf("%s: bits depend on whether terms are kept\n", kernels->name);
    unequal |= found[0] != found[1];
    return found[0];
}

int main(void)
{
    static const int sizes[][2] = {{70, 1},  {70, 2}, {70, 3},  {70, 10},  {40, 31},
                                   {33, 32}, {9, 64}, {40, 65}, {33, 200}, {2, LONGEST}};
    static const double widths[] = {1.0, 8.0, 200.0, 3000.0};
    uint64_t first = 0;
    for (const ss_kernels *const *table = ss_available(); *table; table++) {
        uint64_t hash = 0xcbf29ce484222325u;
        state = 1;
        for (int type = 0; type < 2; type++)
            for (int operation = SS_SOFTMAX; operation <= SS_LOGMEANEXP + 1; operation++)
                for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                        for (int across = 0; across < 2; across++)
                            hash = run(*table, type, operation, sizes[s][0], sizes[s][1], across, widths[w], hash);
        printf("%-8s %016llx\n", (*table)->name, (unsigned long long)hash);
        if (table == ss_available()) first = hash;
        unequal |= hash != first;
    }
    return unequal;
}
