/* SPDX-License-Identifier: BSD-3-Clause
   Sums of the losses of many rows or elements. */

/* In each lane a sum hi + lo whose error is known, and `size`, the sum of the magnitudes, which that error goes by.
   Values come in blocks of at most SS_PIECE: within one, 512 / W additions lose 2^(2 (9 - log2 W) - 106) of the size,
   and each block's addition to the pair 2^-105. */
typedef struct {
    vd hi, lo, size;
} ss_lanes;

static inline void ss_lanes_start(ss_lanes *sum) { sum->hi = sum->lo = sum->size = v_set1(0.0); }

static inline void ss_lanes_add(ss_lanes *sum, const double *values, ptrdiff_t n)
{
    vd hi[2] = {v_set1(0.0), v_set1(0.0)}, lo[2] = {v_set1(0.0), v_set1(0.0)};
    double tail[2 * SS_W] = {0.0};
    for (ptrdiff_t i = 0; i < n; i += 2 * SS_W) {
        const double *from = values + i;
        if (n - i < 2 * SS_W) {
            memcpy(tail, from, (size_t)(n - i) * sizeof *tail);
            from = tail;
        }
        for (int j = 0; j < 2; j++) {
            const vd value = v_load(from + j * SS_W);
            const vpair next = ss_two_sum(hi[j], value);
            hi[j] = next.hi;
            lo[j] = v_add(lo[j], next.lo);
            sum->size = v_add(sum->size, ss_abs(value));
        }
    }
    for (int j = 0; j < 2; j++) {
        const vpair total = ss_pair_add(ss_pair(sum->hi, sum->lo), ss_fast_two_sum(hi[j], lo[j]));
        sum->hi = total.hi;
        sum->lo = total.lo;
    }
}

/* All lanes together, for the rest of the way in plain C. */
static ss_partial ss_lanes_end(const ss_lanes *sum)
{
    double hi[SS_W], lo[SS_W], size[SS_W];
    v_store(hi, sum->hi);
    v_store(lo, sum->lo);
    v_store(size, sum->size);
    vpair total = ss_pair_set1(0.0);
    ss_partial end = {0.0, 0.0, 0.0};
    for (int j = 0; j < SS_W; j++) {
        total = ss_pair_add(total, ss_pair_set(hi[j], lo[j]));
        end.size += size[j];
    }
    end.hi = lane(total.hi);
    end.lo = lane(total.lo);
    return end;
}

static ss_partial items(const double *values, ptrdiff_t n)
{
    ss_lanes sum;
    ss_lanes_start(&sum);
    for (ptrdiff_t i = 0; i < n; i += SS_PIECE) ss_lanes_add(&sum, values + i, n - i < SS_PIECE ? n - i : SS_PIECE);
    return ss_lanes_end(&sum);
}
