/* SPDX-License-Identifier: BSD-3-Clause
   From the sum of a row to the loss of its label and to the factors of its gradient. Lanes are rows; both real types.

   With S the sum of all e^x: loss = (peak - x_label) + log1p(rest / e^peak), two terms of one sign. The gradient is
   p = e^x / S elsewhere and -(sum of the others) / S at the label, where p - 1 would cancel: the others are `rest` if
   the label is at the peak; if not, e^x_label is at most S / 2, and S - e^x_label keeps its digits. */

/* An element this far below the peak adds nothing to S; the table of exp needs 2^-902 or more. */
#define SS_TERM_REACH 600.0

#define SS_FOCUS_MOST 16.0 /* a power gamma multiplies the relative error of what is raised */

typedef struct {
    vpair excess; /* log1p(rest / e^peak) */
    vpair loss;   /* -log p of the label */
    vpair total;  /* S, in units of 2^unit */
    vpair others; /* S without the label's term, in units of 2^others_unit */
    vd unit, others_unit;
} ss_label;

/* A row with k elements +inf, each of probability p = 1/k. Focal loss multiplies the loss of a label at one of them by
   `focus`, q^gamma, and its gradient by focus * growth, as ss_label_focus does. */
typedef struct {
    double cost, q, focus, growth; /* of a label there, focused; 1 - p */
    double rise; /* by which z_loss multiplies the gradient: its slope is that of logsumexp, infinite */
} ss_infinite;

/* What is summed over the classes of a row with probabilities: a, h, or the losses (loss_dense.inc.h). */
enum { SS_SUM_WEIGHTS, SS_SUM_SLOPES, SS_SUM_COSTS };

/* -log p from `gap` = peak - x: two terms of one sign. */
static inline vpair label_loss_f64(vpair gap, vpair excess)
{
    const vpair sum = ss_two_sum(gap.hi, excess.hi);
    const vpair loss = ss_fast_two_sum(sum.hi, v_add(sum.lo, v_add(gap.lo, excess.lo)));
    return ss_pair_select(v_eq(gap.hi, v_set1(INFINITY)), ss_pair_of(gap.hi), loss);
}

static inline vpair label_loss_f32(vpair gap, vpair excess) { return ss_pair_of(v_add(gap.hi, excess.hi)); }

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
    const vpair left = ss_pair_sub(end.total, term);
    end.others = ss_pair_select(at_peak, rest, left);
    end.others_unit = v_select(at_peak, v_add(end.unit, down), end.unit);
    end.loss = label_loss_f64(gap, end.excess);
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
    end.total = ss_pair_of(total);
    end.excess = ss_pair_of(ss_log1p_single(ss_scale_down(rest.hi, down), top));
    end.others = ss_pair_of(v_select(at_peak, rest.hi, v_sub(total, term.hi)));
    end.others_unit = v_select(at_peak, v_add(unit, down), unit);
    end.loss = label_loss_f32(gap, end.excess);
    return end;
}

/* a^power for a positive pair times 2^unit, at most 1; 0 where it would be below 2^-1150. */
static inline vpair ss_raise(vpair a, vd unit, double power)
{
    SS_TABLES;
    const vpair log = ss_pair_mul(ss_log_pair(a, unit), ss_pair_set1(power));
    const vm tiny = v_lt(log.hi, v_set1(-800.0));
    const vpair bounded = ss_pair_select(tiny, ss_pair_set1(-800.0), log);
    const vd exponent = ss_exponent(bounded.hi);
    const vpair raised = ss_exp_pair(bounded.hi, bounded.lo, ss_scale_bits(exponent, 0), table_hi, table_lo);
    return ss_pair_scale_down(raised, exponent);
}

/* What focal loss multiplies by: the loss by q^gamma, p by q^gamma (1 + gamma p loss / q), with q = 1 - p of the label.
   `term` as for the label; loss / q is 1 for tiny q. Where the term was cut off p loss is nothing. */
static inline void ss_label_focus(double gamma, const ss_label *end, vpair inverse, vpair term, vpair *on_loss,
                                  vpair *on_gradient)
{
    const vpair one = ss_pair_set1(1.0), nothing = ss_pair_set1(0.0);
    const vpair q = ss_pair_mul(end->others, inverse), p = ss_pair_mul(term, inverse);
    const vd down = v_sub(end->others_unit, end->unit);
    const vm none = v_eq(q.hi, v_set1(0.0)), cut = v_lt(v_set1(SS_TERM_REACH - 1.0), end->loss.hi);
    const vpair growth = ss_pair_div(end->loss, ss_pair_scale_down(q, v_max(down, v_set1(-800.0))));
    const vpair ratio = ss_pair_select(cut, nothing, ss_pair_select(v_lt(v_set1(-800.0), down), growth, one));
    const vpair slope = ss_pair_mul(ss_pair_mul(p, ratio), ss_pair_set1(gamma));
    *on_loss = ss_pair_select(none, nothing, ss_raise(ss_pair_select(none, one, q), down, gamma));
    *on_gradient = ss_pair_select(none, nothing, ss_pair_mul(*on_loss, ss_pair_add(one, slope)));
}

/* Within these powers of two the gradient of a row is computed in doubles, beyond them anew (wide_rows.h). */
#define SS_SLOPE_LEAST 0x1p-120
#define SS_SLOPE_MOST 0x1p120
#define SS_LOSS_LEAST 0x1p-960 /* a double below it may have lost digits in its pair */
/* Terms that were kept serve as far below the peak as this power of two. */
#define SS_SLOPE_BETWEEN (-400.0)

/* Whether a focused loss, (q 2^unit)^(gamma + 1) and more, is too small, or gamma too large for the digits of q. */
static inline int ss_focus_beyond(double gamma, double q, double unit)
{
    int exponent;
    if (gamma == 0.0) return 0;
    frexp(q, &exponent);
    return gamma > SS_FOCUS_MOST || (q != 0.0 && (gamma + 1.0) * (exponent + unit) < -500.0);
}

/* Whether z L^2 could leave the range, or the digits of L = peak + excess that are lost where the two cancel show in
   it. */
static inline int ss_z_loss_beyond(double z_loss, double peak, double excess)
{
    const double log = fabs(peak + excess), size = fabs(peak);
    if (z_loss == 0.0) return 0;
    return !(z_loss > 0x1p-400 && log < 0x1p400 && z_loss * log < 0x1p60) || (log < size / 8.0 && z_loss * size > 8.0);
}

/* Whether a number could leave the range on the way to the loss of a label, whose logit is x, below `highest`. */
static inline int ss_cost_beyond(double gamma, double z_loss, double weight, const ss_label *end, double highest,
                                 double x)
{
    const double cost = fabs(lane(end->loss.hi)), unit = lane(end->others_unit) - lane(end->unit);
    return ss_focus_beyond(gamma, lane(end->others.hi), unit) ||
           ss_z_loss_beyond(z_loss, highest, lane(end->excess.hi)) || (isinf(cost) && x > -INFINITY) ||
           (cost < SS_LOSS_LEAST && (fabs(weight) > 1.0 || gamma != 0.0 || z_loss != 0.0));
}

/* The same for the gradient: `factor` of the terms, `coefficient` of all. */
static inline int ss_slope_beyond(double shift, double factor, double coefficient)
{
    const double on_p = fabs(factor), by_all = fabs(coefficient);
    return shift != 0.0 || isnan(on_p) || isnan(by_all) || fmin(on_p, by_all) <= SS_SLOPE_LEAST ||
           fmax(on_p, by_all) >= SS_SLOPE_MOST;
}

static inline ss_infinite ss_infinite_of(double count, double gamma, double z_loss)
{
    const double log = lane(ss_log1p_pair(ss_pair_set1(count - 1.0)).hi), q = (count - 1.0) / count;
    ss_infinite all = {0.0, q, 1.0, 1.0, z_loss == 0.0 ? 1.0 : INFINITY};
    if (gamma != 0.0) {
        all.focus = q == 0.0 ? 0.0 : lane(ss_raise(ss_pair_set1(q), v_set1(0.0), gamma).hi);
        all.growth = q == 0.0 ? 1.0 : 1.0 + gamma * log / (count * q);
    }
    all.cost = z_loss == 0.0 ? all.focus * log : INFINITY;
    return all;
}
