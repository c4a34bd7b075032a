/* SPDX-License-Identifier: BSD-3-Clause
   All kernels on the CPU; tests/emulation.py appends those that are wanted, tests launch them. */
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
typedef void (*loss_kernel)(const char *, char *, double *, const char *, const char *, const char *, char *,
                            ss_geometry, ss_loss_options);
typedef void (*dense_kernel)(const char *, char *, double *, const char *, const char *, const char *, char *,
                             ss_geometry, ss_loss_options, ss_dense_options);
typedef void (*option_kernel)(const char *, char *, const char *, ss_geometry, ss_options);
typedef void (*taken_kernel)(const char *, char *, const char *, const char *, char *, double *, ss_geometry, ss_taken);

/* Whether all blocks of the launches that follow run at once. */
extern "C" int together;
int together = 0;

/* Launches `thread` of blocks.x * blocks.y blocks. */
static void run_grid(dim3 blocks, dim3 threads, std::function<void()> thread)
{
    gridDim = blocks;
    blockDim = threads;
    threads_of_block = threads.x * threads.y;
    body_of_block = thread;
    const unsigned all = blocks.x * blocks.y, step = together ? all : 1;
    for (unsigned first = 0; first < all; first += step) run_blocks(first, step);
}

extern "C" void launch(plain_kernel kernel, unsigned grid, unsigned grid_y, unsigned block, unsigned block_y,
                       const char *x, char *y, void *more, const ss_geometry *g)
{
    run_grid({grid, grid_y, 1}, {block, block_y, 1}, [=] { kernel(x, y, more, *g); });
}

extern "C" void launch_loss(loss_kernel kernel, unsigned grid, unsigned grid_y, unsigned block, unsigned block_y,
                            const char *x, char *y, double *scratch, const char *labels, const char *weights,
                            const char *positives, char *value, const ss_geometry *g, const ss_loss_options *o)
{
    run_grid({grid, grid_y, 1}, {block, block_y, 1},
             [=] { kernel(x, y, scratch, labels, weights, positives, value, *g, *o); });
}

extern "C" void launch_dense(dense_kernel kernel, unsigned grid, unsigned grid_y, unsigned block, unsigned block_y,
                             const char *x, char *y, double *scratch, const char *labels, const char *weights,
                             const char *positives, char *value, const ss_geometry *g, const ss_loss_options *o,
                             const ss_dense_options *d)
{
    run_grid({grid, grid_y, 1}, {block, block_y, 1},
             [=] { kernel(x, y, scratch, labels, weights, positives, value, *g, *o, *d); });
}

extern "C" void launch_option(option_kernel kernel, unsigned grid, unsigned grid_y, unsigned block, unsigned block_y,
                              const char *x, char *y, const char *mask, const ss_geometry *g, const ss_options *o)
{
    run_grid({grid, grid_y, 1}, {block, block_y, 1}, [=] { kernel(x, y, mask, *g, *o); });
}

extern "C" void launch_taken(taken_kernel kernel, unsigned grid, unsigned grid_y, unsigned block, unsigned block_y,
                             const char *x, char *y, const char *b, const char *mask, char *signs, double *scratch,
                             const ss_geometry *g, const ss_taken *taken)
{
    run_grid({grid, grid_y, 1}, {block, block_y, 1}, [=] { kernel(x, y, b, mask, signs, scratch, *g, *taken); });
}
