/* SPDX-License-Identifier: BSD-3-Clause
   What the doors ask of the compiled steps of the margin losses. */
#ifndef SS_MARGINS_H
#define SS_MARGINS_H

#include "kernels.h"
#include <stdint.h>

/* Matrices of pairs: a_hi, a_lo, b_hi, b_lo, with their steps in doubles from row to row and along a row: 1, or 0 where
   one number stands for all. Results are contiguous; `sin_cos` has two. */
enum { SS_PAIR_ADD, SS_PAIR_SUB, SS_PAIR_MUL, SS_PAIR_DIV, SS_PAIR_SCALE, SS_PAIR_SIN_COS, SS_PAIR_ANGLE, SS_PAIR_SUM };
typedef struct {
    const double *operand[4];
    ptrdiff_t row[4], step[4], n;
    double *hi[2], *lo[2];
    int halvings; /* of sin_cos */
} ss_pairs;

/* Rows of a matrix product, cut into pieces for BLAS (loops/products.inc.h). Rows of `length` numbers hi + lo are
   divided by powers of two, `exponent`, which one loop finds; another one cuts the block of `width` numbers, zeros
   beyond the end, that begins at `start`. Of a left row the slices are written and then their rest, of a right one the
   rests in opposite order and then the slices in opposite order. */
typedef struct {
    const double *hi, *lo; /* lo is NULL where there is none */
    ptrdiff_t row, step, length, width, start; /* hi and lo lie alike; row or step is 1 */
    int levels, right;
    double *pieces, *exponent;
} ss_cut;

/* The products of one block of the inner dimension join the sums (hi + lo) of N x M results. parts[level] are what BLAS
   found, N x M each; left and right are where the block begins in the first row. */
enum { SS_MOST_LEVELS = 3 };
typedef struct {
    const double *parts[SS_MOST_LEVELS];
    const double *left, *right; /* the last level: rows that BLAS has multiplied, `length` numbers each */
    ptrdiff_t left_row, right_row, length, m;
    int levels, first, last;
    const double *left_exponent, *right_exponent; /* of the results; used in the last block */
    double *hi, *lo;                              /* lo is NULL for one level */
} ss_settled;

/* The losses of rows of logits hi + lo, which are overwritten unless lo is NULL, and their gradients with 0 at the
   label; `others` may be NULL where lo is. All rows have n classes and are contiguous. */
typedef struct {
    double *hi, *lo;
    const int64_t *labels;
    ptrdiff_t n;
    double *items, *others;
} ss_margin_rows;

/* The part of v in each row that is perpendicular to `rows` (of length `norm`), plus the target's row of the index
   (NULL: none; negative: no row), times `factor` and the power of two `outer` (NULL: 1). v_lo and result_lo may be
   NULL. All matrices are contiguous. */
typedef struct {
    const double *v_hi, *v_lo, *rows, *norm_hi, *norm_lo;
    const double *target_hi, *target_lo, *factor_hi, *factor_lo, *outer;
    const int64_t *target;
    ptrdiff_t length;
    double *result_hi, *result_lo;
} ss_tangent;

/* Rows v, their lengths hi + lo and the vectors of length 1 along them, 0 for 0. For powers of two above the largest
   numbers, 1 for 0, only v_hi and hi are used, for lengths neither v_lo nor unit. */
typedef struct {
    const double *v_hi, *v_lo;
    ptrdiff_t length;
    double *hi, *lo, *unit_hi, *unit_lo;
} ss_lengths;

/* Rows of coefficients (rows, terms) times vectors (terms, length), all of them pairs and contiguous. */
typedef struct {
    const double *c_hi, *c_lo, *v_hi, *v_lo;
    ptrdiff_t terms, length;
    double *hi, *lo;
} ss_combined;

/* Whether any of the n numbers in a row reaches left[row] right[j] in magnitude. */
typedef struct {
    const double *values, *left, *right;
    ptrdiff_t n;
    char *any;
} ss_reached;

/* Peaks and sums of the rows and columns of N x M terms: values right[j] in the row i, values left[i] in the column
   j; `extras` more terms are given one by one. No order of the terms changes a bit, up to 2^22 of them. */
typedef struct {
    const double *values, *left, *right;
    ptrdiff_t n, m, extras;
    const int64_t *row, *column;
    const double *in_row, *in_column;
    double *row_sums, *row_peaks, *column_sums, *column_peaks;
    double *row_steps, *column_steps; /* room for n and 2 m numbers */
} ss_sizes;
void ss_term_sizes(const ss_sizes *job);

/* Sums of rows hi + lo of `length` numbers by label; `power` of each class is above its largest number, 0 where all are
   0. Their order does not count for up to so many `terms` of one class. The `words` are room for 3 numbers to each sum,
   which begin with zeros. */
void ss_class_sums(const double *hi, const double *lo, const int64_t *labels, ptrdiff_t n, ptrdiff_t length,
                   const double *power, ptrdiff_t classes, double terms, double *words, double *sums_hi,
                   double *sums_lo);

/* Softmax of rows of n logits hi + lo, times 2^lift and with 0 in place of the label's: pairs good to 2^-92. */
void ss_margin_others(const double *hi, const double *lo, const int64_t *labels, ptrdiff_t rows, ptrdiff_t n,
                      int lift, double *others_hi, double *others_lo);

/* `loop` over all rows. */
void ss_run_loop(ss_loop loop, const void *job, ptrdiff_t rows);

#endif
