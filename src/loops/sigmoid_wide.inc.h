/* SPDX-License-Identifier: BSD-3-Clause
   Which elements of a weighted or focal sigmoid loss doubles cannot carry: they are computed anew, in wide numbers. */
#ifndef SS_SIGMOID_WIDE
#define SS_SIGMOID_WIDE
typedef struct {
    int count, place[SS_PIECE];
    double x[SS_PIECE], t[SS_PIECE];
} ss_beyond;

static void ss_sigmoid_anew(const ss_sigmoid *loss, const ss_beyond *beyond, const double *weight,
                            const double *positive, double *item, double *slope)
{
    for (int k = 0; k < beyond->count; k++) {
        const int i = beyond->place[k];
        item[i] = ss_loss_of_logit(loss, beyond->x[k], beyond->t[k], weight[i], positive[i], &slope[i]);
    }
}

/* |a| where it is not 0, elsewhere 1. */
static inline vd ss_size_unless_none(vd a)
{
    return v_select(v_eq(a, v_set1(0.0)), v_set1(1.0), ss_abs(a));
}

static inline int ss_weight_beyond(double weight) /* so far from 1 that a product could leave the range */
{
    return weight != 0.0 && !(fabs(weight) > 0x1p-100 && fabs(weight) < 0x1p100);
}
#endif

/* Finds them, before the results take the place of x and t; returns whether there are any. Focal loss: a power larger
   than SS_FOCUS_MOST, or of what may be below 2^-900; a target that may be as small as e^-|x|. Weights: one far from 1,
   or one that lifts what has lost digits, the e^-|x| of a confident logit or a tiny target. */
static int FN(sigmoid_beyond)(const ss_sigmoid *loss, ptrdiff_t n, const double *x, const double *t,
                              const double *weight, const double *positive, ss_beyond *beyond)
{
    const int focal = loss->focal;
    const int all = focal && (loss->gamma > SS_FOCUS_MOST || (loss->alpha > 0.0 && loss->alpha < 0x1p-100));
    const double far = focal ? 600.0 / fmax(loss->gamma, 1e-9) : SINGLE ? 80.0 : 600.0, soft = focal ? 300.0 : far;
    vd furthest = v_set1(0.0), most = v_set1(1.0), least = most, target = most;
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        const vd w = v_load(weight + i), v = v_load(positive + i);
        furthest = v_max(ss_abs(v_load(x + i)), furthest);
        target = v_min(ss_size_unless_none(v_load(t + i)), target);
        most = v_max(v_max(ss_abs(w), ss_abs(v)), most);
        least = v_min(v_min(ss_size_unless_none(w), ss_size_unless_none(v)), least);
    }
    const int near = v_bits(v_lt(furthest, v_set1(fmin(far, soft)))) & v_bits(v_lt(most, v_set1(0x1p100)));
    const int large = v_bits(v_lt(v_set1(0x1p-100), least)) & v_bits(v_lt(v_set1(0x1p-900), target));
    beyond->count = 0;
    if (!all && (near & large) == (1 << SS_W) - 1) return 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double size = fabs(x[i]), w = weight[i], v = positive[i];
        const int plain = w == 0.0 || (w == 1.0 && v == 1.0), tiny = t[i] != 0.0 && t[i] < 0x1p-900;
        const int found = focal ? size > far || tiny || (size > soft && t[i] != 0.0 && t[i] != 1.0)
                                : !plain && (size > far || tiny || ss_weight_beyond(w) || ss_weight_beyond(v));
        if (!(found || all) || isnan(x[i])) continue;
        beyond->place[beyond->count] = (int)i;
        beyond->x[beyond->count] = x[i];
        beyond->t[beyond->count++] = t[i];
    }
    return beyond->count;
}
