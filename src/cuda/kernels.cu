/* SPDX-License-Identifier: BSD-3-Clause
   CUDA kernels over the arithmetic of the C kernels: the same headers, so the same bits. stablesoft/_cuda_kernels.py
   appends one line for each kernel that is wanted, SS_KERNEL(name, threads, blocks, body) or one of its like.
   Compiled with every function on the device by default, without contraction and without flushing subnormals. */
#ifdef __CUDACC_RTC__
#include "cuda/nvrtc.h"
#endif
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "operations.h"
#include "math/constants.h"
#include "isa/vec_cuda.h"
#include "math/pair.h"
#include "math/exp.h"
#include "math/log.h"
#include "math/canonical.h"
#include "math/exact.h"
#include "math/elementwise.h"

#define TERMS_LOW 0 /* the C loops keep terms in memory; here they stay in registers */
#include "loops/sums.inc.h"
#include "loops/real_f64.inc.h"
#include "loops/real_f32.inc.h"

#include "cuda/group.cuh"
#include "cuda/real.cuh"
#include "cuda/taken.cuh"
#include "cuda/conclude.cuh"
#include "cuda/terms.cuh"
#include "cuda/float_pair.cuh"
#include "cuda/float_terms.cuh"
#include "cuda/parts.cuh"
#include "cuda/teams.cuh"
#include "cuda/stream.cuh"
#include "cuda/rows.cuh"

/* threads: the most of a block. blocks: the fewest that shall run at once on a multiprocessor, which bounds the
   registers. x and y: the arrays. more: what teams leave of the rows that they share, or a second argument. */
#define SS_KERNEL(name, threads, blocks, body) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) \
        name(const char *x, char *y, void *more, const __grid_constant__ ss_geometry g) \
    { \
        body; \
    }

/* A loss: x are the logits, y the gradient or NULL. */
#define SS_LOSS_KERNEL(name, threads, blocks, body) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) \
        name(const char *x, char *y, double *scratch, const char *labels, const char *weights, const char *positives, \
             char *value, const __grid_constant__ ss_geometry g, const __grid_constant__ ss_loss_options o) \
    { \
        const ss_loss_arrays a = {scratch, labels, weights, positives, value}; \
        body; \
    }

#define SS_OPTION_KERNEL(name, threads, blocks, body) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) \
        name(const char *x, char *y, const char *mask, const __grid_constant__ ss_geometry g, \
             const __grid_constant__ ss_options o) \
    { \
        body; \
    }

/* b, mask: NULL without; signs: of the sums, NULL if not wanted; scratch: for rows that blocks share. */
#define SS_TAKEN_KERNEL(name, threads, blocks, body) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) \
        name(const char *x, char *y, const char *b, const char *mask, char *signs, double *scratch, \
             const __grid_constant__ ss_geometry g, const __grid_constant__ ss_taken t) \
    { \
        body; \
    }

/* A loss with a probability for every class: `positives` are those that were given. */
#define SS_DENSE_KERNEL(name, threads, blocks, body) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) \
        name(const char *x, char *y, double *scratch, const char *labels, const char *weights, const char *positives, \
             char *value, const __grid_constant__ ss_geometry g, const __grid_constant__ ss_loss_options o, \
             const __grid_constant__ ss_dense_options d) \
    { \
        const ss_loss_arrays a = {scratch, labels, weights, positives, value}; \
        body; \
    }
