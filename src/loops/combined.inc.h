/* SPDX-License-Identifier: BSD-3-Clause
   Products of matrices of pairs, the same for any order of the terms. After tangent.inc.h. */

static void margin_combined(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_combined *job = what;
    const ptrdiff_t n = job->length;
    const int bits = ss_word_bits((double)job->terms);
    for (ptrdiff_t j = 0; j < n; j += SS_W) /* what one vector takes of all terms stays in the cache for all rows */
        for (ptrdiff_t row = first; row < last; row++) {
            const double *c_hi = job->c_hi + row * job->terms, *c_lo = job->c_lo + row * job->terms;
            double power[SS_W];
            vd peak = v_set1(0.0), words[SS_WORDS] = {peak, peak, peak};
            for (ptrdiff_t i = 0; i < job->terms; i++) {
                const vd term = v_mul(v_set1(c_hi[i]), products_load(job->v_hi + i * n + j, n - j));
                peak = v_max(ss_abs(term), peak);
            }
            v_store(power, peak);
            for (int i = 0; i < SS_W; i++) power[i] = margin_power_above(fmax(power[i], 0x1p-800));
            const ss_grid grid = ss_grid_below(v_load(power), bits);
            for (ptrdiff_t i = 0; i < job->terms; i++) {
                const vpair v = tangent_load(job->v_hi + i * n + j, job->v_lo + i * n + j, n - j);
                ss_grid_add(&grid, ss_pair_mul(ss_pair_set(c_hi[i], c_lo[i]), v), words);
            }
            const vpair sum = ss_words_sum(words);
            products_store(job->hi + row * n + j, sum.hi, n - j);
            products_store(job->lo + row * n + j, sum.lo, n - j);
        }
}
