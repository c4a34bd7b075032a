/* SPDX-License-Identifier: BSD-3-Clause
   Blocks: rows side by side in a buffer that stays in the second-level cache, one row a column:
   values[element * pitch + row]. From rows that are neighbours in memory a block is copied in runs of several lines;
   rows that are contiguous themselves are transposed. */

/* The rows of a block are a multiple of STEP; those after the last repeat the first. */
static void FN(block_load)(const ss_job *job, const char *x, int count, ptrdiff_t first, ptrdiff_t length, REAL *values,
                           ptrdiff_t pitch)
{
    const ptrdiff_t size = sizeof(REAL), row_step = job->kept_x[job->kept - 1], step = job->reduced_x[0];
    if (row_step == size) {
        const ptrdiff_t run = count * size, ahead = 1 + BLOCK_AHEAD / run;
        for (ptrdiff_t i = 0; i < length; i++) {
            const ptrdiff_t later = first + i + ahead; /* at the end already in the next block */
            const char *next = later < job->n ? x + later * step : x + run + (later - job->n) * step;
            const char *from = x + (first + i) * step;
            REAL *to = values + i * pitch;
            int row = 0;
            for (; row + STEP <= count; row += STEP) {
                for (size_t line = 0; line < STEP * sizeof(REAL); line += 64) v_prefetch(next + row * size + line);
                memcpy(to + row, from + row * size, STEP * sizeof(REAL));
            }
            memcpy(to + row, from + row * size, (size_t)((count - row) * size));
        }
    } else if (step == size && count % SS_W == 0 && length >= SS_W) {
        for (int row = 0; row < count; row += SS_W)
            for (ptrdiff_t i = 0; i < length; i += SS_W) {
                /* the last square overlaps the one before */
                const ptrdiff_t at = i < length - SS_W ? i : length - SS_W;
                FN(transpose)(x + row * row_step + (first + at) * size, row_step,
                              (char *)(values + at * pitch + row), pitch * size);
            }
    } else {
        for (int row = 0; row < count; row++)
            for (ptrdiff_t i = 0; i < length; i++)
                memcpy(values + i * pitch + row, x + row * row_step + (first + i) * step, sizeof(REAL));
    }
    for (int row = count; row % STEP; row++)
        for (ptrdiff_t i = 0; i < length; i++) values[i * pitch + row] = values[i * pitch];
}

static void FN(block_store)(const ss_job *job, char *y, int count, ptrdiff_t first, ptrdiff_t length,
                            const REAL *values, ptrdiff_t pitch)
{
    const ptrdiff_t size = sizeof(REAL), row_step = job->kept_y[job->kept - 1], step = job->reduced_y[0];
    y += first * step;
    if (row_step == size) {
#if SS_HAVE_STREAM
        const ptrdiff_t vector = SS_W * sizeof(double);
        if (job->stream && count % STEP == 0 && (uintptr_t)y % (uintptr_t)vector == 0 && step % vector == 0) {
            for (ptrdiff_t i = 0; i < length; i++) {
                const char *from = (const char *)(values + i * pitch); /* moved as doubles, whatever they are */
                for (ptrdiff_t at = 0; at < count * size; at += vector)
                    v_stream((double *)(y + i * step + at), v_load((const double *)(from + at)));
            }
            return;
        }
#endif
        for (ptrdiff_t i = 0; i < length; i++) memcpy(y + i * step, values + i * pitch, (size_t)(count * size));
    } else if (step == size && count % SS_W == 0 && length >= SS_W) {
        for (int row = 0; row < count; row += SS_W)
            for (ptrdiff_t i = 0; i < length; i += SS_W) {
                const ptrdiff_t at = i < length - SS_W ? i : length - SS_W;
                FN(transpose)((const char *)(values + at * pitch + row), pitch * size,
                              y + row * row_step + at * size, row_step);
            }
    } else {
        for (int row = 0; row < count; row++)
            for (ptrdiff_t i = 0; i < length; i++)
                memcpy(y + row * row_step + i * step, values + i * pitch + row, sizeof(REAL));
    }
}
