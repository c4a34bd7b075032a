/* SPDX-License-Identifier: BSD-3-Clause
   The loss of a logit once more, for any magnitudes; as wide_rows.h. ss_sigmoid is that of losses.h, or has of it what
   is used here. */
#ifndef SS_WIDE_LOGITS_H
#define SS_WIDE_LOGITS_H

/* power times the logistic loss of x against t, with none = 1 - t and some = positive t, and its slope. */
static double ss_wide_loss_of_logit(const ss_sigmoid *loss, double x, double t, double weight, double positive,
                                    double *slope)
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
            power = ss_wide_raise_inverse(ss_wide_div(p, q), loss->gamma);
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

#endif
