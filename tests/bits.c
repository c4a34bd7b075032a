/* SPDX-License-Identifier: BSD-3-Clause
   One digest per instruction set over the same inputs; all must be equal, on one machine and between machines.
   Needs no Python, so that it also runs under an emulator:

     aarch64-linux-gnu-gcc -std=c11 -O2 -ffp-contract=off -static tests/bits.c src/[a-z]*.c src/isa/[a-z]*.c -lm -o bits
     qemu-aarch64-static ./bits */
#include "../src/losses.h"
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

static void fill(double *values, int type, int count, double low, double width)
{
    float *single = (float *)values;
    for (int i = 0; i < count; i++) {
        const double value = low + uniform() * width;
        if (type) values[i] = value; else single[i] = (float)value;
    }
}

/* The place of `rows` x n values of `size` bytes, along the last axis or, `across`, along the first. */
static void lay_out(ss_job *job, int rows, int n, int across, ptrdiff_t size)
{
    memset(job, 0, sizeof *job);
    job->rows = rows;
    job->n = n;
    job->kept = job->reduced = 1;
    job->temperature = 1.0;
    job->kept_shape[0] = rows;
    job->reduced_shape[0] = n;
    job->kept_x[0] = job->kept_y[0] = job->kept_mask[0] = across ? size : n * size;
    job->reduced_x[0] = job->reduced_y[0] = job->reduced_mask[0] = across ? rows * size : size;
}

/* rows x n, along the last axis or, `across`, along the first. The operation after the last one is logcumsumexp. */
static uint64_t run(const ss_kernels *kernels, int type, int operation, int rows, int n, int across, double width,
                    uint64_t hash)
{
    static double x[MOST], y[MOST];
    const ptrdiff_t size = type ? 8 : 4;
    fill(x, type, rows * n, -0.75 * width, width);
    memset(y, 0, sizeof y);
    ss_job job;
    lay_out(&job, rows, n, across, size);
    job.cumulative = operation > SS_LOGMEANEXP ? SS_INCLUSIVE : SS_WHOLE;
    job.operation = job.cumulative ? SS_LOGSUMEXP : (enum ss_operation)operation;
    job.x = (const char *)x;
    job.y = (char *)y;
    if (job.operation >= SS_LOGSUMEXP && !job.cumulative) job.kept_y[0] = size;
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

/* Options of softmax losses; the last three make rows that are computed in wide numbers. */
static const struct { int soft, weighted; double smoothing, z_loss, gamma, scale; } options[] = {
    {0, 0, 0.0, 0.0, 0.0, 1.0}, {1, 0, 0.0, 0.0, 0.0, 1.0},  {0, 1, 0.0, 0.0, 0.0, 0.3},    {0, 0, 0.1, 0.0, 0.0, 1.0},
    {0, 0, 0.0, 1e-4, 0.0, 1.0}, {1, 1, 0.2, 0.5, 0.0, 0.3}, {0, 0, 0.0, 0.0, 2.0, 1.0},    {1, 1, 0.0, 0.0, 0.5, 0.3},
    {0, 0, 0.0, 0.0, 50.0, 1.0}, {1, 1, 0.0, 1e60, 0.0, 1.0}, {0, 1, 0.0, 0.0, 0.0, 1e-100},
};

/* Losses and gradients of rows x n with labels or probabilities, and their sum. */
static uint64_t run_softmax_loss(const ss_kernels *kernels, int type, int option, int rows, int n, int across,
                                 double width, uint64_t hash)
{
    static double x[MOST], y[MOST], targets[MOST], weights[LONGEST], items[70];
    static int64_t labels[70];
    ss_loss loss;
    memset(&loss, 0, sizeof loss);
    lay_out(&loss.job, rows, n, across, type ? 8 : 4);
    loss.job.operation = SS_CROSS_ENTROPY;
    fill(x, type, rows * n, -0.75 * width, width);
    fill(targets, type, rows * n, -0.1, 1.0);
    fill(weights, 1, n, 0.1, 2.0);
    for (int i = 0; i < rows; i++) labels[i] = i % 9 == 8 ? -1 : (int)(uniform() * n);
    loss.labels = options[option].soft ? NULL : labels;
    loss.targets = options[option].soft ? (const char *)targets : NULL;
    loss.weights = options[option].weighted ? weights : NULL;
    loss.smoothing = options[option].smoothing;
    loss.z_loss = options[option].z_loss;
    loss.gamma = options[option].gamma;
    loss.scale_hi = options[option].scale;
    loss.items = items;
    loss.job.x = (const char *)x;
    double sum[2];
    for (int wanted = 0; wanted < 2; wanted++) {
        memset(y, 0, sizeof y);
        loss.job.y = wanted ? (char *)y : NULL;
        ss_run_loss(kernels, type, &loss, rows, 1);
        for (int i = 0; i < rows && !type; i++) /* what a caller sees of them; a NaN's sign depends on the machine */
            if (fabs(items[i]) < 0x1p100) items[i] = (float)items[i];
        hash = digest(hash, items, (size_t)rows * sizeof *items);
    }
    ss_sum_values(kernels, items, rows, &sum[0], &sum[1]);
    return digest(digest(hash, y, sizeof y), sum, sizeof sum);
}

/* The same for `count` logits; weighted, or focused by a power that is not 0. */
static uint64_t run_sigmoid_loss(const ss_kernels *kernels, int type, int count, int weighted, double gamma,
                                 double width, uint64_t hash)
{
    static double values[SS_OPERANDS][MOST];
    double sum[2];
    ss_sigmoid loss;
    memset(&loss, 0, sizeof loss);
    memset(values, 0, sizeof values);
    loss.ndim = 1;
    loss.shape[0] = count;
    for (int i = 0; i < SS_OPERANDS; i++) {
        loss.strides[i][0] = type ? 8 : 4;
        if (weighted || i < SS_SCALES || i > SS_COUNTS) loss.operands[i] = (char *)values[i];
    }
    fill(values[SS_LOGITS], type, count, -0.5 * width, width);
    for (int i = SS_TARGETS; i <= SS_COUNTS; i++) fill(values[i], type, count, 0.0, 1.0);
    loss.focal = gamma != 0.0;
    loss.alpha = weighted ? 0.25 : NAN;
    loss.gamma = gamma;
    loss.scale_hi = 0.3;
    ss_run_sigmoid(kernels, type, &loss, count, 1, &sum[0], &sum[1]);
    hash = digest(hash, values[SS_GRADIENT], sizeof *values);
    return digest(digest(hash, values[SS_ITEMS], sizeof *values), sum, sizeof sum);
}

static uint64_t run_losses(const ss_kernels *kernels, int type, double width, uint64_t hash)
{
    static const int sizes[][2] = {{70, 1}, {70, 3}, {70, 10}, {33, 32}, {40, 65}, {33, 200}, {2, LONGEST}};
    static const double powers[] = {0.0, 0.5, 2.0, 50.0};
    for (int option = 0; option < (int)(sizeof options / sizeof *options); option++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int across = 0; across < 2; across++)
                hash = run_softmax_loss(kernels, type, option, sizes[s][0], sizes[s][1], across, width, hash);
    for (size_t p = 0; p < sizeof powers / sizeof *powers; p++)
        for (int weighted = 0; weighted < 2; weighted++)
            for (int count = 1; count < MOST; count *= 9)
                hash = run_sigmoid_loss(kernels, type, count, weighted, powers[p], width, hash);
    return hash;
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
        for (int type = 0; type < 2; type++)
            for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                hash = run_losses(*table, type, widths[w], hash);
        printf("%-8s %016llx\n", (*table)->name, (unsigned long long)hash);
        if (table == ss_available()) first = hash;
        unequal |= hash != first;
    }
    return unequal;
}
