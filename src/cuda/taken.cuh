/* SPDX-License-Identifier: BSD-3-Clause
   The elements of a row one by one, with a mask and with weights, each of which has strides of its own. */

/* Strides as ss_geometry has them for x and y. parts: blocks that share a row; share: elements of such a block; step:
   which of the launches this is (weights.cuh). */
typedef struct {
    int64_t step, parts, share;
    int64_t kept_b[SS_CUDA_DIMS], reduced_b[SS_CUDA_DIMS], kept_mask[SS_CUDA_DIMS], reduced_mask[SS_CUDA_DIMS];
} ss_taken;

/* A row of elements of `size` bytes; `taken` tells where the weights `b` and the mask lie, NULL where there are none.
   Without geometry the row is an array of doubles. */
typedef struct {
    const ss_geometry *g;
    const char *x;
    int size;
    const ss_taken *taken;
    const char *b, *mask;
} ss_row_reader;

static inline ss_row_reader reader_of(const ss_geometry &g, const ss_taken &taken, int size, const char *x,
                                      const char *b, const char *mask, int64_t row)
{
    const ss_row_reader reader = {
        &g, x + offset_in(g.kept, g.kept_shape, g.kept_x, row), size, &taken,
        b ? b + offset_in(g.kept, g.kept_shape, taken.kept_b, row) : NULL,
        mask ? mask + offset_in(g.kept, g.kept_shape, taken.kept_mask, row) : NULL};
    return reader;
}

static inline double number_at(const char *at, int size)
{
    return size == 8 ? *(const double *)at : size == 4 ? (double)f32::get(*(const float *)at)
                                                       : (double)f16::get(*(const uint16_t *)at);
}

static inline int takes_part(const ss_row_reader &row, int64_t i)
{
    return !row.mask || row.mask[offset_of(*row.g, row.taken->reduced_mask, i)];
}

/* Element i, and its weight. One that is left out, or has the weight 0, is -inf with the weight 0. */
static inline double take(const ss_row_reader &row, int64_t i, double *weight)
{
    *weight = !takes_part(row, i) ? 0.0
              : row.b             ? number_at(row.b + offset_of(*row.g, row.taken->reduced_b, i), row.size)
                                  : 1.0;
    return *weight == 0.0 ? -INFINITY : number_at(row.x + offset_of(*row.g, row.g->reduced_x, i), row.size);
}
