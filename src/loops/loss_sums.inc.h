/* SPDX-License-Identifier: BSD-3-Clause
   From the sum of a row to the loss of its label and to the factors of its gradient. Lanes are rows; both real types.

   With S the sum of all e^x: loss = (peak - x_label) + log1p(rest / e^peak), two terms of one sign. The gradient is p = e^x / S
   elsewhere and -(sum of the others) / S at the label, where p - 1 would cancel: the others are `rest` if the label
   is at the peak; if not, e^x_label is at most S / 2, and S - e^x_label keeps its digits. */

/* An element this far below the peak adds nothing to S; the table of exp needs 2^-902 or more. */
#define SS_TERM_REACH 600.0

typedef struct {
    vpair excess; /* log1p(rest / e^peak) */
    vpair loss;   /* -log p of the label */
    vpair total;  /* S, in units of 2^unit */
    vpair others; /* S without the label's term, in units of 2^others_unit */
    vd unit, others_unit;
} ss_label;

/* What is summed over the classes of a row with probabilities: a, h, or the losses (loss_dense.inc.h). */
enum { SS_SUM_WEIGHTS, SS_SUM_SLOPES, SS_SUM_COSTS };

/* Relative error 2^-102. */
static inline vpair ss_pair_mul(vpair a, vpair b)
{
    vpair product = ss_two_prod(a.hi, b.hi);
    return ss_fast_two_sum(product.hi, v_add(product.lo, v_fma(a.hi, b.lo, v_mul(a.lo, b.hi))));
}

static inline vpair ss_pair_scale_down(vpair a, vd d) { return ss_pair(ss_scale_down(a.hi, d), ss_scale_down(a.lo, d)); }

/* `gap` = peak - x_label, `term` = e^x_label in units of 2^exponent(peak), rest in units of 2^exponent. */
static inline ss_label label_f64(vd peak, vpair rest, vd exponent, vpair gap, vpair term)
{
    ss_label end;
    const vpair top = ss_mantissa(peak);
    const vd zero = v_set1(0.0), down = v_min(v_sub(exponent, ss_exponent(peak)), zero);
    const vm at_peak = v_eq(gap.hi, zero);
    end.unit = ss_exponent(peak);
    end.total = ss_pair_add(top, ss_pair_scale_down(rest, down));
    end.excess = ss_log1p_pair(ss_pair_scale_down(ss_pair_div(rest, top), down));
    const vpair left = ss_pair_add(end.total, ss_pair(v_sub(zero, term.hi), v_sub(zero, term.lo)));
    end.others = ss_pair(v_select(at_peak, rest.hi, left.hi), v_select(at_peak, rest.lo, left.lo));
    end.others_unit = v_select(at_peak, v_add(end.unit, down), end.unit);
    const vpair sum = ss_two_sum(gap.hi, end.excess.hi);
    const vpair loss = ss_fast_two_sum(sum.hi, v_add(sum.lo, v_add(gap.lo, end.excess.lo)));
    const vm infinite = v_eq(gap.hi, v_set1(INFINITY));
    end.loss = ss_pair(v_select(infinite, gap.hi, loss.hi), v_select(infinite, zero, loss.lo));
    return end;
}

/* The same for float32, in doubles. */
static inline ss_label label_f32(vd peak, vpair rest, vd exponent, vpair gap, vpair term)
{
    ss_label end;
    const vd zero = v_set1(0.0), unit = ss_exponent(peak), down = v_min(v_sub(exponent, unit), zero);
    const vd top = ss_mantissa(peak).hi, total = v_add(top, ss_scale_down(rest.hi, down));
    const vm at_peak = v_eq(gap.hi, zero);
    end.unit = unit;
    end.total = ss_pair(total, zero);
    end.excess = ss_pair(ss_log1p_single(ss_scale_down(rest.hi, down), top), zero);
    end.others = ss_pair(v_select(at_peak, rest.hi, v_sub(total, term.hi)), zero);
    end.others_unit = v_select(at_peak, v_add(unit, down), unit);
    end.loss = ss_pair(v_add(gap.hi, end.excess.hi), zero);
    return end;
}

/* a^power for a positive pair times 2^unit, at most 1; 0 where it would be below 2^-1150. */
static inline vpair ss_raise(vpair a, vd unit, double power)
{
    SS_TABLES;
    const vpair log = ss_pair_mul(ss_log_pair(a, unit), ss_pair(v_set1(power), v_set1(0.0)));
    const vm tiny = v_lt(log.hi, v_set1(-800.0));
    const vd hi = v_select(tiny, v_set1(-800.0), log.hi), lo = v_select(tiny, v_set1(0.0), log.lo), exponent = ss_exponent(hi);
    return ss_pair_scale_down(ss_exp_pair(hi, lo, ss_scale_bits(exponent, 0), table_hi, table_lo), exponent);
}

/* What focal loss multiplies by: the loss by q^gamma, p by q^gamma (1 + gamma p loss / q), with q = 1 - p of the label.
   `term` as for the label; loss / q is 1 for tiny q. Where the term was cut off p loss is nothing. */
static inline void ss_label_focus(double gamma, const ss_label *end, vpair inverse, vpair term, vpair *on_loss,
                                  vpair *on_gradient)
{
    const vpair one = ss_pair(v_set1(1.0), v_set1(0.0)), nothing = ss_pair(v_set1(0.0), v_set1(0.0));
    const vpair q = ss_pair_mul(end->others, inverse), p = ss_pair_mul(term, inverse);
    const vd down = v_sub(end->others_unit, end->unit);
    const vm none = v_eq(q.hi, v_set1(0.0)), cut = v_lt(v_set1(SS_TERM_REACH - 1.0), end->loss.hi);
    const vpair growth = ss_pair_div(end->loss, ss_pair_scale_down(q, v_max(down, v_set1(-800.0))));
    const vpair ratio = ss_choose(cut, nothing, ss_choose(v_lt(v_set1(-800.0), down), growth, one));
    const vpair slope = ss_pair_mul(ss_pair_mul(p, ratio), ss_pair(v_set1(gamma), v_set1(0.0)));
    *on_loss = ss_choose(none, nothing, ss_raise(ss_choose(none, one, q), down, gamma));
    *on_gradient = ss_choose(none, nothing, ss_pair_mul(*on_loss, ss_pair_add(one, slope)));
}
