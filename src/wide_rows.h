/* SPDX-License-Identifier: BSD-3-Clause
   The loss of a row once more, for any magnitude of logits, probabilities, weights and powers: what the loops leave
   out, because a number could leave the range of doubles, or lose its digits, on the way. Numbers have exponents of
   their own, terms are relative to the peak, good to 2^-92, and sums exact; it takes some microseconds for each
   element. For C and CUDA alike: who includes this says by ss_wide_element, ss_wide_factor (weight times probability),
   ss_wide_put and ss_wide_logsumexp (correctly rounded) what a ss_wide_source is. */
#ifndef SS_WIDE_ROWS_H
#define SS_WIDE_ROWS_H

#ifndef SS_WIDE_EACH /* one thread has the whole row; elsewhere several, which share exact sums */
#define SS_WIDE_EACH(i, n) for (ptrdiff_t i = 0; i < (n); i++)
#define SS_WIDE_SHARED
#define SS_WIDE_FIRST 1
#define SS_WIDE_SYNC() (void)0
#define SS_WIDE_LARGEST(a) (a)
#endif

typedef struct {
    const ss_wide_source *from;
    ptrdiff_t n;
    double gamma, z_loss, peak;
    ss_wide rest, total; /* sums of e^(x - peak), without one peak and with it */
    ss_wide excess, log; /* log of the total, and with the peak: logsumexp */
} ss_wide_row;

/* What a class of factor a contributes: a focus cost to the loss, and with h = a slope p (sum of h) - h to the
   gradient. */
typedef struct {
    ss_wide term, others, cost, focus, slope;
} ss_wide_class;

/* peak - x; both are halved where the difference could overflow. */
static ss_wide ss_wide_below(double peak, double x)
{
    const double by = fabs(peak) > 0x1p1000 || fabs(x) > 0x1p1000 ? 0.5 : 1.0;
    return ss_wide_pair(ss_two_sum(by * peak, -by * x), by < 1.0);
}

static ss_wide_class ss_wide_class_of(const ss_wide_row *row, double x)
{
    const ss_wide one = ss_wide_of(1.0), nothing = ss_wide_of(0.0);
    ss_wide_class end = {nothing, row->total, ss_wide_of(INFINITY), one, one};
    if (x == -INFINITY) return end;
    const ss_wide distance = ss_wide_below(row->peak, x);
    end.term = ss_wide_exp_of_minus(distance);
    end.others = x == row->peak ? row->rest : ss_wide_sub(row->total, end.term);
    end.cost = ss_wide_add(distance, row->excess);
    if (row->gamma == 0.0) return end;
    if (ss_wide_none(end.others)) {
        end.focus = end.slope = nothing;
        return end;
    }
    const ss_wide odds = ss_wide_div(end.term, end.others); /* p / q */
    end.focus = ss_wide_raise_inverse(odds, row->gamma);
    end.slope = ss_wide_add(one, ss_wide_mul(ss_wide_mul(ss_wide_of(row->gamma), odds), end.cost));
    end.slope = ss_wide_mul(end.focus, end.slope);
    return end;
}

static ss_wide_total ss_wide_total_of(ss_total *total)
{
    const ss_wide_total sum = {total, -INFINITY};
    if (SS_WIDE_FIRST) ss_total_start(total);
    SS_WIDE_SYNC();
    return sum;
}

static ss_wide ss_wide_log_sum(const ss_wide_row *row)
{
    const ss_wide peak = ss_wide_of(row->peak), log = ss_wide_add(peak, row->excess);
    if (row->z_loss == 0.0) return ss_wide_of(0.0); /* not wanted */
    if (log.unit > peak.unit - 4.0 || ss_wide_none(peak)) return log;
    return ss_wide_of(ss_wide_logsumexp(row->from, row->n)); /* they cancel */
}

static void ss_wide_sum(ss_wide_row *row)
{
    SS_WIDE_SHARED ss_total total;
    double peak = -INFINITY, place = 0.0;
    SS_WIDE_EACH(i, row->n)
    {
        const double x = ss_wide_element(row->from, i);
        if (x > peak) {
            peak = x;
            place = (double)i;
        }
    }
    row->peak = SS_WIDE_LARGEST(peak);
    place = -SS_WIDE_LARGEST(peak == row->peak ? -place : -INFINITY); /* of the peak that is left out */
    ss_wide_total sum = ss_wide_total_of(&total);
    for (int look = 1; look >= 0; look--) {
        SS_WIDE_EACH(i, row->n)
        {
            const double x = ss_wide_element(row->from, i);
            if (x == -INFINITY || (double)i == place) continue;
            ss_wide_total_add(&sum, ss_wide_exp_of_minus(ss_wide_below(row->peak, x)), look);
        }
        sum.unit = SS_WIDE_LARGEST(sum.unit);
    }
    SS_WIDE_SYNC();
    row->rest = ss_wide_total_result(&sum);
    row->total = ss_wide_add(ss_wide_of(1.0), row->rest);
    row->excess = ss_wide_log1p(row->rest);
    row->log = ss_wide_log_sum(row);
}

/* The loss of a row, of which `from`, n, gamma and z_loss are known; writes the gradient, too, if asked for. */
static double ss_wide_loss(ss_wide_row *row, vpair by, int gradient)
{
    SS_WIDE_SHARED ss_total total[3];
    ss_wide_sum(row);
    ss_wide_total costs = ss_wide_total_of(&total[0]), slopes = ss_wide_total_of(&total[1]);
    ss_wide_total factors = ss_wide_total_of(&total[2]);
    for (int look = 1; look >= 0; look--) {
        SS_WIDE_EACH(i, row->n)
        {
            const ss_wide a = ss_wide_factor(row->from, i);
            if (ss_wide_none(a)) continue;
            const ss_wide_class of = ss_wide_class_of(row, ss_wide_element(row->from, i));
            ss_wide_total_add(&costs, ss_wide_mul(ss_wide_mul(a, of.focus), of.cost), look);
            ss_wide_total_add(&slopes, ss_wide_mul(a, of.slope), look);
            ss_wide_total_add(&factors, a, look);
        }
        costs.unit = SS_WIDE_LARGEST(costs.unit);
        slopes.unit = SS_WIDE_LARGEST(slopes.unit);
        factors.unit = SS_WIDE_LARGEST(factors.unit);
    }
    SS_WIDE_SYNC();
    const ss_wide whole = ss_wide_total_result(&slopes), scale = ss_wide_pair(by, 0.0), two = ss_wide_of(2.0);
    const ss_wide all = ss_wide_total_result(&factors);
    const ss_wide steep = ss_wide_mul(ss_wide_mul(ss_wide_of(row->z_loss), row->log), all);
    const ss_wide item = ss_wide_add(ss_wide_total_result(&costs), ss_wide_mul(steep, row->log));
    SS_WIDE_EACH(i, gradient ? row->n : 0)
    {
        const ss_wide_class of = ss_wide_class_of(row, ss_wide_element(row->from, i));
        /* without its own h, a label cancels nothing */
        const ss_wide h = ss_wide_mul(ss_wide_factor(row->from, i), of.slope), others = ss_wide_sub(whole, h);
        const ss_wide rise = ss_wide_mul(of.term, ss_wide_add(others, ss_wide_mul(two, steep)));
        const ss_wide slope = ss_wide_div(ss_wide_sub(rise, ss_wide_mul(of.others, h)), row->total);
        ss_wide_put(row->from, i, ss_wide_double(ss_wide_mul(slope, scale)) + 0.0);
    }
    SS_WIDE_SYNC();
    return ss_wide_double(item);
}

#endif
