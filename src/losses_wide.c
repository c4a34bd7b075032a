/* SPDX-License-Identifier: BSD-3-Clause
   Losses of any magnitude, for the loops to call: wide_rows.h and wide_logits.h over jobs. */
#include "isa/prelude.h"
#include "isa/vec_base.h"
#include "math/pair.h"
#include "math/log.h"
#include "wide.h"
#include "wide_logits.h"

typedef struct {
    const ss_loss *loss;
    ss_place at;
    ptrdiff_t label;
    int single;
} ss_wide_source;

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

static double ss_wide_element(const ss_wide_source *from, ptrdiff_t i)
{
    return read(from->at.x + i * from->loss->job.reduced_x[0], from->single);
}

/* Smoothed. */
static ss_wide ss_wide_factor(const ss_wide_source *from, ptrdiff_t i)
{
    const ss_loss *loss = from->loss;
    const ss_job *job = &loss->job;
    const char *targets = from->at.targets;
    const double t = from->label < 0 ? read(targets + i * job->reduced_mask[0], from->single) : i == from->label;
    ss_wide a = ss_wide_of(t);
    if (loss->smoothing != 0.0) {
        a = ss_wide_mul(a, ss_wide_pair(ss_two_sum(1.0, -loss->smoothing), 0.0));
        a = ss_wide_add(a, ss_wide_div(ss_wide_of(loss->smoothing), ss_wide_of((double)job->n)));
    }
    return loss->weights ? ss_wide_mul(a, ss_wide_of(loss->weights[i])) : a;
}

static void ss_wide_put(const ss_wide_source *from, ptrdiff_t i, double value)
{
    const float narrow = (float)value;
    char *y = from->at.y + i * from->loss->job.reduced_y[0];
    if (from->single) memcpy(y, &narrow, sizeof narrow); else memcpy(y, &value, sizeof value);
}

/* ss_fetch of the ladder. */
static void fetch(const void *from, ptrdiff_t first, ptrdiff_t length, double *x, double *weights)
{
    (void)weights;
    for (ptrdiff_t i = 0; i < length; i++) x[i] = ss_wide_element(from, first + i);
}

static double ss_wide_logsumexp(const ss_wide_source *from, ptrdiff_t n)
{
    return ss_ladder_logsumexp(fetch, from, n, 0, 1.0, 0);
}

#include "wide_rows.h"

double ss_loss_of_row(const ss_loss *loss, int single, ss_place at, ptrdiff_t label, int gradient)
{
    const ss_wide_source from = {loss, at, label, single};
    ss_wide_row row = {.from = &from, .n = loss->job.n, .gamma = loss->gamma, .z_loss = loss->z_loss};
    return ss_wide_loss(&row, ss_pair(loss->scale_hi, loss->scale_lo), gradient);
}

double ss_loss_of_logit(const ss_sigmoid *loss, double x, double t, double weight, double positive, double *slope)
{
    return ss_wide_loss_of_logit(loss, x, t, weight, positive, slope);
}
