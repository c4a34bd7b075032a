/* SPDX-License-Identifier: BSD-3-Clause
   Which elements of a weighted or focal sigmoid loss doubles cannot carry: they are computed anew, in wide numbers. */
#ifndef SS_SIGMOID_WIDE
#define SS_SIGMOID_WIDE
/* |a| where it is not 0, elsewhere 1. */
static inline vd ss_size_unless_none(vd a)
{
    return v_select(v_eq(a, v_set1(0.0)), v_set1(1.0), ss_abs(a));
}
#endif

/* Focal loss: a power larger than SS_FOCUS_MOST, or of what may be below 2^-900; a target that may be as small as
   e^-|x|. Weights: as logistic.inc.h says. `slopes` may be NULL. */
static void FN(sigmoid_anew)(const ss_sigmoid *loss, ptrdiff_t n, const REAL *x, const REAL *t, const REAL *weight,
                             const REAL *positive, double *items, REAL *slopes)
{
    const int focal = loss->focal;
    const int all = focal && (loss->gamma > SS_FOCUS_MOST || (loss->alpha > 0.0 && loss->alpha < 0x1p-100));
    const double far = focal ? 600.0 / fmax(loss->gamma, 1e-9) : FN(WIDE), soft = focal ? 300.0 : far;
    vd furthest = v_set1(0.0), most = v_set1(1.0), least = most, target = most;
    for (ptrdiff_t i = 0; i < n; i += SS_W) {
        const vd w = FN(load)(weight + i), v = FN(load)(positive + i);
        furthest = v_max(ss_abs(FN(load)(x + i)), furthest);
        target = v_min(ss_size_unless_none(FN(load)(t + i)), target);
        most = v_max(v_max(ss_abs(w), ss_abs(v)), most);
        least = v_min(v_min(ss_size_unless_none(w), ss_size_unless_none(v)), least);
    }
    const int near = v_bits(v_lt(furthest, v_set1(fmin(far, soft)))) & v_bits(v_lt(most, v_set1(0x1p100)));
    const int large = v_bits(v_lt(v_set1(0x1p-100), least)) & v_bits(v_lt(v_set1(0x1p-900), target));
    if (!all && (near & large) == (1 << SS_W) - 1) return;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double logit = (double)x[i], size = fabs(logit), p = (double)t[i];
        const double w = (double)weight[i], v = (double)positive[i];
        const int found = focal ? size > far || ss_target_beyond(p) || (size > soft && p != 0.0 && p != 1.0)
                                : ss_logit_beyond(far, logit, p, w, v);
        if (!(found || all) || isnan(logit)) continue;
        double slope;
        items[i] = ss_loss_of_logit(loss, logit, p, w, v, &slope);
        if (slopes) slopes[i] = (REAL)slope;
    }
}
