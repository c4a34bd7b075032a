/* SPDX-License-Identifier: BSD-3-Clause
   All kernels on the CPU; tests/test_cuda_emulation.py appends the kernels and calls launch(). */
#include "emulate.h"

#include "cuda/kernels.cu"
#include "cuda/ladder.cuh"
#include "cuda/elementwise.cuh"
#include "cuda/items.cuh"
#include "cuda/labels.cuh"
#include "cuda/losses.cuh"
#include "cuda/sigmoid.cuh"
#include "cuda/float_logistic.cuh"
#include "cuda/focal.cuh"
#include "cuda/dense.cuh"
#include "cuda/smooth.cuh"
#include "cuda/anew.cuh"
#include "cuda/options.cuh"
#include "cuda/weights.cuh"
#include "cuda/cumulative.cuh"

typedef void (*plain_kernel)(const char *, char *, void *, ss_geometry);
typedef void (*loss_kernel)(const char *, char *, ss_geometry, ss_loss_options, double *, const char *, const char *,
                            const char *, char *);
typedef void (*dense_kernel)(const char *, char *, ss_geometry, ss_loss_options, ss_dense_options, double *,
                             const char *, const char *, const char *, char *);
typedef void (*option_kernel)(const char *, char *, const char *, ss_geometry, ss_options);
typedef void (*taken_kernel)(const char *, char *, const char *, const char *, char *, double *, ss_geometry,
                             ss_taken);

static struct {
    void *kernel;
    const char *x;
    char *y;
    void *more;
    ss_geometry g;
    ss_loss_options o;
    ss_dense_options d;
    ss_loss_arrays a;
    ss_options options;
    const char *b, *mask;
    char *signs;
    ss_taken taken;
} job;

static void one_thread(void) { ((plain_kernel)job.kernel)(job.x, job.y, job.more, job.g); }
static void one_thread_of_loss(void)
{
    ((loss_kernel)job.kernel)(job.x, job.y, job.g, job.o, job.a.scratch, job.a.labels, job.a.weights, job.a.positives,
                              job.a.value);
}

static void one_thread_of_dense(void)
{
    ((dense_kernel)job.kernel)(job.x, job.y, job.g, job.o, job.d, job.a.scratch, job.a.labels, job.a.weights,
                               job.a.positives, job.a.value);
}

static void one_thread_with_options(void)
{
    ((option_kernel)job.kernel)(job.x, job.y, (const char *)job.more, job.g, job.options);
}

static void one_thread_of_taken(void)
{
    ((taken_kernel)job.kernel)(job.x, job.y, job.b, job.mask, job.signs, (double *)job.more, job.g, job.taken);
}

/* Whether all blocks of the launches that follow run at once. */
extern "C" int together;
int together = 0;

static void run_grid(unsigned grid, unsigned grid_y, unsigned block_x, unsigned block_y)
{
    gridDim = {grid, grid_y, 1};
    blockDim = {block_x, block_y, 1};
    threads_of_block = block_x * block_y;
    const unsigned step = together ? grid * grid_y : 1;
    for (unsigned first = 0; first < grid * grid_y; first += step) run_blocks(first, step);
}

extern "C" void launch(void *kernel, unsigned grid, unsigned grid_y, unsigned block_x, unsigned block_y, const char *x,
                       char *y, void *more, const ss_geometry *g)
{
    job.kernel = kernel;
    job.x = x;
    job.y = y;
    job.more = more;
    job.g = *g;
    body_of_block = one_thread;
    run_grid(grid, grid_y, block_x, block_y);
}

extern "C" void launch_loss(void *kernel, unsigned grid, unsigned grid_y, unsigned block_x, unsigned block_y,
                            const char *x, char *y, const ss_geometry *g, const ss_loss_options *o, double *scratch,
                            const char *labels, const char *weights, const char *positives, char *value)
{
    job.kernel = kernel;
    job.x = x;
    job.y = y;
    job.g = *g;
    job.o = *o;
    job.a = {scratch, labels, weights, positives, value};
    body_of_block = one_thread_of_loss;
    run_grid(grid, grid_y, block_x, block_y);
}

extern "C" void launch_dense(void *kernel, unsigned grid, unsigned grid_y, unsigned block_x, unsigned block_y,
                             const char *x, char *y, const ss_geometry *g, const ss_loss_options *o,
                             const ss_dense_options *d, double *scratch, const char *labels, const char *weights,
                             const char *positives, char *value)
{
    job.kernel = kernel;
    job.x = x;
    job.y = y;
    job.g = *g;
    job.o = *o;
    job.d = *d;
    job.a = {scratch, labels, weights, positives, value};
    body_of_block = one_thread_of_dense;
    run_grid(grid, grid_y, block_x, block_y);
}

extern "C" void launch_options(void *kernel, unsigned grid, unsigned grid_y, unsigned block_x, unsigned block_y,
                               const char *x, char *y, void *mask, const ss_geometry *g, const ss_options *o)
{
    job.kernel = kernel;
    job.x = x;
    job.y = y;
    job.more = mask;
    job.g = *g;
    job.options = *o;
    body_of_block = one_thread_with_options;
    run_grid(grid, grid_y, block_x, block_y);
}

extern "C" void launch_taken(void *kernel, unsigned grid, unsigned grid_y, unsigned block_x, unsigned block_y,
                             const char *x, char *y, const char *b, const char *mask, char *signs, void *scratch,
                             const ss_geometry *g, const ss_taken *taken)
{
    job.kernel = kernel;
    job.x = x;
    job.y = y;
    job.b = b;
    job.mask = mask;
    job.signs = signs;
    job.more = scratch;
    job.g = *g;
    job.taken = *taken;
    body_of_block = one_thread_of_taken;
    run_grid(grid, grid_y, block_x, block_y);
}
