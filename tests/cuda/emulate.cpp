/* SPDX-License-Identifier: BSD-3-Clause
   All kernels on the CPU; tests/test_cuda_emulation.py appends the kernels and calls launch(). */
#include "emulate.h"

#include "cuda/kernels.cu"
#include "cuda/ladder.cuh"
#include "cuda/elementwise.cuh"

static struct {
    void (*kernel)(const char *, char *, void *, ss_geometry);
    const char *x;
    char *y;
    void *more;
    ss_geometry g;
} job;

static void one_thread(void) { job.kernel(job.x, job.y, job.more, job.g); }

extern "C" void launch(void (*kernel)(const char *, char *, void *, ss_geometry), unsigned grid, unsigned grid_y,
                       unsigned block_x, unsigned block_y, const char *x, char *y, void *more, const ss_geometry *g)
{
    job.kernel = kernel;
    job.x = x;
    job.y = y;
    job.more = more;
    job.g = *g;
    gridDim = {grid, grid_y, 1};
    blockDim = {block_x, block_y, 1};
    body_of_block = one_thread;
    for (blockIdx.y = 0; blockIdx.y < grid_y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < grid; blockIdx.x++) run_block(block_x * block_y);
}
