/* SPDX-License-Identifier: BSD-3-Clause
   A whole job, in OpenMP threads where it is large enough. Many rows are dealt out; few long ones are cut in parts. */
#include "float_mode.h"
#include "kernels.h"
#include <math.h>
#include <stdlib.h>

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>

/* libgomp's threads do not survive a fork, and waiting for them would hang: the child runs serially. */
static int forked = 0;
static void ss_after_fork(void) { forked = 1; }

int ss_threads(void)
{
    static int registered = 0;
    if (!registered) {
        registered = 1;
        pthread_atfork(NULL, NULL, ss_after_fork);
    }
    return forked || omp_in_parallel() ? 1 : omp_get_max_threads();
}
#else
int ss_threads(void) { return 1; }
#endif

/* Below this many elements a second thread costs more than it brings (about 10 us of work). */
enum { SS_PARALLEL_ELEMENTS = 1 << 15 };

int ss_parts(double elements, int threads)
{
    if (elements < SS_PARALLEL_ELEMENTS || threads < 1) return 1;
    return threads < SS_MOST_PARTS ? threads : SS_MOST_PARTS;
}

static void ss_run_parts(const ss_kernels *kernels, int type, const ss_job *job, ptrdiff_t row, int parts)
{
    ss_sum sums[SS_MOST_PARTS], sum;
    const int rest = job->operation != SS_SOFTMAX;
    double shift = 0.0;
    for (;;) {
#pragma omp parallel for num_threads(parts) schedule(static, 1)
        for (int part = 0; part < parts; part++) {
            const uint64_t mode = ss_float_enter();
            sums[part] = kernels->part[type](job, row, job->n / parts * part,
                                             part + 1 < parts ? job->n / parts * (part + 1) : job->n, shift);
            ss_float_leave(mode);
        }
        sum = sums[0];
        for (int part = 1; part < parts; part++) sum = kernels->merge[type](sum, sums[part], rest);
        if (shift != 0.0 || !isfinite(sum.peak) || fabs(sum.peak) <= SS_HUGE) break;
        shift = sum.peak;
    }
    const ss_end end = kernels->conclude[type](job, row, sum, shift);
    if (job->operation >= SS_LOGSUMEXP) {
        kernels->write[type](job, row, 0, 0, &end);
        return;
    }
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int part = 0; part < parts; part++) {
        const uint64_t mode = ss_float_enter();
        kernels->write[type](job, row, job->n / parts * part,
                             part + 1 < parts ? job->n / parts * (part + 1) : job->n, &end);
        ss_float_leave(mode);
    }
}

/* Terms of a row are kept if they fit the second level of the caches; beyond that computing them again is faster. */
enum { SS_KEPT_BYTES = 900 << 10 };

static void ss_run_rows(const ss_kernels *kernels, int type, const ss_job *job, ptrdiff_t first, ptrdiff_t last)
{
    const uint64_t mode = ss_float_enter();
    const size_t tiles = (size_t)((job->n + SS_TILE - 1) / SS_TILE), bytes = tiles * SS_TERMS * (type ? 16 : 8);
    if (job->operation != SS_SOFTMAX || tiles < 2 || tiles > SS_KEPT_TILES || bytes > SS_KEPT_BYTES) {
        kernels->rows[type](job, first, last);
    } else {
        ss_job own = *job;
        char *memory = malloc(bytes + 63); /* terms begin on a line of the cache: vectors do not straddle two */
        own.terms = memory ? (double *)(memory + (64 - (uintptr_t)memory % 64) % 64) : NULL;
        kernels->rows[type](&own, first, last);
        free(memory);
    }
    ss_float_leave(mode);
}

static void ss_deal(const ss_kernels *kernels, int type, const ss_job *job, int threads)
{
    threads = ss_parts((double)job->rows * (double)job->n, threads);
    if (threads == 1) {
        ss_run_rows(kernels, type, job, 0, job->rows);
        return;
    }
    if (ss_plain(job) && job->rows < 4 * (ptrdiff_t)threads && job->n >= SS_PARALLEL_ELEMENTS) {
        for (ptrdiff_t row = 0; row < job->rows; row++) ss_run_parts(kernels, type, job, row, threads);
        return;
    }
    if (threads > job->rows) threads = (int)job->rows;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int part = 0; part < threads; part++)
        ss_run_rows(kernels, type, job, job->rows / threads * part,
                    part + 1 < threads ? job->rows / threads * (part + 1) : job->rows);
}

void ss_run(const ss_kernels *kernels, int type, const ss_job *job, int threads)
{
    const uint64_t mode = ss_float_enter();
    ss_deal(kernels, type, job, threads);
    ss_float_leave(mode);
}
