/* SPDX-License-Identifier: BSD-3-Clause
   Sums of products of pairs that the order of the terms does not change: with a grid known from the largest term, each
   term is cut into three words, and words of one kind are added without a rounding. */

enum { COMBINED_WORDS = 3 };

/* Added and taken off again, they round to the steps of each word, which are 2^bits to the one before. */
typedef struct {
    vd magic[COMBINED_WORDS];
} combined_grid;

static combined_grid combined_grid_for(vd peak, int bits)
{
    double part[SS_W];
    combined_grid grid;
    v_store(part, peak);
    for (int i = 0; i < SS_W; i++) {
        int exponent;
        frexp(part[i] > 0.0 && !isinf(part[i]) ? part[i] : 1.0, &exponent);
        part[i] = ldexp(1.5, 52 - bits + (exponent > -800 ? exponent : -800)); /* below, the last word would vanish */
    }
    for (int k = 0; k < COMBINED_WORDS; k++)
        grid.magic[k] = v_mul(v_load(part), v_set1(ldexp(1.0, -k * bits)));
    return grid;
}

static inline void combined_add(const combined_grid *grid, vpair term, vd *words)
{
    vd rest = term.hi;
    for (int k = 0; k < COMBINED_WORDS; k++) {
        const vd whole = v_sub(v_add(rest, grid->magic[k]), grid->magic[k]);
        words[k] = v_add(words[k], whole);
        rest = v_sub(rest, whole);
        if (k == 0) rest = v_add(rest, term.lo); /* has room now that the leading digits are gone */
    }
}

static void margin_combined(const void *what, ptrdiff_t first, ptrdiff_t last)
{
    const ss_combined *job = what;
    const ptrdiff_t n = job->length;
    int bits = 50;
    while (bits > 20 && ldexp((double)job->terms, bits) > 0x1p52) bits--;
    for (ptrdiff_t j = 0; j < n; j += SS_W) /* what one vector takes of all terms stays in the cache for all rows */
        for (ptrdiff_t row = first; row < last; row++) {
            const double *c_hi = job->c_hi + row * job->terms, *c_lo = job->c_lo + row * job->terms;
            vd peak = v_set1(0.0), words[COMBINED_WORDS];
            for (ptrdiff_t i = 0; i < job->terms; i++) {
                const vd term = v_mul(v_set1(c_hi[i]), products_load(job->v_hi + i * n + j, n - j));
                peak = v_max(ss_abs(term), peak);
            }
            const combined_grid grid = combined_grid_for(peak, bits);
            for (int k = 0; k < COMBINED_WORDS; k++) words[k] = v_set1(0.0);
            for (ptrdiff_t i = 0; i < job->terms; i++) {
                const vpair v = tangent_load(job->v_hi + i * n + j, job->v_lo + i * n + j, n - j);
                combined_add(&grid, ss_pair_mul(ss_pair_set(c_hi[i], c_lo[i]), v), words);
            }
            vpair sum = ss_two_sum(words[0], words[1]);
            const vpair more = ss_two_sum(sum.hi, words[2]);
            sum = ss_two_sum(more.hi, v_add(more.lo, sum.lo));
            products_store(job->hi + row * n + j, sum.hi, n - j);
            products_store(job->lo + row * n + j, sum.lo, n - j);
        }
}
