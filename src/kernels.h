/* SPDX-License-Identifier: BSD-3-Clause
   What the doors ask of the compiled loops: a job (one operation over many rows) and one table per instruction set. */
#ifndef SS_KERNELS_H
#define SS_KERNELS_H

#include <stddef.h>
#include "operations.h"

enum { SS_MAX_DIMS = 64 };

/* Rows are summed in tiles; the terms of a tile that is kept lie SS_TERMS doubles apart, with room for a whole step. */
enum { SS_TILE = 4096, SS_TERMS = SS_TILE + 32, SS_KEPT_TILES = 27 };

/* Strides are in bytes. Rows are numbered in C order over the kept dimensions; the elements of a row run in C order
   over the reduced dimensions. Both lists are already collapsed as far as the strides allow; an absent mask is NULL. */
typedef struct {
    enum ss_operation operation;
    const char *x;
    const char *mask;
    char *y;
    ptrdiff_t rows, n;
    int kept, reduced;
    ptrdiff_t kept_shape[SS_MAX_DIMS], kept_x[SS_MAX_DIMS], kept_y[SS_MAX_DIMS], kept_mask[SS_MAX_DIMS];
    ptrdiff_t reduced_shape[SS_MAX_DIMS], reduced_x[SS_MAX_DIMS], reduced_y[SS_MAX_DIMS], reduced_mask[SS_MAX_DIMS];
    int stream; /* the result is larger than the caches: store past them */
    double temperature, floor; /* 1 and 0 where not given */
    enum ss_cumulation cumulative; /* with SS_LOGSUMEXP only; y must not overlap x */
    /* Weights of logsumexp, NULL without. Then y and sign (NULL if not wanted) are contiguous, one value a row, and the
       strides called y are those of b. */
    const char *b;
    char *sign;
    double *terms; /* room for the terms of a row, tile by tile (float64: high parts, low parts), or NULL */
} ss_job;

/* Without options the loops of rows and parts apply; other rows are computed one by one, each by itself. */
static inline int ss_plain(const ss_job *job)
{
    return job->temperature == 1.0 && job->floor == 0.0 && !job->b && !job->cumulative;
}

/* A partial result of one row: the largest element, and a sum (hi + lo) 2^exponent of terms e^(x - shift): all of them
   for softmax, all but one peak for the others. hi is NaN when an element is; with a peak of +inf it counts such
   elements. */
typedef struct {
    double peak, hi, lo, exponent;
    ptrdiff_t place; /* of the peak that was left out, in a single tile */
} ss_sum;

/* What every element of a row needs: softmax multiplies by the pair, log_softmax subtracts it; the reductions return
   value. */
typedef struct {
    double peak, shift, exponent, hi, lo, value;
} ss_end;

/* The elementwise functions, in the order of the tables below. Strides are in bytes; y may be x. */
enum { SS_EXPIT, SS_LOG_EXPIT, SS_SOFTPLUS, SS_LOGIT, SS_LOG1MEXP, SS_UNARIES };
enum { SS_LOGADDEXP, SS_LOGSUBEXP, SS_BINARIES };
typedef void (*ss_unary)(const char *x, ptrdiff_t sx, char *y, ptrdiff_t sy, ptrdiff_t n);
typedef void (*ss_binary)(const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb, char *y, ptrdiff_t sy, ptrdiff_t n);

/* A sum as a pair, and the sum of the magnitudes, which its error goes by. */
typedef struct {
    double hi, lo, size;
} ss_partial;

/* losses.h and math/total.h have these. */
typedef struct ss_loss ss_loss;
typedef struct ss_sigmoid ss_sigmoid;
struct ss_total;

/* A loop of the margin losses (margins.h) over some rows of its job. */
enum { SS_PAIR_OPERATIONS = 8 };
typedef void (*ss_loop)(const void *job, ptrdiff_t first, ptrdiff_t last);

typedef struct {
    const char *name;
    /* [0] float32, [1] float64 */
    void (*rows[2])(const ss_job *job, ptrdiff_t first, ptrdiff_t last);
    /* one row in parts: sum of elements [first, last), the merge of two sums, the conclusion, and the writing */
    ss_sum (*part[2])(const ss_job *job, ptrdiff_t row, ptrdiff_t first, ptrdiff_t last, double shift);
    ss_sum (*merge[2])(ss_sum a, ss_sum b, int rest);
    ss_end (*conclude[2])(const ss_job *job, ptrdiff_t row, ss_sum sum, double shift);
    void (*write[2])(const ss_job *job, ptrdiff_t row, ptrdiff_t first, ptrdiff_t last, const ss_end *end);
    /* the losses of rows; those of elements and their sum, which `exact` gets too unless it is NULL; a sum of values */
    void (*losses[2])(const ss_loss *loss, ptrdiff_t first, ptrdiff_t last);
    ss_partial (*sigmoid[2])(const ss_sigmoid *loss, ptrdiff_t first, ptrdiff_t last, struct ss_total *exact);
    ss_partial (*items)(const double *values, ptrdiff_t n);
    ss_unary unary[2][SS_UNARIES];
    ss_binary binary[2][SS_BINARIES];
    ss_loop pairs[SS_PAIR_OPERATIONS]; /* in the order of margins.h */
    ss_loop exponents, cut, settle, power, norm, direction, tangent, margin_rows, reached, combined;
} ss_kernels;

#if defined(__x86_64__) || defined(_M_X64)
#define SS_X86 1
#else
#define SS_X86 0
#endif
#if SS_X86 && (defined(__GNUC__) || defined(__clang__))
#define SS_HAVE_AVX 1
extern const ss_kernels ss_kernels_avx512, ss_kernels_avx2;
#else
#define SS_HAVE_AVX 0
#endif
#if defined(__aarch64__)
#define SS_HAVE_NEON 1
extern const ss_kernels ss_kernels_neon;
#else
#define SS_HAVE_NEON 0
#endif
extern const ss_kernels ss_kernels_base;

/* cpu.c: the tables this processor runs, best first, ended by NULL. */
const ss_kernels *const *ss_available(void);

/* parallel.c: the whole job, in threads where it is large enough. */
void ss_run(const ss_kernels *kernels, int type, const ss_job *job, int threads);
int ss_threads(void);

/* How many threads, MOST_PARTS at most, a loop over so many elements, all of them independent, is worth. */
enum { SS_MOST_PARTS = 256 };
int ss_parts(double elements, int threads);

#endif
