/* SPDX-License-Identifier: BSD-3-Clause
   The losses once more, for any magnitude of logits, probabilities, weights and powers: what the loops leave out,
   because a number could leave the range of doubles, or lose its digits, on the way. Numbers have exponents of their
   own, terms are relative to the peak, good to 2^-88, and sums exact; it takes some microseconds for each element. */
#include "isa/prelude.h"
#include "isa/vec_base.h"
#include "math/pair.h"
#include "math/log.h"
#include "wide.h"

typedef struct {
    const ss_loss *loss;
    ss_place at;
    ptrdiff_t label;
    int single;
    double peak;
    ss_wide rest, total; /* sums of e^(x - peak), without one peak and with it */
    ss_wide excess, log; /* log of the total, and with the peak: logsumexp */
} wide_row;

/* What a class of factor a contributes: a focus cost to the loss, and with h = a slope p (sum of h) - h to the
   gradient. */
typedef struct {
    ss_wide term, others, cost, focus, slope;
} wide_class;

static double read(const char *at, int single)
{
    double value;
    float narrow;
    if (!single) {
        memcpy(&value, at, sizeof value);
        return value;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

static double element(const wide_row *row, ptrdiff_t i)
{
    return read(row->at.x + i * row->loss->job.reduced_x[0], row->single);
}

/* Weight times probability, smoothed. */
static ss_wide factor_of(const wide_row *row, ptrdiff_t i)
{
    const ss_loss *loss = row->loss;
    const ss_job *job = &loss->job;
    const double t = row->label < 0 ? read(row->at.targets + i * job->reduced_mask[0], row->single) : i == row->label;
    ss_wide a = ss_wide_of(t);
    if (loss->smoothing != 0.0) {
        a = ss_wide_mul(a, ss_wide_pair(ss_two_sum(1.0, -loss->smoothing), 0.0));
        a = ss_wide_add(a, ss_wide_div(ss_wide_of(loss->smoothing), ss_wide_of((double)job->n)));
    }
    return loss->weights ? ss_wide_mul(a, ss_wide_of(loss->weights[i])) : a;
}

/* peak - x; both are halved where the difference could overflow. */
static ss_wide below(double peak, double x)
{
    const double by = fabs(peak) > 0x1p1000 || fabs(x) > 0x1p1000 ? 0.5 : 1.0;
    return ss_wide_pair(ss_two_sum(by * peak, -by * x), by < 1.0);
}

static ss_wide raise_inverse(ss_wide odds, double power) /* (1 + odds)^-power */
{
    return ss_wide_exp_of_minus(ss_wide_mul(ss_wide_of(power), ss_wide_log1p(odds)));
}

static wide_class class_of(const wide_row *row, double x)
{
    const ss_wide one = ss_wide_of(1.0), nothing = ss_wide_of(0.0);
    const double gamma = row->loss->gamma;
    wide_class end = {nothing, row->total, ss_wide_of(INFINITY), one, one};
    if (x == -INFINITY) return end;
    const ss_wide distance = below(row->peak, x);
    end.term = ss_wide_exp_of_minus(distance);
    end.others = x == row->peak ? row->rest : ss_wide_sub(row->total, end.term);
    end.cost = ss_wide_add(distance, row->excess);
    if (gamma == 0.0) return end;
    if (ss_wide_none(end.others)) {
        end.focus = end.slope = nothing;
        return end;
    }
    const ss_wide odds = ss_wide_div(end.term, end.others); /* p / q */
    end.focus = raise_inverse(odds, gamma);
    end.slope = ss_wide_add(one, ss_wide_mul(ss_wide_mul(ss_wide_of(gamma), odds), end.cost));
    end.slope = ss_wide_mul(end.focus, end.slope);
    return end;
}

/* ss_fetch of the ladder. */
static void fetch(const void *from, ptrdiff_t first, ptrdiff_t length, double *x, double *weights)
{
    (void)weights;
    for (ptrdiff_t i = 0; i < length; i++) x[i] = element(from, first + i);
}

static ss_wide log_sum(const wide_row *row)
{
    const ss_wide peak = ss_wide_of(row->peak), log = ss_wide_add(peak, row->excess);
    if (log.unit > peak.unit - 4.0 || ss_wide_none(peak)) return log;
    return ss_wide_of(ss_ladder_logsumexp(fetch, row, row->loss->job.n, 0, 1.0, 0)); /* they cancel */
}

static void sum_row(wide_row *row)
{
    const ptrdiff_t n = row->loss->job.n;
    row->peak = -INFINITY;
    for (ptrdiff_t i = 0; i < n; i++) row->peak = fmax(row->peak, element(row, i));
    ss_wide_total sum;
    ss_wide_total_start(&sum);
    for (int look = 1; look >= 0; look--) {
        int skip = 1;
        for (ptrdiff_t i = 0; i < n; i++) {
            const double x = element(row, i);
            if (x == -INFINITY) continue;
            if (x == row->peak && skip)
                skip = 0;
            else
                ss_wide_total_add(&sum, ss_wide_exp_of_minus(below(row->peak, x)), look);
        }
    }
    row->rest = ss_wide_total_result(&sum);
    row->total = ss_wide_add(ss_wide_of(1.0), row->rest);
    row->excess = ss_wide_log1p(row->rest);
    row->log = log_sum(row);
}

double ss_loss_of_row(const ss_loss *loss, int single, ss_place at, ptrdiff_t label, int gradient)
{
    wide_row row = {.loss = loss, .at = at, .label = label, .single = single};
    const ss_job *job = &loss->job;
    ss_wide_total costs, slopes, factors;
    sum_row(&row);
    ss_wide_total_start(&costs);
    ss_wide_total_start(&slopes);
    ss_wide_total_start(&factors);
    for (int look = 1; look >= 0; look--)
        for (ptrdiff_t i = 0; i < job->n; i++) {
            const ss_wide a = factor_of(&row, i);
            if (ss_wide_none(a)) continue;
            const wide_class of = class_of(&row, element(&row, i));
            ss_wide_total_add(&costs, ss_wide_mul(ss_wide_mul(a, of.focus), of.cost), look);
            ss_wide_total_add(&slopes, ss_wide_mul(a, of.slope), look);
            ss_wide_total_add(&factors, a, look);
        }
    const ss_wide whole = ss_wide_total_result(&slopes);
    const ss_wide steep = ss_wide_mul(ss_wide_mul(ss_wide_of(loss->z_loss), row.log), ss_wide_total_result(&factors));
    const ss_wide item = ss_wide_add(ss_wide_total_result(&costs), ss_wide_mul(steep, row.log));
    const ss_wide scale = ss_wide_pair(ss_pair(loss->scale_hi, loss->scale_lo), 0.0), two = ss_wide_of(2.0);
    for (ptrdiff_t i = 0; i < job->n && gradient; i++) {
        const wide_class of = class_of(&row, element(&row, i));
        /* without its own h, a label cancels nothing */
        const ss_wide h = ss_wide_mul(factor_of(&row, i), of.slope), others = ss_wide_sub(whole, h);
        const ss_wide rise = ss_wide_mul(of.term, ss_wide_add(others, ss_wide_mul(two, steep)));
        const ss_wide slope = ss_wide_div(ss_wide_sub(rise, ss_wide_mul(of.others, h)), row.total);
        const double value = ss_wide_double(ss_wide_mul(slope, scale)) + 0.0;
        const float narrow = (float)value;
        char *y = at.y + i * job->reduced_y[0];
        if (single) memcpy(y, &narrow, sizeof narrow); else memcpy(y, &value, sizeof value);
    }
    return ss_wide_double(item);
}

/* power times the logistic loss of x against t, with none = 1 - t and some = positive t, and its slope. */
double ss_loss_of_logit(const ss_sigmoid *loss, double x, double t, double weight, double positive, double *slope)
{
    const ss_wide one = ss_wide_of(1.0), target = ss_wide_of(t), w = ss_wide_of(weight);
    const ss_wide none = ss_wide_pair(ss_two_sum(1.0, -t), 0.0), some = ss_wide_mul(target, ss_wide_of(positive));
    const ss_wide term = ss_wide_exp_of_minus(ss_wide_of(fabs(x))), log = ss_wide_log1p(term);
    const ss_wide larger = ss_wide_div(one, ss_wide_add(one, term)), smaller = ss_wide_mul(term, larger);
    const ss_wide above = x > 0.0 ? larger : smaller, under = x > 0.0 ? smaller : larger; /* sigma(x), sigma(-x) */
    const ss_wide up = ss_wide_mul(none, ss_wide_add(ss_wide_of(fmax(x, 0.0)), log));
    const ss_wide down = ss_wide_mul(some, ss_wide_add(ss_wide_of(fmax(-x, 0.0)), log));
    ss_wide item = ss_wide_add(up, down), rise = ss_wide_mul(none, above), power = one;
    rise = ss_wide_sub(rise, ss_wide_mul(some, under));
    if (loss->focal) {
        const ss_wide q = ss_wide_add(ss_wide_mul(none, above), ss_wide_mul(target, under));
        const ss_wide p = ss_wide_add(ss_wide_mul(none, under), ss_wide_mul(target, above));
        if (ss_wide_none(q)) {
            power = loss->gamma == 0.0 ? one : ss_wide_of(0.0);
        } else {
            power = raise_inverse(ss_wide_div(p, q), loss->gamma);
            if (isfinite(item.value.hi)) { /* sigma goes faster than an infinite loss comes */
                const ss_wide spread = ss_wide_div(ss_wide_mul(above, under), q);
                const ss_wide growth = ss_wide_mul(ss_wide_mul(ss_wide_of(loss->gamma), item), spread);
                rise = ss_wide_add(rise, ss_wide_mul(growth, ss_wide_sub(none, target)));
            }
        }
        if (!isnan(loss->alpha)) {
            const ss_wide share = ss_wide_mul(ss_wide_of(loss->alpha), target);
            const ss_wide other = ss_wide_mul(ss_wide_pair(ss_two_sum(1.0, -loss->alpha), 0.0), none);
            power = ss_wide_mul(power, ss_wide_add(share, other));
        }
    }
    power = ss_wide_mul(power, w);
    const ss_wide scale = ss_wide_pair(ss_pair(loss->scale_hi, loss->scale_lo), 0.0);
    *slope = ss_wide_double(ss_wide_mul(ss_wide_mul(rise, power), scale)) + 0.0;
    return ss_wide_double(ss_wide_mul(item, power));
}
